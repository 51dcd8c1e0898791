import { describe, expect, it } from "vitest";
import { LONGEST_DELAY_MS, STABLE_AFTER_MS, countDeaths, restartDelayMs } from "./backoff.ts";

describe("backoff", () => {
  it("doubles from half a second with every death in a row", () => {
    expect([1, 2, 3, 4].map(restartDelayMs)).toEqual([500, 1000, 2000, 4000]);
  });

  it("never waits longer than its maximum, however many deaths there were", () => {
    expect(restartDelayMs(7)).toBe(LONGEST_DELAY_MS);
    expect(restartDelayMs(100_000)).toBe(LONGEST_DELAY_MS);
  });

  it("counts anew after a run that was long enough, and not a millisecond before", () => {
    expect(countDeaths(5, STABLE_AFTER_MS - 1)).toBe(6);
    expect(countDeaths(5, STABLE_AFTER_MS)).toBe(1);
  });
});
