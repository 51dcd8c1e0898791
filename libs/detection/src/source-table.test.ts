import type { AddressWords } from "@packetwatch/net";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  createEventTuple,
  createTupleGroup,
  DESTINATION,
  type EventTuple,
  LEADING_PORT,
  PORT,
  SOURCE,
  TIME,
} from "./event-tuple.ts";
import { SourceTable, type SourceTableOptions } from "./source-table.ts";
import { addresses, SECOND_US, START_US, timeStep } from "./testing/streams.ts";
import { TupleHash } from "./tuple-hash.ts";

const SHORTEST_US = 60 * SECOND_US;
const LONGEST_US = 300 * SECOND_US;
const HALF_AN_HOUR_US = 2 ** 31 - 3;

const visitor: AddressWords = [0, 0, 0xffff, 0xcb007109];
const web: AddressWords = [0, 0, 0xffff, 0xc0000201];
const hostOf = (last: number): AddressWords => [0, 0, 0xffff, 0xc0000210 + last];

/** [time since START_US in microseconds, port, destination] */
type Sighting = readonly [timeUs: number, port: number, destination?: AddressWords];

function createTable(options: Partial<SourceTableOptions> = {}) {
  const hash = new TupleHash(1);
  const replayed: Sighting[] = [];
  const table = new SourceTable({
    capacity: 64,
    thresholds: { vertical: 3, horizontal: 25, spread: 25 },
    shortestWindowUs: SHORTEST_US,
    longestWindowUs: LONGEST_US,
    isKnown: () => false,
    replay: (tuple) => replayed.push(sightingOf(tuple)),
    ...options,
  });
  const tupleOf = ([timeUs, port, destination = web]: Sighting, source: AddressWords) => {
    const tuple = createEventTuple();
    const { words, times } = tuple;
    words.set([port, ...source, ...destination, port], LEADING_PORT);
    hash.fillSource(words);
    times[TIME] = START_US + timeUs;
    return tuple;
  };
  const absorb = (sighting: Sighting, source = visitor) => table.absorb(tupleOf(sighting, source));
  const absorbGroup = (sighting: Sighting, sources: readonly AddressWords[]) => {
    const group = createTupleGroup(sources.length);
    for (const [member, source] of sources.entries()) {
      const { words, times } = tupleOf(sighting, source);
      group.tuples[member]!.words.set(words);
      group.tuples[member]!.times.set(times);
    }
    let busy = 0;
    table.absorbGroup(group, sources.length, () => busy++);
    return busy;
  };
  const leave = (source = visitor) => table.leaveToRules(tupleOf([0, 0], source).words);
  return { table, absorb, absorbGroup, leave, replayed };
}

function sightingOf({ words, times }: EventTuple): Sighting {
  expect([...words.subarray(SOURCE, DESTINATION)]).toEqual(visitor);
  expect(words[LEADING_PORT]).toBe(words[PORT]);
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = words.subarray(DESTINATION, PORT);
  return [times[TIME]! - START_US, words[PORT]!, [w0, w1, w2, w3]];
}

describe("a source", () => {
  type Case = {
    readonly title: string;
    readonly seen: readonly Sighting[];
    /** Whether the last one was taken in. */
    readonly absorbed: boolean;
    /** What was kept of it. */
    readonly kept: readonly (readonly [timeUs: number, port: number])[];
  };
  const cases: readonly Case[] = [
    { title: "of one target is taken in", seen: [[0, 80]], absorbed: true, kept: [[0, 80]] },
    {
      title: "counts at its latest sighting, whatever the order",
      seen: [
        [5, 80],
        [9, 80],
        [7, 80],
      ],
      absorbed: true,
      kept: [[9, 80]],
    },
    {
      title: "of two targets is taken in",
      seen: [
        [0, 80],
        [3, 81],
      ],
      absorbed: true,
      kept: [
        [0, 80],
        [3, 81],
      ],
    },
    {
      title: "whose second target is the older has it told first",
      seen: [
        [3, 80],
        [0, 81],
      ],
      absorbed: true,
      kept: [
        [0, 81],
        [3, 80],
      ],
    },
    {
      title: "counts at the latest sighting of each of two targets",
      seen: [
        [0, 80],
        [3, 81],
        [9, 80],
        [4, 80],
        [7, 81],
        [2, 81],
      ],
      absorbed: true,
      kept: [
        [7, 81],
        [9, 80],
      ],
    },
    {
      title: "of three ports of a host is the rules'",
      seen: [
        [0, 80],
        [3, 81],
        [4, 82],
      ],
      absorbed: false,
      kept: [
        [0, 80],
        [3, 81],
      ],
    },
    {
      title: "the shortest window behind its newest is taken in",
      seen: [
        [SHORTEST_US, 80],
        [0, 81],
      ],
      absorbed: true,
      kept: [
        [0, 81],
        [SHORTEST_US, 80],
      ],
    },
    {
      title: "a microsecond further behind is the rules'",
      seen: [
        [SHORTEST_US, 80],
        [-1, 80],
      ],
      absorbed: false,
      kept: [[SHORTEST_US, 80]],
    },
    {
      title: "whose targets are half an hour apart is taken in",
      seen: [
        [0, 80],
        [HALF_AN_HOUR_US, 81],
      ],
      absorbed: true,
      kept: [
        [0, 80],
        [HALF_AN_HOUR_US, 81],
      ],
    },
    {
      title: "whose targets are further apart is the rules'",
      seen: [
        [0, 80],
        [HALF_AN_HOUR_US + 1, 81],
      ],
      absorbed: false,
      kept: [[0, 80]],
    },
    {
      title: "whose targets come to be further apart is the rules', as it was before",
      seen: [
        [0, 80],
        [1, 81],
        [HALF_AN_HOUR_US + 2, 80],
      ],
      absorbed: false,
      kept: [
        [0, 80],
        [1, 81],
      ],
    },
    {
      title: "may come back to one target after any time",
      seen: [
        [0, 80],
        [3 * HALF_AN_HOUR_US, 80],
      ],
      absorbed: true,
      kept: [[3 * HALF_AN_HOUR_US, 80]],
    },
  ];

  test.each(cases)("$title", ({ seen, absorbed, kept }) => {
    const { absorb, leave, replayed } = createTable();
    const taken = seen.map((sighting) => absorb(sighting));
    expect(taken).toEqual([...Array.from({ length: seen.length - 1 }, () => true), absorbed]);
    expect(replayed).toEqual(absorbed ? [] : kept.map(([timeUs, port]) => [timeUs, port, web]));
    leave();
    leave();
    expect(replayed).toEqual(kept.map(([timeUs, port]) => [timeUs, port, web]));
    expect(absorb([0, 80])).toBe(false);
  });

  test("that is busy stays so, and is replayed once", () => {
    const { absorb, replayed } = createTable();
    for (const port of [80, 81, 82]) absorb([0, port]);
    expect([absorb([1, 80]), absorb([9 * LONGEST_US, 80])]).toEqual([false, false]);
    expect(replayed).toHaveLength(2);
  });

  test("that rules or verdicts know is busy from its first event", () => {
    const { absorb, replayed } = createTable({
      isKnown: (words) => words[SOURCE + 3] === visitor[3],
    });
    expect(absorb([0, 80])).toBe(false);
    expect(absorb([0, 80], web)).toBe(true);
    expect(replayed).toEqual([]);
  });

  test("that isn't known can be left to the rules", () => {
    const { leave, absorb, replayed } = createTable();
    leave();
    expect(replayed).toEqual([]);
    expect(absorb([0, 80])).toBe(true);
  });
});

describe.each(["vertical", "horizontal", "spread"] as const)("where %s takes", (rule) => {
  const off = { vertical: Infinity, horizontal: Infinity, spread: Infinity };
  test.each([1, 2, 3, 4])("%i targets for a scan, fewer are taken in", (threshold) => {
    const { absorb } = createTable({ thresholds: { ...off, [rule]: threshold } });
    const targetOf = (index: number): Sighting =>
      rule === "horizontal" ? [index, 80, hostOf(index)] : [index, 80 + index];
    const taken = [0, 1, 2, 3].map((index) => absorb(targetOf(index)));
    expect(taken).toEqual([0, 1, 2, 3].map((index) => index + 1 < threshold));
  });
});

test("targets that differ in one word or in the port are different ones", () => {
  const pairs = addresses.flatMap((first) => addresses.map((second) => [first, second] as const));
  for (const [first, second] of pairs) {
    if (first === second) continue;
    const { absorb, leave, replayed } = createTable();
    absorb([0, 0xffff, first]);
    absorb([1, 0xffff, second]);
    leave();
    expect(replayed).toEqual([
      [0, 0xffff, first],
      [1, 0xffff, second],
    ]);
  }
});

test.each([0, 1, 2, 3])(
  "sources of a group that differ in word %i alone are different ones",
  (word) => {
    const sources = Array.from({ length: 8 }, (_, index) => {
      const [w0, w1, w2, w3] = visitor.with(word, index);
      return [w0!, w1!, w2!, w3!] as const;
    });
    // All of them have the same few homes, and try the same target.
    const { table, absorbGroup } = createTable({ capacity: 8 });
    expect(absorbGroup([0, 443], sources)).toBe(0);
    expect(table.size).toBe(8);
    expect(absorbGroup([1, 443], sources)).toBe(0);
    expect(table.size).toBe(8);
  },
);

describe("a source of several targets", () => {
  const thresholds = { vertical: 100, horizontal: 100, spread: 100 };

  test("keeps the latest sighting of each, whatever comes, and is left to the rules with all of them", () => {
    const sighting = fc.record({
      stepUs: timeStep(SHORTEST_US),
      port: fc.integer({ min: 80, max: 83 }),
      destination: fc.nat({ max: 3 }).map(hostOf),
    });
    fc.assert(
      fc.property(fc.array(sighting, { maxLength: 60 }), (sightings) => {
        const { absorb, leave, replayed } = createTable({ thresholds });
        const latest = new Map<string, Sighting>();
        let timeUs = 0;
        for (const { stepUs, port, destination } of sightings) {
          timeUs = Math.max(0, timeUs + stepUs);
          if (!absorb([timeUs, port, destination])) break;
          const key = `${port} ${destination.join()}`;
          latest.set(key, [Math.max(timeUs, latest.get(key)?.[0] ?? 0), port, destination]);
        }
        leave();
        expect(replayed.map(([seenUs]) => seenUs)).toEqual(
          replayed.map(([seenUs]) => seenUs).toSorted((left, right) => left - right),
        );
        expect(new Set(replayed.map(String))).toEqual(new Set([...latest.values()].map(String)));
      }),
      { numRuns: 500 },
    );
  });

  test("is the rules' with the eleventh, or with one of another network", () => {
    for (const [last, another] of [
      [10, hostOf(10)],
      [3, addresses[3]!],
    ] as const) {
      const { absorb, replayed } = createTable({ thresholds });
      for (let host = 0; host < last; host++) expect(absorb([host, 80, hostOf(host)])).toBe(true);
      expect(absorb([last, 80, another])).toBe(false);
      expect(replayed).toEqual(Array.from({ length: last }, (_, host) => [host, 80, hostOf(host)]));
    }
  });

  test("may come back to its targets for ever, as long as it leaves none out for an hour", () => {
    const { absorb, replayed } = createTable({ thresholds });
    const visit = (timeUs: number, last: number) => absorb([timeUs, 80, hostOf(last)]);
    for (const last of [0, 1, 2]) visit(0, last);
    for (let round = 1; round <= 5; round++) {
      expect([0, 1, 2].map((last) => visit(round * HALF_AN_HOUR_US, last))).toEqual([
        true,
        true,
        true,
      ]);
    }
    expect(visit(6 * HALF_AN_HOUR_US, 0)).toBe(true);
    expect(visit(8 * HALF_AN_HOUR_US, 0)).toBe(false);
    expect(replayed).toEqual([
      [5 * HALF_AN_HOUR_US, 80, hostOf(1)],
      [5 * HALF_AN_HOUR_US, 80, hostOf(2)],
      [6 * HALF_AN_HOUR_US, 80, hostOf(0)],
    ]);
  });

  test("that has to leave for another is the rules' if it is live, and its list is lent again", () => {
    const source = (last: number): AddressWords => [0, 0, 0xffff, last];
    for (const [timeUs, kept] of [
      [LONGEST_US, 3],
      [LONGEST_US + 1, 0],
    ] as const) {
      const replayed: Sighting[] = [];
      const { absorb } = createTable({
        capacity: 8,
        thresholds,
        replay: ({ times, words }) => replayed.push([times[TIME]! - START_US, words[PORT]!]),
      });
      for (const port of [80, 81, 82]) absorb([0, port], source(1));
      for (let last = 2; last <= 8; last++) absorb([timeUs, 80], source(last));
      for (const port of [80, 81, 82]) absorb([timeUs, port], source(9));
      expect(replayed).toHaveLength(kept);
      // Nine times as many sources as lists.
      for (let last = 10; last < 82; last++) {
        const taken = [80, 81, 82].map((port) => absorb([timeUs + last, port], source(last)));
        expect(taken).toEqual([true, true, true]);
      }
    }
  });
});

describe("a full table", () => {
  const source = (last: number): AddressWords => [0, 0, 0xffff, last];

  test("lets the source go that was seen longest ago, and counts it if that is within the longest window", () => {
    for (const [timeUs, evictedLive] of [
      [LONGEST_US, 1],
      [LONGEST_US + 1, 0],
    ] as const) {
      const { table, absorb } = createTable({ capacity: 8 });
      for (let last = 1; last <= 8; last++) absorb([last === 1 ? 0 : LONGEST_US, 80], source(last));
      expect(absorb([timeUs, 80], source(9))).toBe(true);
      expect(table.evictedLive).toBe(evictedLive);
    }
  });

  test("holds no more than its capacity, in the same memory, and starts anew for each source", () => {
    const { table, absorb } = createTable({ capacity: 8 });
    const { bytes } = table;
    for (let last = 0; last < 1000; last++) {
      expect([absorb([last, 80], source(last)), absorb([last, 81], source(last))]).toEqual([
        true,
        true,
      ]);
    }
    expect([table.size, table.capacity, table.bytes]).toEqual([8, 8, bytes]);
    expect(table.newestUs).toBe(START_US + 999);
  });
});
