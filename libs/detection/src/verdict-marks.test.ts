import { expect, test } from "vitest";
import { SOURCE, TUPLE_WORDS } from "./event-tuple.ts";
import { TupleHash } from "./tuple-hash.ts";
import type { SourceKey } from "@packetwatch/net";
import { type VerdictMark, VerdictMarks } from "./verdict-marks.ts";

const sourceKey: SourceKey = [0, 0, 0xffff, 0xc0000201];

const hash = new TupleHash(1);
const tuple = new Uint32Array(TUPLE_WORDS);
tuple.set(sourceKey, SOURCE);
hash.fillSource(tuple);

function block(issuedUs: number, expiresUs?: number): VerdictMark {
  return { kind: "block", sourceKey, issuedUs, expiresUs };
}

function unblock(issuedUs: number): VerdictMark {
  return { kind: "unblock", sourceKey, issuedUs };
}

const cases: readonly {
  title: string;
  verdicts: readonly VerdictMark[];
  kind: "block" | "unblock";
  floorUs: number;
}[] = [
  {
    title: "a block lasts until its expiry",
    verdicts: [block(10, 20)],
    kind: "block",
    floorUs: 20,
  },
  {
    title: "a block without expiry lasts for ever",
    verdicts: [block(10)],
    kind: "block",
    floorUs: Infinity,
  },
  {
    title: "an unblock shuts out its own microsecond",
    verdicts: [unblock(10)],
    kind: "unblock",
    floorUs: 11,
  },
  {
    title: "an unblock lifts the block before it",
    verdicts: [block(10), unblock(15)],
    kind: "unblock",
    floorUs: 16,
  },
  {
    title: "a block older than the unblock has no effect",
    verdicts: [unblock(15), block(10)],
    kind: "unblock",
    floorUs: 16,
  },
  {
    title: "a block after the unblock counts",
    verdicts: [unblock(15), block(16)],
    kind: "block",
    floorUs: Infinity,
  },
  {
    title: "a later block may end earlier",
    verdicts: [block(10, 90), block(11, 20)],
    kind: "block",
    floorUs: 20,
  },
  {
    title: "an earlier block does not prolong a later one",
    verdicts: [block(11, 20), block(10, 90)],
    kind: "block",
    floorUs: 20,
  },
  {
    title: "an unblock wins over a block of the same microsecond",
    verdicts: [unblock(10), block(10)],
    kind: "unblock",
    floorUs: 11,
  },
  {
    title: "the longer of two blocks of the same microsecond wins",
    verdicts: [block(10, 30), block(10, 20)],
    kind: "block",
    floorUs: 30,
  },
  {
    title: "a block that was born expired shuts out what lies before its issue",
    verdicts: [block(10, 5)],
    kind: "block",
    floorUs: 10,
  },
];

test.each(cases)("$title", ({ verdicts, kind, floorUs }) => {
  const marks = new VerdictMarks({ capacity: 4, keepUs: 60, hash });
  for (const verdict of verdicts) marks.apply(verdict, 0);
  const mark = marks.find(tuple);
  expect(marks.isBlock(mark)).toBe(kind === "block");
  expect(marks.floorUs(mark)).toBe(floorUs);
});

test("a floor that an event has passed does not fall again", () => {
  const marks = new VerdictMarks({ capacity: 4, keepUs: 60, hash });
  marks.apply(block(10, 90), 0);
  const mark = marks.find(tuple);
  marks.pass(mark);
  marks.apply(block(11), 0);
  marks.apply(unblock(15), 0);
  expect(marks.floorUs(mark)).toBe(90);
  expect(marks.isBlock(mark)).toBe(false);
});

test("an unblock is kept until no replay can bring back what it shuts out", () => {
  const marks = new VerdictMarks({ capacity: 1, keepUs: 60, hash });
  const other: VerdictMark = {
    kind: "block",
    sourceKey: [1, 2, 0, 0],
    issuedUs: 70,
    expiresUs: undefined,
  };
  marks.apply(unblock(10), 0);
  marks.apply(other, 70);
  expect(marks.evictedLive).toBe(1);
  marks.apply(unblock(10), 70);
  expect(marks.evictedLive).toBe(2);
  marks.apply(other, 71);
  expect(marks.evictedLive).toBe(2);
});
