import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ShardAssignment } from "./shard-assignment.ts";

const shards = 64;
const assign = (members: readonly string[], count = shards) =>
  new ShardAssignment(count).assign(members);
const group = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 24 });

function owners(members: readonly string[]): (string | undefined)[] {
  const owned = [...assign(members)];
  return Array.from(
    { length: shards },
    (_, shard) => owned.find(([, own]) => own.includes(shard))?.[0],
  );
}

test("every shard has exactly one owner, and every member is listed", () => {
  fc.assert(
    fc.property(group, (members) => {
      const assigned = assign(members);
      expect([...assigned.keys()].toSorted()).toEqual(members.toSorted());
      expect([...assigned.values()].flat().toSorted((left, right) => left - right)).toEqual(
        Array.from({ length: shards }, (_, shard) => shard),
      );
    }),
  );
});

test("the order and repetition of members do not matter", () => {
  fc.assert(
    fc.property(group, (members) => {
      expect(owners([...members.toReversed(), ...members])).toEqual(owners(members));
    }),
  );
});

test("a join moves shards to the joiner only, a leave those of the leaver only", () => {
  fc.assert(
    fc.property(group, fc.string(), (members, joiner) => {
      fc.pre(!members.includes(joiner));
      const before = owners(members);
      const after = owners([...members, joiner]);
      for (const [shard, owner] of after.entries()) {
        if (owner !== joiner) expect(owner).toBe(before[shard]);
      }
    }),
  );
});

test("a group that has changed often is assigned as one that is met for the first time", () => {
  fc.assert(
    fc.property(fc.array(group, { maxLength: 5 }), (groups) => {
      const assignment = new ShardAssignment(shards);
      for (const members of groups) expect(assignment.assign(members)).toEqual(assign(members));
    }),
  );
});

test("nobody owns anything in an empty group", () => {
  expect(assign([])).toEqual(new Map());
});

test("the assignment is the same in every process and release", () => {
  expect(Object.fromEntries(assign(["a", "b", "c"], 8))).toMatchInlineSnapshot(`
    {
      "a": [
        0,
        3,
        6,
        7,
      ],
      "b": [
        2,
        5,
      ],
      "c": [
        1,
        4,
      ],
    }
  `);
});

describe("the load", () => {
  // The load of a member is binomial: `shards` draws, each won with probability 1 / members.
  test.each([2, 3, 4, 8, 16])("of %i members lies within what independent draws give", (size) => {
    const rounds = 200;
    let sumOfSquares = 0;
    for (let round = 0; round < rounds; round++) {
      const members = Array.from({ length: size }, (_, index) => `detector-${round}-${index}`);
      const loads = [...assign(members).values()].map((own) => own.length);
      for (const load of loads) sumOfSquares += (load - shards / size) ** 2;
    }
    const variance = shards * (1 / size) * (1 - 1 / size);
    expect(sumOfSquares / (rounds * size) / variance).toBeGreaterThan(0.75);
    expect(sumOfSquares / (rounds * size) / variance).toBeLessThan(1.3);
  });
});
