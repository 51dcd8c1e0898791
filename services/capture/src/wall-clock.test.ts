import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_SLEWED_STEP_US, SLEW_PER_SECOND_US, WallClock } from "./wall-clock.ts";

const SECOND_US = 1_000_000;

describe("the wall clock", () => {
  it("is boot time plus the sampled offset, in whole microseconds", () => {
    const clock = new WallClock(1_700_000_000_000.4, 0);
    expect(clock.toWallUs(1_999)).toBe(1_700_000_000_001);
  });

  it("follows a step within the noise at once", () => {
    const clock = new WallClock(1000, 0);
    clock.adjust(1050, SECOND_US);
    expect(clock.offsetUs).toBe(1050);
  });

  it.each([
    [-SECOND_US, -SLEW_PER_SECOND_US],
    [SECOND_US, SLEW_PER_SECOND_US],
    [-MAX_SLEWED_STEP_US, -SLEW_PER_SECOND_US],
    [-MAX_SLEWED_STEP_US - 1, -MAX_SLEWED_STEP_US - 1],
    [-300, -300],
  ])("a step of %d us moves it by %d us in the first second", (step, moved) => {
    const clock = new WallClock(0, 0);
    clock.adjust(step, SECOND_US);
    expect(clock.offsetUs).toBe(moved);
  });

  it("an interval of 61 seconds stays longer than 60 through any steps of NTP's size", () => {
    const steps = fc.array(
      fc.integer({ min: -MAX_SLEWED_STEP_US / 8, max: MAX_SLEWED_STEP_US / 8 }),
      {
        minLength: 61,
        maxLength: 61,
      },
    );
    fc.assert(
      fc.property(steps, (offsets) => {
        const clock = new WallClock(0, 0);
        const begin = clock.toWallUs(0);
        for (const [index, offset] of offsets.entries())
          clock.adjust(offset, (index + 1) * SECOND_US);
        const end = clock.toWallUs(61 * SECOND_US * 1000);
        expect(end - begin).toBeGreaterThan(60 * SECOND_US);
        expect(end - begin).toBeLessThan(62 * SECOND_US);
      }),
    );
  });
});
