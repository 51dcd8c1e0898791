import { describe, expect, test } from "vitest";
import {
  HORIZONTAL_HASH,
  LEADING_PORT,
  PORT,
  SOURCE_HASH,
  TUPLE_WORDS,
  VERTICAL_HASH,
} from "./event-tuple.ts";
import { TupleHash } from "./tuple-hash.ts";

const KEYS = 1 << 16;
const BUCKETS = 1 << 13;
/** Below 2^13 buckets and 24 tests, chance leaves this band less than once in a million runs; and the seeds are fixed. */
const TOLERANCE = 0.1;

const host = [0, 0, 0xffff, 0xc0000201];

function tupleOf(
  source: readonly number[],
  destination: readonly number[] = host,
  port = 80,
): Uint32Array {
  const tuple = new Uint32Array(TUPLE_WORDS);
  tuple.set([port, ...source, ...destination, port], LEADING_PORT);
  return tuple;
}

function hashesOf(seed: number, tuple: Uint32Array): readonly number[] {
  new TupleHash(seed).fill(tuple);
  return [tuple[SOURCE_HASH]!, tuple[VERTICAL_HASH]!, tuple[HORIZONTAL_HASH]!];
}

type Family = {
  readonly title: string;
  readonly hashAt: number;
  readonly tuple: (index: number) => Uint32Array;
};

/** Keys that differ in few, regular bits, as real and chosen ones do. */
const families: readonly Family[] = [
  {
    title: "neighbouring IPv4 sources",
    hashAt: SOURCE_HASH,
    tuple: (index) => tupleOf([0, 0, 0xffff, 0x0a000000 + index]),
  },
  {
    title: "sources of neighbouring IPv4 networks",
    hashAt: SOURCE_HASH,
    tuple: (index) => tupleOf([0, 0, 0xffff, index << 16]),
  },
  {
    title: "neighbouring IPv6 networks",
    hashAt: SOURCE_HASH,
    tuple: (index) => tupleOf([0x20010db8, index, 0, 0]),
  },
  {
    title: "IPv6 prefixes",
    hashAt: SOURCE_HASH,
    tuple: (index) => tupleOf([index << 16, 0, 0, 0]),
  },
  {
    title: "sources that cancel each other in a plain chain",
    hashAt: SOURCE_HASH,
    tuple: (index) => tupleOf([index << 16, (index << 16) ^ (index << 1), 0, 0]),
  },
  {
    title: "a source's neighbouring destinations",
    hashAt: VERTICAL_HASH,
    tuple: (index) => tupleOf(host, [0, 0, 0xffff, 0x0a000000 + index]),
  },
  {
    title: "a source's destination ports",
    hashAt: HORIZONTAL_HASH,
    tuple: (index) => tupleOf(host, host, index),
  },
];

describe("under any seed", () => {
  test.each(families)("$title spread over the buckets like random numbers", ({ hashAt, tuple }) => {
    for (const seed of [0, 1, 2 ** 40 + 1]) {
      const hash = new TupleHash(seed);
      const loads = new Uint32Array(BUCKETS);
      for (let index = 0; index < KEYS; index++) {
        const filled = tuple(index);
        hash.fill(filled);
        loads[filled[hashAt]! % BUCKETS]!++;
      }
      const expected = KEYS / BUCKETS;
      const variance = loads.reduce((sum, load) => sum + (load - expected) ** 2, 0) / BUCKETS;
      expect(Math.abs(variance / expected - 1)).toBeLessThan(TOLERANCE);
    }
  });
});

test("keys that collide under one seed do not under another", () => {
  const buckets = 256;
  const [first, second] = [1, 2].map((seed) => new TupleHash(seed));
  const bucketOf = (hash: TupleHash | undefined, tuple: Uint32Array) => {
    hash?.fillSource(tuple);
    return tuple[SOURCE_HASH]! % buckets;
  };
  const tuples = Array.from({ length: KEYS }, (_, index) => tupleOf([0, 0, 0xffff, index]));
  const together = tuples.filter((tuple) => bucketOf(first, tuple) === 0);
  const apart = new Set(together.map((tuple) => bucketOf(second, tuple)));
  expect(together.length).toBeGreaterThan(buckets / 2);
  expect(apart.size).toBeGreaterThan(buckets / 3);
});

describe("each hash depends on the words of its key and on no others", () => {
  const changes = [
    ...[0, 1, 2, 3].map((word) => ({
      title: `source word ${word}`,
      at: 1 + word,
      changed: [true, true, true],
    })),
    ...[0, 1, 2, 3].map((word) => ({
      title: `destination word ${word}`,
      at: 5 + word,
      changed: [false, true, false],
    })),
    { title: "port", at: PORT, changed: [false, false, true] },
  ];
  test.each(changes)("$title", ({ at, changed }) => {
    const before = hashesOf(1, tupleOf(host));
    for (const bit of at === PORT ? [0, 15] : [0, 15, 16, 31]) {
      const tuple = tupleOf(host);
      tuple[at]! ^= 1 << bit;
      expect(hashesOf(1, tuple).map((hash, index) => hash !== before[index])).toEqual(changed);
    }
  });
});

test("the hash of the source alone is the same as that filled in with the others", () => {
  const tuple = tupleOf([0x20010db8, 7, 0, 0]);
  const [source] = hashesOf(5, tuple);
  tuple[SOURCE_HASH] = 0;
  new TupleHash(5).fillSource(tuple);
  expect(tuple[SOURCE_HASH]).toBe(source);
});
