type Warn = (fields: object, message: string) => void;

/** So long an election or a start may take before it is worth a line. */
const QUIET_MS = 2000;

export type PublishTroubleOptions = {
  readonly warn: Warn;
  readonly now: () => number;
};

/** Says once that NATS is there and stores nothing, until it has stored something. */
export class PublishTrouble {
  readonly #options: PublishTroubleOptions;
  #sinceMs: number | undefined;
  #isMentioned = false;

  constructor(options: PublishTroubleOptions) {
    this.#options = options;
  }

  failed(error: Error): void {
    const nowMs = this.#options.now();
    this.#sinceMs ??= nowMs;
    if (this.#isMentioned || nowMs - this.#sinceMs < QUIET_MS) return;
    this.#isMentioned = true;
    this.#options.warn({ cause: error.message }, "NATS stores no attempts; trying again");
  }

  stored(): void {
    this.#sinceMs = undefined;
    this.#isMentioned = false;
  }
}
