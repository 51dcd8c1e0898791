import { describe, expect, it } from "vitest";
import { MAX_CROWDED_REST_MS, MAX_REST_MS, RATE_WINDOW_MS, TurnPace } from "./turn-pace.ts";

const SHARDS = 64;
const BURST = 64;
const SECOND_MS = 1000;

type Outcome = {
  readonly turns: number;
  readonly messages: number;
  readonly longestRestMs: number;
};

/** A second in which attempts come evenly, each in another shard than the last; a turn sends a message for each shard. */
function spendSecond(pace: TurnPace, attemptsPerSecond: number): Outcome {
  const outcome = { turns: 0, messages: 0, longestRestMs: 0 };
  const everyMs = SECOND_MS / attemptsPerSecond;
  let readMs = 0;
  for (let nowMs = everyMs; nowMs <= SECOND_MS;) {
    const attempts = Math.floor((nowMs - readMs) / everyMs + 1e-6);
    const messages = Math.min(SHARDS, attempts);
    readMs = nowMs;
    pace.countTurn(nowMs, attempts);
    for (let message = 0; message < messages; message++) pace.countMessage(nowMs);
    outcome.turns++;
    outcome.messages += messages;
    const restMs = pace.restMs(nowMs);
    outcome.longestRestMs = Math.max(outcome.longestRestMs, restMs);
    nowMs += Math.max(restMs, everyMs);
  }
  return outcome;
}

/** Far more messages than there is a budget for. */
function spendAll(pace: TurnPace, nowMs: number): void {
  for (let message = 0; message < 100 * SHARDS; message++) pace.countMessage(nowMs);
}

describe("the pace of turns", () => {
  it("a scan's first attempts go at once, whatever their number of turns", () => {
    const pace = new TurnPace();
    for (let attempt = 0; attempt < 10; attempt++) {
      pace.countTurn(0.1 * attempt, 1);
      pace.countMessage(0.1 * attempt);
      expect(pace.restMs(0.1 * attempt)).toBe(0);
    }
  });

  it("a thousand attempts a second go one by one", () => {
    expect(spendSecond(new TurnPace(), 1000)).toEqual({
      turns: 1000,
      messages: 1000,
      longestRestMs: 0,
    });
  });

  it.each([
    [10_000, MAX_REST_MS],
    [100_000, MAX_REST_MS],
    [200_000, MAX_CROWDED_REST_MS],
    [1_000_000, MAX_CROWDED_REST_MS],
  ])("%d attempts a second make a message for each shard every %d ms", (rate, restMs) => {
    const { messages, longestRestMs } = spendSecond(new TurnPace(), rate);
    const turnsUntilKnown = RATE_WINDOW_MS / MAX_REST_MS - RATE_WINDOW_MS / restMs;
    const turns = SECOND_MS / restMs + turnsUntilKnown;
    expect(messages).toBeLessThanOrEqual(BURST + (turns + 1) * SHARDS);
    expect(messages).toBeGreaterThan(0.75 * turns * SHARDS);
    expect(longestRestMs).toBe(restMs);
  });

  it("turns of two rings that follow each other count together", () => {
    const pace = new TurnPace();
    const rests = Array.from({ length: 20 }, (_, round) => {
      const nowMs = 1000 + 16 * round;
      for (const ringMs of [nowMs, nowMs + 0.5]) {
        pace.countTurn(ringMs, 700);
        spendAll(pace, ringMs);
      }
      return pace.restMs(nowMs + 0.5);
    });
    expect(Math.max(...rests)).toBe(MAX_REST_MS);
  });

  it("bursts of what isn't many in the long run make no flood", () => {
    const pace = new TurnPace();
    const rests = Array.from({ length: 100 }, (_, round) => {
      const nowMs = 1000 + 16 * round;
      pace.countTurn(nowMs, round % 2 === 0 ? 3200 : 0);
      spendAll(pace, nowMs);
      return pace.restMs(nowMs);
    });
    expect(Math.max(...rests)).toBe(MAX_REST_MS);
  });

  it("a flood is forgotten a window after it has ended", () => {
    const pace = new TurnPace();
    spendSecond(pace, 1_000_000);
    const nowMs = SECOND_MS + 2 * RATE_WINDOW_MS;
    pace.countTurn(nowMs - RATE_WINDOW_MS, 1);
    pace.countTurn(nowMs, 1);
    spendAll(pace, nowMs);
    expect(pace.restMs(nowMs)).toBe(MAX_REST_MS);
  });

  it("what was spent is paid for with the longest rest", () => {
    const pace = new TurnPace();
    spendAll(pace, 0);
    expect(pace.restMs(0)).toBe(MAX_REST_MS);
    expect(pace.restMs(MAX_REST_MS)).toBe(0);
  });
});
