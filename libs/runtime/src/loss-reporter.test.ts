import { describe, expect, it } from "vitest";
import { LossReporter } from "./loss-reporter.ts";

function createReporter() {
  const said: object[] = [];
  const clock = { ms: 1_000_000 };
  const reporter = new LossReporter({
    warn: (fields) => said.push(fields),
    message: "records were dropped",
    now: () => clock.ms,
  });
  return { reporter, said, clock };
}

describe("the loss reporter", () => {
  it("says the first loss at once, and sums up what follows until the quiet is over", () => {
    const { reporter, said, clock } = createReporter();
    reporter.add(5);
    reporter.add(1);
    reporter.add(2);
    expect(said).toEqual([{ records: 5, total: 5 }]);
    clock.ms += 1000;
    reporter.report();
    expect(said.at(-1)).toEqual({ records: 3, total: 8 });
  });

  it("an hour of steady loss makes some seventy lines", () => {
    const { reporter, said, clock } = createReporter();
    for (let second = 0; second < 3600; second++) {
      reporter.add(100);
      clock.ms += 1000;
    }
    expect(said.length).toBeGreaterThan(50);
    expect(said.length).toBeLessThan(75);
  });

  it("after a quiet minute the next loss is said at once again", () => {
    const { reporter, said, clock } = createReporter();
    for (let round = 0; round < 8; round++) {
      reporter.add(1);
      clock.ms += 70_000;
    }
    clock.ms += 120_000;
    reporter.report();
    reporter.add(1);
    clock.ms += 1000;
    reporter.add(1);
    expect(said).toHaveLength(10);
  });
});
