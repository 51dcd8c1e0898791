import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  delay,
  seen,
  telemetry,
  testCatalogue as catalogue,
  totalOf,
  work,
} from "../testing/telemetry.ts";
import { aggregatorLimits, TelemetryAggregator } from "./aggregator.ts";
import { DEPARTED_AFTER_MS } from "./instance-table.ts";

const PUBLISHERS = 6;

/** What a publisher does: it counts, is killed and starts anew, is cut off for a while, says less than before, or
 * its last start but one is heard once more. */
const action = fc.record({
  publisher: fc.nat({ max: PUBLISHERS - 1 }),
  kind: fc.constantFrom("count", "count", "count", "restart", "resend", "stale", "late"),
  amount: fc.nat({ max: 1000 }),
  waitMs: fc.constantFrom(0, 1000, 1000, DEPARTED_AFTER_MS + 1),
});
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

type Publisher = { starts: number; counted: number; heard: number; before: number };

/** Publishers that count for themselves, and the naive sum of what each start of each has said at most. */
class Fleet {
  readonly publishers: Publisher[] = Array.from({ length: PUBLISHERS }, () => ({
    starts: 0,
    counted: 0,
    heard: 0,
    before: 0,
  }));
  departed = 0;

  get sum(): number {
    return this.publishers.reduce((sum, { heard }) => sum + heard, this.departed);
  }

  /** The value and the instance that are published. */
  act({ publisher: index, kind, amount }: Action): { instance: string; value: number } {
    const publisher = this.publishers[index] as Publisher;
    const { starts, heard, before } = publisher;
    if (kind === "late" && starts > 0) return { instance: `${index}-${starts - 1}`, value: before };
    if (kind === "restart") {
      this.departed += heard;
      Object.assign(publisher, { starts: starts + 1, counted: 0, heard: 0, before: heard });
    }
    if (kind === "count") publisher.counted += amount;
    const value = kind === "stale" ? Math.floor(publisher.counted / 2) : publisher.counted;
    publisher.heard = Math.max(publisher.heard, value);
    return { instance: `${index}-${publisher.starts}`, value };
  }
}

function run(actions: readonly Action[], aggregator: TelemetryAggregator, scale = 1) {
  const fleet = new Fleet();
  const history = [{ naive: 0, total: 0, connections: 0 }];
  let nowMs = 0;
  for (const one of actions) {
    nowMs += one.waitMs;
    const { instance, value } = fleet.act(one);
    const counts = [work(value * scale), delay([0, 0, value], value * scale)];
    aggregator.ingest(telemetry(instance, counts), nowMs);
    aggregator.ingest(telemetry(instance, [seen(value * scale, instance)], "kernel"), nowMs);
    aggregator.registries(nowMs);
    history.push({
      naive: fleet.sum,
      total: totalOf(aggregator, "work_total") ?? 0,
      connections: totalOf(aggregator, "conn_count_total") ?? 0,
    });
  }
  return history;
}

function expectNeverBack(values: readonly number[]): void {
  for (const [index, value] of values.entries()) {
    expect(value).toBeGreaterThanOrEqual(values[index - 1] ?? 0);
  }
}

describe("totals of publishers that start, count, die and come back", () => {
  it("equal the naive sum after each message", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const history = run(actions, new TelemetryAggregator({ catalogue, startMs: 0 }));
        for (const { naive, total, connections } of history) {
          expect([total, connections]).toEqual([naive, naive]);
        }
      }),
    );
  });

  it("never go back, with fractions that can't be summed exactly, and little room", () => {
    const limits = { ...aggregatorLimits, maxInstances: 5, maxMergedNames: 3, maxSamples: 40 };
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const aggregator = new TelemetryAggregator({ catalogue, startMs: 0, limits });
        const history = run(actions, aggregator, 0.1);
        expectNeverBack(history.map(({ total }) => total));
        expectNeverBack(history.map(({ connections }) => connections));
        expect(aggregator.samples).toBeLessThanOrEqual(limits.maxSamples);
      }),
    );
  });

  // What a merged instance had counted is no longer known one by one, so here none says less than before.
  it("are never above the naive sum when instances are merged and return", () => {
    const limits = { ...aggregatorLimits, maxInstances: 4 };
    const honest = action.filter(({ kind }) => kind !== "stale");
    fc.assert(
      fc.property(fc.array(honest, { maxLength: 200 }), (actions) => {
        const history = run(actions, new TelemetryAggregator({ catalogue, startMs: 0, limits }));
        for (const { naive, total } of history) expect(total).toBeLessThanOrEqual(naive);
      }),
    );
  });
});
