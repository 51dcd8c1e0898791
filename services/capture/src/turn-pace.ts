/** What a turn costs beside its messages, counted in messages: waking capture, NATS and a detector. */
const MESSAGES_PER_WAKE_UP = 3;

/**
 * What is spent in a millisecond in the long run. With work for all 64 shards that makes a turn every 16 ms: at
 * 100,000 SYNs a second 25 go in a message in place of one or two.
 */
const MESSAGES_PER_MS = 4;

/** The same while the rings are crowded: turns every 32 ms. In a flood, what it costs counts for more than when it is told. */
const CROWDED_MESSAGES_PER_MS = 2;

/** From so many SYNs a millisecond on, the rings are crowded. */
const CROWDED_SYNS_PER_MS = 150;
/** Over so long at least: a burst is no flood yet, and turns of several rings follow each other closely. */
export const RATE_WINDOW_MS = 100;

/** What is spent at once after a quiet time, before the first rest. */
const BURST_MESSAGES = 64;

const MAX_DEBT_MESSAGES = 2 * BURST_MESSAGES;

/** The longest rests: what an attempt waits at most, whatever was spent before it. */
export const MAX_REST_MS = (MAX_DEBT_MESSAGES - BURST_MESSAGES) / MESSAGES_PER_MS;
export const MAX_CROWDED_REST_MS = (MAX_DEBT_MESSAGES - BURST_MESSAGES) / CROWDED_MESSAGES_PER_MS;

/**
 * How long the ring is left alone after a turn. On the way to a detector, each
 * message and each wake-up costs a hundred times what a SYN does, and the more
 * often the ring is read, the fewer SYNs share one. So what is sent is paid for
 * with time: nothing while there is little, a few milliseconds when there is
 * much, and twice as many in a flood.
 */
export class TurnPace {
  #debt = 0;
  #asOfMs = 0;
  #messagesPerMs = MESSAGES_PER_MS;
  #syns = 0;
  #countedFromMs = 0;

  /** A turn was taken, and so many SYNs with it. */
  countTurn(nowMs: number, syns: number): void {
    this.#owe(MESSAGES_PER_WAKE_UP, nowMs);
    this.#syns += syns;
    const elapsedMs = nowMs - this.#countedFromMs;
    if (elapsedMs < RATE_WINDOW_MS) return;
    const isCrowded = this.#syns >= CROWDED_SYNS_PER_MS * elapsedMs;
    this.#messagesPerMs = isCrowded ? CROWDED_MESSAGES_PER_MS : MESSAGES_PER_MS;
    this.#syns = 0;
    this.#countedFromMs = nowMs;
  }

  countMessage(nowMs: number): void {
    this.#owe(1, nowMs);
  }

  /** Whole milliseconds; 0: there is no need to. */
  restMs(nowMs: number): number {
    this.#pay(nowMs);
    return Math.max(0, Math.floor((this.#debt - BURST_MESSAGES) / this.#messagesPerMs));
  }

  #owe(messages: number, nowMs: number): void {
    this.#pay(nowMs);
    this.#debt = Math.min(this.#debt + messages, MAX_DEBT_MESSAGES);
  }

  #pay(nowMs: number): void {
    const paid = (nowMs - this.#asOfMs) * this.#messagesPerMs;
    this.#debt = Math.max(0, this.#debt - paid);
    this.#asOfMs = nowMs;
  }
}
