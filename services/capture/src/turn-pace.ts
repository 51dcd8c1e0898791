/** What a turn costs beside its messages, counted in messages: waking capture, NATS and a detector. */
const MESSAGES_PER_WAKE_UP = 3;

/**
 * What is spent in a millisecond in the long run. With work for all 64 shards that makes a turn every 16 ms: at
 * 100,000 SYNs a second 25 go in a message in place of one or two.
 */
const MESSAGES_PER_MS = 4;

/** What is spent at once after a quiet time, before the first rest. */
const BURST_MESSAGES = 64;

/** The longest rest: what an attempt waits at most, whatever was spent before it. */
export const MAX_REST_MS = 16;

const MAX_DEBT_MESSAGES = BURST_MESSAGES + MAX_REST_MS * MESSAGES_PER_MS;

/**
 * How long the ring is left alone after a turn. On the way to a detector, each
 * message and each wake-up costs a hundred times what a SYN does, and the more
 * often the ring is read, the fewer SYNs share one. So what is sent is paid for
 * with time: nothing while there is little, a few milliseconds when there is much.
 */
export class TurnPace {
  #debt = 0;
  #asOfMs = 0;

  /** A turn was taken. */
  countTurn(nowMs: number): void {
    this.#owe(MESSAGES_PER_WAKE_UP, nowMs);
  }

  countMessage(nowMs: number): void {
    this.#owe(1, nowMs);
  }

  /** Whole milliseconds; 0: there is no need to. */
  restMs(nowMs: number): number {
    this.#pay(nowMs);
    return Math.max(0, Math.floor((this.#debt - BURST_MESSAGES) / MESSAGES_PER_MS));
  }

  #owe(messages: number, nowMs: number): void {
    this.#pay(nowMs);
    this.#debt = Math.min(this.#debt + messages, MAX_DEBT_MESSAGES);
  }

  #pay(nowMs: number): void {
    const paid = (nowMs - this.#asOfMs) * MESSAGES_PER_MS;
    this.#debt = Math.max(0, this.#debt - paid);
    this.#asOfMs = nowMs;
  }
}
