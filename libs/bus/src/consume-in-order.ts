import type { Consumer, ConsumerMessages, JsMsg } from "@nats-io/jetstream";

/** A pull request lives this long at the server before it is renewed. */
const PULL_EXPIRES_MS = 30_000;
/** How often the server says that it is still there; two missing end the consumption. */
const IDLE_HEARTBEAT_MS = 2000;

export type ConsumeOptions = {
  /** Messages that are asked for ahead. */
  readonly prefetch: number;
  readonly onMessage: (message: JsMsg) => void;
  /** The server has said that nothing is missing. */
  readonly onHeartbeat: () => void;
};

export type Consumption = {
  /** Resolves with the reason when it ends; never rejects. */
  readonly ended: Promise<string>;
  /** No message is delivered after this. */
  readonly stop: () => void;
};

/**
 * Delivers what a new consumer without acknowledgements sends, in order and
 * without a gap, until something is amiss: then it ends, and the caller makes
 * another consumer behind the last message that it got.
 *
 * In place of the ordered consumer of nats.js 3.4, which can't make its
 * consumer anew where reading began at a time (the server refuses the start
 * sequence beside `opt_start_time`), and goes back to sequence 1 where
 * nothing was delivered yet.
 */
export async function consumeInOrder(
  consumer: Consumer,
  { prefetch, onMessage, onHeartbeat }: ConsumeOptions,
): Promise<Consumption> {
  const state = { isOver: false, delivered: 0 };
  let end: (reason: string) => void = () => undefined;
  const ended = new Promise<string>((resolve) => {
    end = resolve;
  });
  const messages = await consumer.consume({
    max_messages: prefetch,
    // nats.js would ask with each quarter that has come, and each time costs as much as a message.
    threshold_messages: Math.ceil(prefetch / 4),
    expires: PULL_EXPIRES_MS,
    idle_heartbeat: IDLE_HEARTBEAT_MS,
    abort_on_missing_resource: true,
    callback: (message) => {
      if (state.isOver) return;
      if (message.info.deliverySequence !== state.delivered + 1)
        return stop("a message was lost on the way");
      state.delivered++;
      onMessage(message);
    },
  });
  const stop = (reason: string) => {
    state.isOver = true;
    end(reason);
    void messages.close();
  };
  void messages.closed().then((error) => stop(error ? error.message : "closed"));
  void watchHeartbeats(messages, { delivered: () => state.delivered, onHeartbeat, stop });
  return { ended, stop: () => stop("stopped") };
}

/** Between messages, only heartbeats tell that the consumer is there and has sent no more than what came. */
async function watchHeartbeats(
  messages: ConsumerMessages,
  { delivered, onHeartbeat, stop }: HeartbeatHandlers,
): Promise<void> {
  for await (const status of messages.status()) {
    if (status.type === "heartbeats_missed") stop("heartbeats are missing");
    if (status.type !== "heartbeat") continue;
    if (status.lastConsumerSequence > delivered()) stop("a message was lost on the way");
    else onHeartbeat();
  }
}

type HeartbeatHandlers = {
  readonly delivered: () => number;
  readonly onHeartbeat: () => void;
  readonly stop: (reason: string) => void;
};
