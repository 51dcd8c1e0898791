import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Breaker, type BreakerLimits, type CountedVerdict } from "./breaker.ts";

const SECOND_US = 1_000_000;

function create(limits: Partial<BreakerLimits> = {}) {
  const breaker = new Breaker({ maxPerMinute: 3, maxBlocked: 0, ...limits });
  breaker.completeList();
  let sequence = 0;
  const take = (source: number, seconds: number, block?: Partial<CountedVerdict["block"]>) =>
    breaker.take({
      subject: `s${source}`,
      sequence: ++sequence,
      storedUs: seconds * SECOND_US,
      block: { decidedBy: "detector", expiresUs: Infinity, ...block },
    }).kind;
  const lift = (source: number, seconds: number) =>
    breaker.take({
      subject: `s${source}`,
      sequence: ++sequence,
      storedUs: seconds * SECOND_US,
      block: undefined,
    });
  return { breaker, take, lift };
}

describe("the breaker", () => {
  it("opens with the first block beyond the limit of a minute, and holds what follows", () => {
    const { breaker, take } = create();
    expect([1, 2, 3].map((source) => take(source, source))).toEqual([
      "counted",
      "counted",
      "counted",
    ]);
    expect([take(4, 4), take(5, 5)]).toEqual(["opens", "held"]);
    expect(breaker.isOpen).toBe(true);
  });

  it.each([
    [60.999_999, "opens"],
    [61, "counted"],
  ])("blocks of seconds 1, 2 and 3, and one at second %d: it %s", (seconds, outcome) => {
    const { take } = create();
    for (const source of [1, 2, 3]) take(source, source);
    expect(take(4, seconds)).toBe(outcome);
  });

  it("a source that is blocked again, or was lifted, counts once or no more", () => {
    const { take, lift } = create();
    for (const source of [1, 2, 2, 3, 3]) take(source, 1);
    lift(1, 2);
    expect([take(4, 2), take(5, 2)]).toEqual(["counted", "opens"]);
  });

  it("counts all blocks in force, the operator's too, and never holds the operator's", () => {
    const { take } = create({ maxPerMinute: 0, maxBlocked: 3 });
    for (const source of [1, 2, 3, 4]) {
      expect(take(source, 1, { decidedBy: "operator" })).toBe("counted");
    }
    expect(take(5, 1)).toBe("opens");
    expect(take(6, 1, { decidedBy: "operator" })).toBe("counted");
  });

  it("a block that has ended is in force no more", () => {
    const { take } = create({ maxPerMinute: 0, maxBlocked: 2 });
    take(1, 1, { expiresUs: 5 * SECOND_US });
    take(2, 1);
    expect([take(3, 5), take(4, 5)]).toEqual(["counted", "opens"]);
  });

  it("closed, it counts the rate anew", () => {
    const { breaker, take } = create();
    for (const source of [1, 2, 3, 4]) take(source, 1);
    breaker.set("closed");
    expect([5, 6, 7, 8].map((source) => take(source, 2))).toEqual([
      "counted",
      "counted",
      "counted",
      "opens",
    ]);
  });

  it("is off where both limits are 0", () => {
    const { take } = create({ maxPerMinute: 0 });
    const outcomes = Array.from({ length: 1000 }, (_, source) => take(source, 1));
    expect(new Set(outcomes)).toEqual(new Set(["counted"]));
  });

  it("one that starts late, with the list alone, opens at the same verdict", () => {
    const verdict = fc.record({
      source: fc.nat(12),
      stepSeconds: fc.nat(30),
      isBlock: fc.boolean(),
      decidedBy: fc.constantFrom("detector" as const, "operator" as const),
    });
    const limits = fc.record({ maxPerMinute: fc.nat(5), maxBlocked: fc.nat(8) });
    fc.assert(
      fc.property(fc.array(verdict, { maxLength: 60 }), fc.nat(60), limits, (steps, at, limits) => {
        let seconds = 0;
        const stream = steps.map(({ source, stepSeconds, isBlock, decidedBy }, index) => ({
          subject: `s${source}`,
          sequence: index + 1,
          storedUs: (seconds += stepSeconds) * SECOND_US,
          block: isBlock ? { decidedBy, expiresUs: Infinity } : undefined,
        }));
        const early = new Breaker(limits);
        early.completeList();
        const outcomes = stream.map((each) => early.take(each).kind);
        const opening = outcomes.indexOf("opens");
        const startAt = Math.min(at, opening < 0 ? stream.length : opening);
        const last = new Map(stream.slice(0, startAt).map((each) => [each.subject, each]));
        const late = new Breaker(limits);
        const list = [...last.values()].toSorted((a, b) => a.sequence - b.sequence);
        for (const each of list) late.take(each);
        late.completeList();
        const rest = stream.slice(startAt).map((each) => late.take(each).kind);
        expect(rest).toEqual(outcomes.slice(startAt));
      }),
    );
  });
});
