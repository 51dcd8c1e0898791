/** So much text is written without waiting for the turn of the event loop to end. */
const SPILL_CHARACTERS = 256 * 1024;
/** Attempts are skipped while so much text waits for a reader that is slow. */
export const MAX_HELD_CHARACTERS = 1024 * 1024;
/** Everything else waits up to this much, and is then skipped and counted, too. */
export const MAX_HELD_VERDICT_CHARACTERS = 16 * MAX_HELD_CHARACTERS;

/** A stream's write(): `done` is called when the text has been taken over, or refused. */
export type Sink = {
  readonly write: (text: string, done: (error?: Error | null) => void) => unknown;
};

export type OutputQueueOptions = {
  readonly sink: Sink;
  readonly describeSkipped: (counts: { attempts: number; verdicts: number }) => string;
  /** Calls back once in the current turn of the event loop, after what is under way: setImmediate. */
  readonly defer: (task: () => void) => void;
  /** The sink has refused; nothing more is written. */
  readonly onFailure: (error: Error) => void;
};

/**
 * Text on its way to the output: one write for what a turn of the event loop
 * brings, and no other before that one is done. What comes meanwhile is
 * gathered, up to a bound. What is over the bound is counted, and said when
 * there is room.
 */
export class OutputQueue {
  readonly #options: OutputQueueOptions;
  #held = "";
  #skippedAttempts = 0;
  #skippedVerdicts = 0;
  #isScheduled = false;
  #isWriting = false;
  #failed = false;
  #drained: (() => void)[] = [];

  constructor(options: OutputQueueOptions) {
    this.#options = options;
  }

  /** Whether attempts have to be skipped. */
  get isFull(): boolean {
    return this.#held.length >= MAX_HELD_CHARACTERS;
  }

  /** Rows of attempts, for which there is room: see isFull. */
  appendAttempts(rows: string): void {
    this.#append(rows);
  }

  skipAttempts(count: number): void {
    this.#skippedAttempts += count;
  }

  /** A row that waits where attempts are skipped. */
  append(row: string): void {
    if (this.#held.length < MAX_HELD_VERDICT_CHARACTERS) this.#append(row);
    else this.#skippedVerdicts++;
  }

  /** Resolves when everything has been written, or can't be. */
  drained(): Promise<void> {
    if (!this.#isPending()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#drained.push(resolve);
      this.#write();
    });
  }

  #append(text: string): void {
    this.#held += text;
    if (this.#isWriting) return;
    if (this.#held.length >= SPILL_CHARACTERS) return this.#write();
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.defer(() => this.#write());
  }

  #write(): void {
    this.#isScheduled = false;
    if (this.#isWriting) return;
    const text = this.#take();
    if (text === "") return this.#settle();
    this.#isWriting = true;
    this.#options.sink.write(text, (error) => {
      this.#isWriting = false;
      if (error) this.#fail(error);
      this.#write();
    });
  }

  #fail(error: Error): void {
    this.#failed = true;
    this.#options.onFailure(error);
  }

  #take(): string {
    const counts = { attempts: this.#skippedAttempts, verdicts: this.#skippedVerdicts };
    const hasSkipped = counts.attempts + counts.verdicts > 0;
    const text = hasSkipped ? this.#held + this.#options.describeSkipped(counts) : this.#held;
    this.#held = "";
    this.#skippedAttempts = 0;
    this.#skippedVerdicts = 0;
    return this.#failed ? "" : text;
  }

  #isPending(): boolean {
    return (
      this.#isWriting || this.#held !== "" || this.#skippedAttempts + this.#skippedVerdicts > 0
    );
  }

  #settle(): void {
    for (const resolve of this.#drained.splice(0)) resolve();
  }
}
