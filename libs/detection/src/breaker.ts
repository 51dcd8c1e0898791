/** A message of the verdict stream, as far as the breaker counts it. */
export type CountedVerdict = {
  readonly subject: string;
  readonly sequence: number;
  /** By the server's clock, which all readers have in common. */
  readonly storedUs: number;
  /** Undefined: the source is not blocked any more. */
  readonly block:
    | { readonly decidedBy: "detector" | "operator"; readonly expiresUs: number }
    | undefined;
};

export type BreakerLimits = {
  /** Sources that detectors may block within a minute; 0: any number. */
  readonly maxPerMinute: number;
  /** Sources that may be blocked at once, the operator's among them; 0: any number. */
  readonly maxBlocked: number;
};

export type Excess = "rate" | "total";

/** What became of a verdict: an automatic block is `held` while the breaker is open. */
export type BreakerOutcome =
  | { readonly kind: "counted" }
  | { readonly kind: "held" }
  | { readonly kind: "opens"; readonly reason: Excess };

const MINUTE_US = 60_000_000;

/**
 * Counts the blocks in the verdict stream. All that it counts is the last message of each source, in the
 * stream's order and by the server's clock: so every detector comes to the same count, and so does one that
 * starts late and reads no more than the list. What was counted before it closed counts no more towards the rate.
 */
export class Breaker {
  readonly #limits: BreakerLimits;
  /** Blocks in force, by subject: when each ends. Bounded by the stream. */
  readonly #blocked = new Map<string, number>();
  /** Sources that detectors have blocked within the last minute, oldest first. */
  readonly #recent = new Map<string, number>();
  #isOpen = false;
  #isListRead = false;

  constructor(limits: BreakerLimits) {
    this.#limits = limits;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** From here on it may open: what was there at the start was let through by others. */
  completeList(): void {
    this.#isListRead = true;
  }

  /** The stream was made anew, and is read from its beginning: what it held counts no more. */
  restartList(): void {
    this.#isListRead = false;
    this.#blocked.clear();
    this.#recent.clear();
  }

  /** A message says that it is open, or closed. */
  set(state: "open" | "closed"): void {
    this.#isOpen = state === "open";
    if (state === "closed") this.#recent.clear();
  }

  take({ subject, storedUs, block }: CountedVerdict): BreakerOutcome {
    this.#blocked.delete(subject);
    this.#recent.delete(subject);
    if (block === undefined || block.expiresUs <= storedUs) return { kind: "counted" };
    if (block.decidedBy === "operator") return this.#count(subject, block.expiresUs);
    if (this.#isOpen && this.#isListRead) return { kind: "held" };
    this.#recent.set(subject, storedUs);
    this.#count(subject, block.expiresUs);
    const reason = this.#isListRead ? this.#excess(storedUs) : undefined;
    if (reason === undefined) return { kind: "counted" };
    this.#blocked.delete(subject);
    this.#recent.delete(subject);
    this.#isOpen = true;
    return { kind: "opens", reason };
  }

  #count(subject: string, expiresUs: number): BreakerOutcome {
    this.#blocked.set(subject, expiresUs);
    return { kind: "counted" };
  }

  #excess(nowUs: number): Excess | undefined {
    const { maxPerMinute, maxBlocked } = this.#limits;
    for (const [subject, storedUs] of this.#recent) {
      if (storedUs > nowUs - MINUTE_US) break;
      this.#recent.delete(subject);
    }
    if (maxPerMinute > 0 && this.#recent.size > maxPerMinute) return "rate";
    if (maxBlocked === 0 || this.#blocked.size <= maxBlocked) return undefined;
    for (const [subject, expiresUs] of this.#blocked) {
      if (expiresUs <= nowUs) this.#blocked.delete(subject);
    }
    return this.#blocked.size > maxBlocked ? "total" : undefined;
  }
}
