import {
  AckPolicy,
  type ConsumerConfig,
  type ConsumerInfo,
  type DeliveryInfo,
  DeliverPolicy,
  type JsMsg,
  jetstreamManager,
  type StreamInfo,
} from "@nats-io/jetstream";
import { nanos, nuid } from "@nats-io/transport-node";
import type { Bus } from "./connect-bus.ts";
import { consumeInOrder } from "./consume-in-order.ts";
import type { Logger } from "./logger.ts";

const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 1000;
/** How long a stream that can't be read stays unmentioned. */
const QUIET_MS = 2000;
/** The server removes a consumer that nobody has asked for so long. */
const INACTIVE_THRESHOLD_MS = 30_000;

/** Where reading begins; after an interruption it goes on behind the last message instead. */
export type StartPosition =
  | { readonly kind: "new" }
  | { readonly kind: "all" }
  | { readonly kind: "last_per_subject" }
  /** Asked when reading begins, which may be long after the reader was made. */
  | { readonly kind: "since"; readonly time: () => Date };

export type StreamMessage = {
  readonly subject: string;
  readonly payload: Uint8Array;
  /** The id under which it was published; empty where it had none. */
  readonly messageId: string;
  readonly sequence: number;
  /** Microseconds since the Unix epoch, by the server's clock. */
  readonly storedUs: number;
  /** Messages of this reader's subjects that the stream still holds behind this one. */
  readonly pending: number;
  /** Set on the mark that an expired or deleted message leaves: `MaxAge`, `Remove`, `Purge`; of KV `DEL`, `PURGE`. */
  readonly markerReason: string | undefined;
};

export type StreamReaderOptions = {
  readonly bus: Bus;
  readonly stream: string;
  readonly filter: string;
  readonly start: StartPosition;
  /** Messages that the client asks for ahead: what bounds its memory. */
  readonly prefetch: number;
  /** Called in stream order, synchronously. What this and the next two throw ends the reader and the process. */
  readonly onMessage: (message: StreamMessage) => void;
  /**
   * Called when everything that was there at the (re)start has been delivered, with the sequence of the last message that
   * the stream had taken by then, delivered or not; 0 if it never held one.
   */
  readonly onCaughtUp?: (streamSequence: number) => void;
  /** Called before what a (re)start delivers, with the time at which the stream was made: microseconds since the epoch. */
  readonly onOpened?: (createdUs: number) => void;
  /**
   * Called when the stream was made anew or has gone back, and what it held is
   * gone. Then all that it holds now is delivered, or the last of each subject
   * where that was asked for.
   */
  readonly onStreamLost?: () => void;
  /**
   * Of a reader of the last of each subject: who was cut off for longer than this finds no mark any more of what has left
   * meanwhile. Then onReread is called, and the last of each subject is delivered again. Default: never.
   */
  readonly rereadAfterMs?: number;
  readonly onReread?: () => void;
  readonly logger: Logger;
};

type Opened = { readonly consumer: ConsumerInfo; readonly stream: StreamInfo };

/**
 * Reads a stream in order, without gaps, through reconnects and the stream's
 * re-creation, until it or the bus is closed.
 */
export class StreamReader {
  readonly #options: StreamReaderOptions;
  /** Undefined until it is known behind which message to go on. */
  #lastSequence: number | undefined;
  #streamSequence = 0;
  #streamCreated: string | undefined;
  #isStreamLost = false;
  /** When the server was last heard on this stream, on the wall clock: a machine may have slept. */
  #heardMs = Date.now();
  #pending = 0;
  /** Messages that were there at the (re)start, or were stored anew since, and are still to come. */
  #behind = 0;
  /** Whether one was delivered that was stored after the (re)start. */
  #isBeyondStart = false;
  #isClosed = false;
  #isReading = false;
  #interrupt: () => void = () => undefined;
  readonly #trouble: Trouble;
  readonly #running: Promise<void>;
  readonly #unsubscribe: () => void;

  constructor(options: StreamReaderOptions) {
    this.#options = options;
    this.#trouble = new Trouble(options);
    // Consumers may be gone with the server, and requests that were under way won't be answered.
    this.#unsubscribe = options.bus.onReconnect(() => this.#interrupt());
    this.#running = this.#run();
  }

  /** Messages known to wait in the stream: the reader's lag. */
  get pending(): number {
    return this.#pending;
  }

  /** False while the stream can't be read: then `pending` is what was known before. */
  get isReading(): boolean {
    return this.#isReading;
  }

  get lastSequence(): number {
    return this.#lastSequence ?? 0;
  }

  async close(): Promise<void> {
    this.#end();
    await this.#running;
  }

  #end(): void {
    this.#isClosed = true;
    this.#unsubscribe();
    this.#interrupt();
  }

  async #run(): Promise<void> {
    while (!this.#isClosed && !this.#options.bus.connection.isClosed()) {
      const interrupted = new Promise<undefined>((resolve) => {
        this.#interrupt = () => resolve(undefined);
      });
      const reason = await this.#readUntil(interrupted);
      if (reason === undefined) continue;
      const delayMs = this.#trouble.add(reason);
      await sleepUnless(interrupted, delayMs);
    }
  }

  /** The reason where reading ended by itself or could not begin; undefined where it was interrupted. */
  async #readUntil(interrupted: Promise<undefined>): Promise<string | undefined> {
    if (!this.#options.bus.isConnected()) return interrupted;
    this.#forgetPosition();
    try {
      const opened = await Promise.race([this.#open(), interrupted]);
      if (opened === undefined) return undefined;
      return this.#isSameStream(opened.stream)
        ? await this.#consume(opened, interrupted)
        : this.#loseStream();
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** Reading begins anew where too much may have been missed. */
  #forgetPosition(): void {
    const { start, rereadAfterMs = Infinity, onReread } = this.#options;
    if (start.kind !== "last_per_subject" || this.#lastSequence === undefined) return;
    if (Date.now() - this.#heardMs < rereadAfterMs) return;
    this.#lastSequence = undefined;
    this.#tell(() => onReread?.());
  }

  /** Changes nothing here, because an interruption may have overtaken it. */
  async #open(): Promise<Opened> {
    const { bus, stream, filter } = this.#options;
    const manager = await jetstreamManager(bus.connection, { checkAPI: false });
    const consumer = await manager.consumers.add(stream, {
      // With a name, its subject has the filter too, which a permission can then limit.
      name: nuid.next(),
      filter_subject: filter,
      ack_policy: AckPolicy.None,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: nanos(INACTIVE_THRESHOLD_MS),
      ...this.#position(),
    });
    // After the consumer: one on a stream that is replaced in between dies, and that is noticed.
    return { consumer, stream: await manager.streams.info(stream) };
  }

  #position(): Partial<ConsumerConfig> {
    const { start } = this.#options;
    if (this.#lastSequence !== undefined) {
      return {
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: this.#lastSequence + 1,
      };
    }
    if (start.kind === "last_per_subject") return { deliver_policy: DeliverPolicy.LastPerSubject };
    // All of a stream that was made anew is new.
    if (start.kind === "all" || this.#isStreamLost) return { deliver_policy: DeliverPolicy.All };
    if (start.kind === "new") return { deliver_policy: DeliverPolicy.New };
    return {
      deliver_policy: DeliverPolicy.StartTime,
      opt_start_time: start.time().toISOString(),
    };
  }

  // A server that lost its disk's last writes, or a memory stream of a cluster, has its old
  // creation time and lower sequences.
  #isSameStream({ created, state }: StreamInfo): boolean {
    this.#streamCreated ??= created;
    return this.#streamCreated === created && state.last_seq >= this.lastSequence;
  }

  #loseStream(): undefined {
    this.#streamCreated = undefined;
    this.#lastSequence = undefined;
    this.#isStreamLost = true;
    this.#options.logger.warn({ stream: this.#options.stream }, "the stream was made anew");
    this.#tell(() => this.#options.onStreamLost?.());
  }

  async #consume(
    { consumer: info, stream }: Opened,
    interrupted: Promise<undefined>,
  ): Promise<string | undefined> {
    const { bus, prefetch, start } = this.#options;
    this.#streamSequence = stream.state.last_seq;
    this.#tell(() => this.#options.onOpened?.(Date.parse(stream.created) * 1000));
    this.#trouble.end();
    this.#heardMs = Date.now();
    // So that nothing is missed that comes between an interruption and the first message. Without
    // a message, the last of each subject is asked for again.
    if (start.kind !== "last_per_subject") this.#lastSequence = info.delivered.stream_seq;
    this.#pending = info.num_pending;
    this.#behind = info.num_pending;
    this.#isBeyondStart = false;
    if (this.#behind === 0) this.#tell(() => this.#options.onCaughtUp?.(this.#streamSequence));
    const consumption = await consumeInOrder(bus.jetstream.consumers.getConsumerFromInfo(info), {
      prefetch,
      onMessage: (message) => this.#deliver(message),
      onHeartbeat: () => {
        this.#heardMs = Date.now();
      },
    });
    this.#isReading = true;
    try {
      return await Promise.race([consumption.ended, interrupted]);
    } finally {
      this.#isReading = false;
      consumption.stop();
    }
  }

  #deliver(message: JsMsg): void {
    if (this.#isClosed) return;
    const { info } = message;
    this.#lastSequence = info.streamSequence;
    this.#heardMs = Date.now();
    this.#pending = info.pending;
    this.#tell(() => this.#options.onMessage(new DeliveredMessage(message)));
    if (this.#behind === 0) return;
    this.#behind = this.#behindAfter(info);
    if (this.#behind === 0) this.#tell(() => this.#options.onCaughtUp?.(this.#streamSequence));
  }

  /**
   * Of the messages that were there some may have been removed, because their subjects were stored anew. What that brought
   * had been stored by the time that the first message since the start was delivered, and is among those that follow it.
   */
  #behindAfter({ streamSequence, pending }: DeliveryInfo): number {
    if (pending === 0) return 0;
    if (this.#isBeyondStart || streamSequence <= this.#streamSequence) return this.#behind - 1;
    this.#isBeyondStart = true;
    return pending;
  }

  // nats.js takes what a callback throws for the end of the consumption and keeps it to itself.
  #tell(callback: () => void): void {
    if (this.#isClosed) return;
    try {
      callback();
    } catch (error) {
      this.#end();
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

/** Headers are parsed when they are first asked for, which costs as much as all the rest here. */
class DeliveredMessage implements StreamMessage {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly sequence: number;
  readonly storedUs: number;
  readonly pending: number;
  readonly markerReason: string | undefined;
  readonly #message: JsMsg;

  constructor(message: JsMsg) {
    const { subject, data, info } = message;
    this.subject = subject;
    this.payload = data;
    this.sequence = info.streamSequence;
    this.storedUs = Math.round(info.timestampNanos / 1000);
    this.pending = info.pending;
    this.markerReason = data.length === 0 ? markerReasonOf(message) : undefined;
    this.#message = message;
  }

  get messageId(): string {
    return this.#message.headers?.get("Nats-Msg-Id") ?? "";
  }
}

/** What NATS writes in place of an expired message, and what its KV client writes on delete; both are empty. */
function markerReasonOf({ headers }: JsMsg): string | undefined {
  return headers?.get("Nats-Marker-Reason") || headers?.get("KV-Operation") || undefined;
}

/** A time in which the stream can't be read: how long to wait for the next try, and what to say when. */
class Trouble {
  readonly #options: StreamReaderOptions;
  #sinceMs: number | undefined;
  #overSinceMs: number | undefined;
  #retryMs = RETRY_MIN_MS;
  #isMentioned = false;

  constructor(options: StreamReaderOptions) {
    this.#options = options;
  }

  /** Returns how long to wait. */
  add(cause: string): number {
    const nowMs = performance.now();
    // What begins again at once is the same trouble.
    if (this.#overSinceMs !== undefined && nowMs - this.#overSinceMs > RETRY_MAX_MS) this.#forget();
    this.#overSinceMs = undefined;
    this.#sinceMs ??= nowMs;
    if (nowMs - this.#sinceMs >= QUIET_MS) this.#mention(cause);
    const delayMs = this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
    return delayMs;
  }

  /** The stream is read. */
  end(): void {
    this.#overSinceMs = performance.now();
  }

  #mention(cause: string): void {
    if (this.#isMentioned) return;
    this.#isMentioned = true;
    const { stream, filter, logger } = this.#options;
    logger.warn({ stream, filter, cause }, "the stream can't be read; trying again");
  }

  #forget(): void {
    this.#sinceMs = undefined;
    this.#retryMs = RETRY_MIN_MS;
    this.#isMentioned = false;
  }
}

async function sleepUnless(interrupted: Promise<undefined>, delayMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const slept = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, delayMs);
  });
  await Promise.race([slept, interrupted]);
  clearTimeout(timer);
}
