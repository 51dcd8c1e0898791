import type { CounterOf } from "@packetwatch/telemetry";
import type { RejectedMessage } from "./telemetry-intake.ts";

/** The first report comes at once; the quiet after each one doubles up to the last. */
const QUIET_MIN_MS = 1000;
const QUIET_MAX_MS = 600_000;

export type RejectionLogOptions = {
  readonly counter: CounterOf<"packetwatch_metrics_rejected_messages_total">;
  readonly warn: (fields: object, message: string) => void;
  readonly now: () => number;
};

/** Counts each message that was turned away, and says so without flooding the log: sums, at growing intervals. */
export class RejectionLog {
  readonly #options: RejectionLogOptions;
  #unsaid = 0;
  #quietUntilMs = 0;
  #quietMs = QUIET_MIN_MS;

  constructor(options: RejectionLogOptions) {
    this.#options = options;
  }

  add(rejection: RejectedMessage): void {
    this.#options.counter.inc({ reason: rejection.reason });
    this.#unsaid++;
    const nowMs = this.#options.now();
    if (nowMs < this.#quietUntilMs) return;
    // After so long a time without one, the next one is news again.
    if (nowMs > this.#quietUntilMs + QUIET_MAX_MS) this.#quietMs = QUIET_MIN_MS;
    this.#quietUntilMs = nowMs + this.#quietMs;
    this.#quietMs = Math.min(this.#quietMs * 2, QUIET_MAX_MS);
    const messages = this.#unsaid;
    this.#unsaid = 0;
    this.#options.warn({ ...rejection, messages }, "telemetry was turned away; this is the last");
  }
}
