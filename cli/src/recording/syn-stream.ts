import { type Bus, type StartPosition, type StreamMessage, StreamReader } from "@packetwatch/bus";
import { streamNames, subjects } from "@packetwatch/contracts";
import { CliError } from "../cli-error.ts";
import { complain } from "../terminal.ts";

/** Batches that are asked for ahead; each is 64 KiB at most. */
const PREFETCH = 256;

export type SynStreamOptions = {
  readonly bus: Bus;
  readonly start: StartPosition;
  /** How long it may take until the stream is open, and with `untilCaughtUp` how long any message may. */
  readonly timeoutMs: number;
  readonly patience: "until_open" | "until_caught_up";
  /** Once, before the first message. */
  readonly onOpen?: () => void;
  readonly onMessage: (message: StreamMessage) => void;
  /** What the stream held at the start has been delivered. */
  readonly onCaughtUp?: () => void;
  /** It took too long, or a callback threw. Nothing is called after this. */
  readonly onFailure: (error: unknown) => void;
};

/** Reads the retained and the coming SYN batches of the whole fleet, in the stream's order. */
export class SynStream {
  readonly #options: SynStreamOptions;
  readonly #reader: StreamReader;
  #watchdog: NodeJS.Timeout | undefined;
  #trouble = "no answer";
  #isOpen = false;
  #isOver = false;
  #lastSequence: number | undefined;
  #missed = 0;

  constructor(options: SynStreamOptions) {
    this.#options = options;
    this.#watchdog = setTimeout(() => this.#fail(this.#unreadable()), options.timeoutMs);
    this.#reader = new StreamReader({
      bus: options.bus,
      stream: streamNames.syn,
      filter: subjects.everySyn,
      start: options.start,
      prefetch: PREFETCH,
      onMessage: (message) => this.#safely(() => this.#take(message)),
      onCaughtUp: () => this.#safely(() => this.#catchUp()),
      onStreamLost: () => {
        this.#lastSequence = undefined;
      },
      logger: this.#logger(),
    });
  }

  /** Batches that the stream gave up before they could be read. */
  get missed(): number {
    return this.#missed;
  }

  async close(): Promise<void> {
    this.#isOver = true;
    this.#dismissWatchdog();
    await this.#reader.close();
  }

  #take(message: StreamMessage): void {
    this.#open();
    this.#watchdog?.refresh();
    if (this.#lastSequence !== undefined) {
      this.#missed += message.sequence - this.#lastSequence - 1;
    }
    this.#lastSequence = message.sequence;
    this.#options.onMessage(message);
  }

  #catchUp(): void {
    this.#open();
    this.#dismissWatchdog();
    this.#options.onCaughtUp?.();
  }

  #open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    if (this.#options.patience === "until_open") this.#dismissWatchdog();
    this.#options.onOpen?.();
  }

  // What a callback of the reader throws would end the process.
  #safely(step: () => void): void {
    if (this.#isOver) return;
    try {
      step();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#isOver = true;
    this.#dismissWatchdog();
    this.#options.onFailure(error);
  }

  #dismissWatchdog(): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = undefined;
  }

  #unreadable(): CliError {
    const seconds = this.#options.timeoutMs / 1000;
    const what = this.#isOpen ? "nothing more came" : this.#trouble;
    const detail = `read stream ${streamNames.syn}: ${what} within ${seconds} s; is a detector running?`;
    return new CliError("STREAM_UNREADABLE", detail);
  }

  /** Until the stream is open, its trouble is kept for the case that the time is over. */
  #logger() {
    const ignore = () => undefined;
    const warn = (fields: object, message: string) => {
      if ("cause" in fields && !this.#isOpen) this.#trouble = String(fields.cause);
      else if (!this.#isOver) complain(`${streamNames.syn}: ${message}`);
    };
    return { debug: ignore, info: ignore, warn, error: warn };
  }
}
