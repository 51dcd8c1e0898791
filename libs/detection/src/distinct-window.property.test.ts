import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "vitest";
import { DistinctWindow } from "./distinct-window.ts";
import { createEventTuple, FLOOR, TIME } from "./event-tuple.ts";
import { ruleLayouts } from "./rules.ts";
import { NaiveWindow } from "./testing/naive-window.ts";
import { address, START_US, timeStep } from "./testing/streams.ts";
import { TupleHash } from "./tuple-hash.ts";

const windowLength = fc.oneof(
  fc.constantFrom(0, 1, 2, 1_000, 60_000_000),
  fc.integer({ min: 0, max: 3_600_000_000 }),
);

const scenario = windowLength.chain((windowUs) =>
  fc.record({
    windowUs: fc.constant(windowUs),
    threshold: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 7, max: 40 })),
    layout: fc.constantFrom(...Object.values(ruleLayouts)),
    seed: fc.nat(),
    events: fc.array(
      fc.record({
        stepUs: timeStep(windowUs),
        source: address,
        destination: address,
        port: fc
          .integer({ min: 0, max: 65_535 })
          .map((port) => (port % 3 === 0 ? port : port % 48)),
        floorAgoUs: fc.oneof(
          { weight: 4, arbitrary: fc.constant(Infinity) },
          { weight: 1, arbitrary: fc.nat(windowUs * 2) },
        ),
      }),
      { maxLength: 300, size: "max" },
    ),
  }),
);

test("a window with room for all keys decides and holds, event by event, what the naive oracle does", () => {
  fc.assert(
    fc.property(scenario, ({ windowUs, threshold, layout, seed, events }) => {
      const window = new DistinctWindow({
        layout,
        capacity: 4096,
        extensionCapacity: 4096,
        threshold,
        windowUs,
      });
      const oracle = new NaiveWindow({ threshold, windowUs });
      const bytes = window.bytes;
      const hash = new TupleHash(seed);
      const floors = new Map<string, number>();
      let timeUs = START_US;
      for (const { stepUs, source, destination, port, floorAgoUs } of events) {
        timeUs += stepUs;
        const tuple = createEventTuple();
        const { words, times } = tuple;
        words.set([port, ...source, ...destination, port]);
        hash.fill(words);
        const key = words.subarray(layout.keyStart, layout.keyStart + layout.keyWords).join(".");
        const item = words
          .subarray(layout.itemStart, layout.itemStart + layout.itemWords)
          .join(".");
        const floorUs = Math.max(timeUs - floorAgoUs, floors.get(key) ?? -Infinity);
        if (timeUs < floorUs) continue;
        floors.set(key, floorUs);
        times[TIME] = timeUs;
        times[FLOOR] = floorUs;
        const fired = window.observe(tuple);
        assert.equal(fired, oracle.observe({ key, item, timeUs, floorUs }));
        const held = window.inspect(tuple)?.items.map((seen) => seen.item.join(".")) ?? [];
        assert.deepEqual(
          (fired ? [...held, item] : held).toSorted(),
          oracle.inWindow(key, floorUs),
        );
        if (!fired) continue;
        window.release(tuple);
        oracle.release(key);
      }
      assert.equal(window.late, oracle.late);
      assert.equal(window.evictedLive, 0);
      assert.equal(window.bytes, bytes);
    }),
    { numRuns: 400 },
  );
}, 60_000);
