import fc from "fast-check";
import { expect, test } from "vitest";
import { DeadlineTable } from "./deadline-table.ts";
import { ADDRESS_WORDS, SOURCE, SOURCE_HASH, TUPLE_WORDS } from "./event-tuple.ts";

const NOW_US = 100;

/** Two keys share each hash, so that buckets hold several. */
function tupleOf(key: number): Uint32Array {
  const tuple = new Uint32Array(TUPLE_WORDS);
  tuple[SOURCE + (key % ADDRESS_WORDS)] = key;
  tuple[SOURCE_HASH] = key >> 1;
  return tuple;
}

function createTable(capacity: number) {
  const table = new DeadlineTable(capacity);
  const set = (key: number, deadlineUs: number) =>
    table.set(tupleOf(key), { deadlineUs, nowUs: NOW_US });
  const find = (key: number) => table.find(tupleOf(key));
  const deadlineOf = (key: number) => (find(key) < 0 ? undefined : table.deadlineUs(find(key)));
  return { table, set, deadlineOf };
}

test("the entry that ends soonest leaves a full table", () => {
  const { set, deadlineOf } = createTable(3);
  set(1, 300);
  set(2, 200);
  set(3, 400);
  set(4, 100);
  expect([1, 2, 3, 4].map(deadlineOf)).toEqual([300, undefined, 400, 100]);
});

test("of entries that never end the longest known leaves", () => {
  const { set, deadlineOf } = createTable(2);
  for (const key of [3, 1, 2]) set(key, Infinity);
  expect([1, 2, 3].map(deadlineOf)).toEqual([Infinity, Infinity, undefined]);
});

test.each([
  {
    title: "an entry that leaves a microsecond before its deadline is counted",
    deadlineUs: NOW_US + 1,
    evictedLive: 1,
  },
  { title: "an entry that has ended leaves unnoticed", deadlineUs: NOW_US, evictedLive: 0 },
])("$title", ({ deadlineUs, evictedLive }) => {
  const { table, set } = createTable(1);
  set(1, deadlineUs);
  set(2, Infinity);
  expect(table.evictedLive).toBe(evictedLive);
});

test("any sequence of deadlines leaves what the naive oracle keeps", () => {
  const deadline = fc.oneof(fc.integer({ min: 0, max: 200 }), fc.constant(Infinity));
  const sets = fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), deadline), {
    maxLength: 200,
    size: "max",
  });
  fc.assert(
    fc.property(sets, fc.integer({ min: 1, max: 20 }), (calls, capacity) => {
      const { table, set, deadlineOf } = createTable(capacity);
      // A Map keeps the order of insertion, and a stable sort keeps it among equals.
      const oracle = new Map<number, number>();
      let evictedLive = 0;
      for (const [key, deadlineUs] of calls) {
        if (!oracle.has(key) && oracle.size === capacity) {
          const [soonest] = [...oracle].toSorted(([, left], [, right]) =>
            left === right ? 0 : left - right,
          );
          oracle.delete(soonest![0]);
          if (soonest![1] > NOW_US) evictedLive++;
        }
        oracle.set(key, deadlineUs);
        set(key, deadlineUs);
        expect(Array.from({ length: 31 }, (_, known) => deadlineOf(known))).toEqual(
          Array.from({ length: 31 }, (_, known) => oracle.get(known)),
        );
      }
      expect(table.size).toBe(oracle.size);
      expect(table.evictedLive).toBe(evictedLive);
    }),
  );
});
