import assert from "node:assert/strict";
import type { SynEvent } from "@packetwatch/contracts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createDetector, type Detection, type Detector, type DetectorConfig } from "./detector.ts";
import type { RuleAction, RuleConfig } from "./rules.ts";
import { NaiveDetector, type NaiveDetection } from "./testing/naive-detector.ts";
import { detectorStream, SECOND_US, type Step } from "./testing/streams.ts";
import { verdictId } from "./verdict-id.ts";

const action = fc.constantFrom<RuleAction>("block", "alert", "off");

function rule(windowUs: number): fc.Arbitrary<RuleConfig> {
  const windows = fc.constantFrom(windowUs, Math.ceil(windowUs / 2), windowUs * 3);
  return fc.record({ threshold: fc.integer({ min: 1, max: 6 }), windowUs: windows, action });
}

const scenario = fc.constantFrom(10, 1_000, 60 * SECOND_US).chain((windowUs) =>
  fc.record({
    rules: fc.record({
      vertical: rule(windowUs),
      horizontal: rule(windowUs),
      spread: rule(windowUs),
    }),
    blockTtlUs: fc.constantFrom(0, 1, Math.ceil(windowUs / 2), windowUs * 2),
    steps: detectorStream(windowUs),
  }),
);

const ample = { capacity: 4096, maxQuietSources: 64, seed: 1 };

test("a detector with room for all keys detects and counts what the naive oracle does, verdicts included", () => {
  fc.assert(
    fc.property(scenario, ({ rules, blockTtlUs, steps }) => {
      const detector = createDetector({ ...ample, rules, blockTtlUs });
      const oracle = new NaiveDetector({ rules, blockTtlUs });
      for (const step of steps) {
        if ("event" in step) {
          const found = (detector.observe(step.event) ?? []).map(inOracleTerms);
          assert.deepEqual(found, oracle.observe(step.event));
        } else {
          detector.applyVerdict(step.verdict);
          oracle.applyVerdict(step.verdict);
        }
      }
      const { allowed, quiet, beforeUnblock, late, coolingDown } = detector.stats();
      expect({ allowed, quiet, beforeUnblock, late, coolingDown }).toEqual({
        allowed: oracle.allowed,
        quiet: oracle.quiet,
        beforeUnblock: oracle.beforeUnblock,
        late: oracle.late,
        coolingDown: oracle.coolingDown,
      });
    }),
    { numRuns: 500 },
  );
}, 60_000);

test("the seed alters nothing as long as nothing is evicted", () => {
  fc.assert(
    fc.property(scenario, fc.nat(), ({ rules, blockTtlUs, steps }, seed) => {
      const config = { ...ample, rules, blockTtlUs };
      expect(idsOf({ ...config, seed }, steps)).toEqual(idsOf(config, steps));
    }),
  );
}, 60_000);

test("tables of any size stay within the memory taken at construction and never throw", () => {
  const sizes = fc.record({
    capacity: fc.integer({ min: 1, max: 16 }),
    maxQuietSources: fc.integer({ min: 1, max: 4 }),
  });
  fc.assert(
    fc.property(scenario, sizes, ({ rules, blockTtlUs, steps }, size) => {
      const detector = createDetector({ ...size, rules, blockTtlUs, seed: 1 });
      const bytes = detector.bytes;
      for (const step of steps) {
        if ("event" in step) detector.observe(step.event);
        else detector.applyVerdict(step.verdict);
      }
      expect(detector.bytes).toBe(bytes);
      expect(detector.stats().quietSources).toBeLessThanOrEqual(size.maxQuietSources);
    }),
  );
}, 60_000);

/** Verdicts may overtake one another on the way, but not the events: all come first here. */
test("verdicts have the same effect in whatever order they are applied", () => {
  fc.assert(
    fc.property(scenario, fc.func(fc.integer()), ({ rules, blockTtlUs, steps }, rank) => {
      const config = { ...ample, rules, blockTtlUs };
      const verdicts = steps.filter((step) => "verdict" in step);
      const events = steps.filter((step) => "event" in step);
      const shuffled = verdicts.toSorted((left, right) => rank(left) - rank(right));
      expect(idsOf(config, [...shuffled, ...events])).toEqual(
        idsOf(config, [...verdicts, ...events]),
      );
    }),
  );
}, 60_000);

test("a batch decides and counts what its events do one by one", () => {
  fc.assert(
    fc.property(scenario, ({ rules, blockTtlUs, steps }) => {
      const config = { ...ample, rules, blockTtlUs };
      const [batched, single] = [createDetector(config), createDetector(config)];
      const found: Detection[] = [];
      for (const events of batchesOf(steps, [batched, single])) {
        const read = (index: number, event: SynEvent) => Object.assign(event, events[index]);
        batched.observeBatch({ count: events.length, read }, (detections) =>
          found.push(...detections),
        );
        const expected = events.flatMap((event) => single.observe(event) ?? []);
        assert.deepEqual(found.splice(0), expected);
      }
      assert.deepEqual(batched.stats(), single.stats());
    }),
  );
}, 60_000);

/** The events between two verdicts each; a verdict is applied to the detectors when its turn comes. */
function* batchesOf(steps: readonly Step[], detectors: readonly Detector[]) {
  let events: SynEvent[] = [];
  for (const step of steps) {
    if ("event" in step) {
      events.push(step.event);
      continue;
    }
    yield events;
    events = [];
    for (const detector of detectors) detector.applyVerdict(step.verdict);
  }
  yield events;
}

function idsOf(config: DetectorConfig, steps: readonly Step[]): string[] {
  const detector = createDetector(config);
  return steps.flatMap((step) => {
    if ("event" in step) return (detector.observe(step.event) ?? []).map(verdictId);
    detector.applyVerdict(step.verdict);
    return [];
  });
}

function inOracleTerms({ rule, action, evidence }: Detection): NaiveDetection {
  const destinations = evidence.destinations.map((destination) => destination.join(".")).toSorted();
  return {
    rule,
    action,
    destinations,
    ports: evidence.ports.map(String).toSorted(),
    count: evidence.count,
  };
}
