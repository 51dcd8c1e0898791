import { describe, expect, it } from "vitest";
import { MAX_REST_MS, TurnPace } from "./turn-pace.ts";

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
    const messages = Math.min(SHARDS, Math.floor((nowMs - readMs) / everyMs + 1e-6));
    readMs = nowMs;
    pace.countTurn(nowMs);
    for (let message = 0; message < messages; message++) pace.countMessage(nowMs);
    outcome.turns++;
    outcome.messages += messages;
    const restMs = pace.restMs(nowMs);
    outcome.longestRestMs = Math.max(outcome.longestRestMs, restMs);
    nowMs += Math.max(restMs, everyMs);
  }
  return outcome;
}

describe("the pace of turns", () => {
  it("a scan's first attempts go at once, whatever their number of turns", () => {
    const pace = new TurnPace();
    for (let attempt = 0; attempt < 10; attempt++) {
      pace.countTurn(0.1 * attempt);
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

  it.each([10_000, 100_000, 1_000_000])(
    "%d attempts a second make no more than so many messages",
    (rate) => {
      const { messages, longestRestMs } = spendSecond(new TurnPace(), rate);
      expect(messages).toBeLessThanOrEqual(BURST + (SECOND_MS / MAX_REST_MS + 1) * SHARDS);
      expect(messages).toBeGreaterThan(3000);
      expect(longestRestMs).toBeLessThanOrEqual(MAX_REST_MS);
    },
  );

  it("what was spent is paid for with the longest rest", () => {
    const pace = new TurnPace();
    for (let message = 0; message < 100_000; message++) pace.countMessage(0);
    expect(pace.restMs(0)).toBe(MAX_REST_MS);
    expect(pace.restMs(MAX_REST_MS)).toBe(0);
  });
});
