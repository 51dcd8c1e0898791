import { JetStreamApiError } from "@nats-io/jetstream";
import { createInbox, type Msg, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";

/** How long a publish may wait for its acknowledgement. */
export const ACKNOWLEDGE_TIMEOUT_MS = 2000;

/** NATS's status of a request that nobody takes. */
const NO_RESPONDERS = 503;

export type Acknowledgement = {
  readonly sequence: number;
  readonly duplicate: boolean;
};

export type Publication = {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers: MsgHdrs;
};

type Waiting = {
  readonly resolve: (acknowledgement: Acknowledgement) => void;
  readonly reject: (error: Error) => void;
  readonly deadlineMs: number;
};

/** What JetStream answers (server/stream.go, JSPubAckResponse). */
type Answer = {
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: ConstructorParameters<typeof JetStreamApiError>[0];
};

export type AcknowledgementsOptions = {
  /** Default: the one that all share. */
  readonly inboxPrefix: string | undefined;
  /** NATS has taken the inbox away: no answer arrives any more. Must not throw. */
  readonly onRefused: (error: Error) => void;
};

/**
 * Publishes and waits for JetStream's answers, all on one inbox. In place of
 * request() of nats.js 3.4, which makes three errors with stack traces and a
 * timer for each request, whether it fails or not: a third of what capture cost.
 */
export class Acknowledgements {
  readonly #connection: NatsConnection;
  readonly #inbox: string;
  /** By the last token of the answer's subject; oldest first, so the next to time out is the first. */
  readonly #waiting = new Map<string, Waiting>();
  #sent = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(connection: NatsConnection, { inboxPrefix, onRefused }: AcknowledgementsOptions) {
    this.#connection = connection;
    this.#inbox = `${createInbox(inboxPrefix)}.`;
    connection.subscribe(`${this.#inbox}*`, {
      // A refusal comes without a message.
      callback: (error, message) => {
        if (error) onRefused(error);
        else this.#take(message);
      },
    });
  }

  /** Throws at once what the connection refuses: it is closed, or the message is too large. */
  publish({ subject, payload, headers }: Publication): Promise<Acknowledgement> {
    const token = (this.#sent++).toString(36);
    this.#connection.publish(subject, payload, { headers, reply: this.#inbox + token });
    return new Promise((resolve, reject) => {
      const deadlineMs = performance.now() + ACKNOWLEDGE_TIMEOUT_MS;
      this.#waiting.set(token, { resolve, reject, deadlineMs });
      this.#timer ??= setTimeout(() => this.#expire(), ACKNOWLEDGE_TIMEOUT_MS);
    });
  }

  /** Fails what still waits: the connection is closed. */
  close(): void {
    clearTimeout(this.#timer);
    for (const { reject } of this.#waiting.values()) reject(new Error("the connection was closed"));
    this.#waiting.clear();
  }

  // Never throws: the connection would go deaf.
  #take(message: Msg): void {
    const token = message.subject.slice(this.#inbox.length);
    const waiting = this.#waiting.get(token);
    if (!waiting) return;
    this.#waiting.delete(token);
    try {
      waiting.resolve(readAnswer(message));
    } catch (error) {
      waiting.reject(error as Error);
    }
  }

  #expire(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (const [token, { reject, deadlineMs }] of this.#waiting) {
      if (deadlineMs > nowMs) {
        this.#timer = setTimeout(() => this.#expire(), deadlineMs - nowMs);
        return;
      }
      this.#waiting.delete(token);
      reject(new Error(`no acknowledgement within ${ACKNOWLEDGE_TIMEOUT_MS} ms`));
    }
  }
}

function readAnswer(message: Msg): Acknowledgement {
  if (message.data.length === 0 && message.headers?.code === NO_RESPONDERS) {
    throw new Error("no stream takes this subject, or JetStream isn't ready");
  }
  const { seq, duplicate, error } = message.json<Answer>();
  if (error) throw new JetStreamApiError(error);
  if (seq === undefined) throw new Error("something that isn't a stream answered");
  return { sequence: seq, duplicate: duplicate ?? false };
}
