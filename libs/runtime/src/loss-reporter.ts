type Warn = (fields: object, message: string) => void;

/** The first report comes at once; the quiet after each one doubles up to the last. */
const QUIET_MIN_MS = 1000;
const QUIET_MAX_MS = 60_000;

export type LossReporterOptions = {
  readonly warn: Warn;
  /** What happened, and which variable helps. */
  readonly message: string;
  /** What is counted, as the line names it; `records` unless told. */
  readonly unit?: string;
  readonly now: () => number;
};

/** Says what is lost without flooding the log: sums, at growing intervals. */
export class LossReporter {
  readonly #options: LossReporterOptions;
  #unsaid = 0;
  #total = 0;
  #quietUntilMs = 0;
  #quietMs = QUIET_MIN_MS;

  constructor(options: LossReporterOptions) {
    this.#options = options;
  }

  add(count: number): void {
    this.#unsaid += count;
    this.#total += count;
    this.report();
  }

  /** Says what has not been said yet, unless it is too early. Call it now and then. */
  report(): void {
    const nowMs = this.#options.now();
    if (this.#unsaid === 0) {
      // A minute without loss: the next one is news again.
      if (nowMs > this.#quietUntilMs + QUIET_MAX_MS) this.#quietMs = QUIET_MIN_MS;
      return;
    }
    if (nowMs < this.#quietUntilMs) return;
    const { unit = "records", warn, message } = this.#options;
    warn({ [unit]: this.#unsaid, total: this.#total }, message);
    this.#unsaid = 0;
    this.#quietUntilMs = nowMs + this.#quietMs;
    this.#quietMs = Math.min(this.#quietMs * 2, QUIET_MAX_MS);
  }
}
