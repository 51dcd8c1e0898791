import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { bpfErrorOf } from "../test/bpf-error-of.ts";
import { compile } from "../test/compile.ts";
import { makeTestPinFolder } from "../test/pin-folder.ts";
import { asNobody } from "../test/unprivileged.ts";
import { type BpfMap, openPinnedMap } from "./bpf-map.ts";
import type { BpfObject } from "./bpf-object.ts";
import { openObject } from "./object-spec.ts";

const fixture = compile("fixture");
let pins: ReturnType<typeof makeTestPinFolder>;
let object: BpfObject;

beforeAll(() => {
  pins = makeTestPinFolder();
});
beforeEach(() => {
  object = openObject(fixture).load();
});
afterEach(() => object.close());
afterAll(() => pins.remove());

const words = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer);
const value = (number: number) => words(number, 0, ~number, 0);
const count = (iterable: Iterable<unknown>) => [...iterable].length;

/** Keys 0 to n-1 in a row, and their values. */
function batchOf(total: number): { keys: Uint8Array; values: Uint8Array } {
  const keys = Uint32Array.from({ length: total }, (_, number) => number);
  const values = Buffer.concat(Array.from(keys, value));
  return { keys: new Uint8Array(keys.buffer), values };
}

/** The hash map of the fixture with room for more. */
function tableOf(maxEntries: number): BpfMap {
  object.close();
  const spec = openObject(fixture);
  spec.setMaxEntries("table", maxEntries);
  object = spec.load();
  return object.map("table");
}

describe("an entry", () => {
  test("is found as it was written, and no longer once it is deleted", () => {
    const map = object.map("table");
    expect(map.lookup(words(1))).toBeUndefined();
    expect(map.update(words(1), value(5))).toBe(true);
    expect(map.lookup(words(1))).toEqual(value(5));
    expect([map.delete(words(1)), map.delete(words(1))]).toEqual([true, false]);
    expect(map.lookup(words(1))).toBeUndefined();
  });

  test("is looked up into the caller's buffer", () => {
    const map = object.map("table");
    map.update(words(1), value(5));
    const into = new Uint8Array(16);
    expect(map.lookup(words(1), into)).toBe(into);
    expect(into).toEqual(value(5));
  });

  test("is written only where the mode allows", () => {
    const map = object.map("table");
    expect(map.update(words(1), value(1), "exist")).toBe(false);
    expect(map.update(words(1), value(2), "noexist")).toBe(true);
    expect(map.update(words(1), value(3), "noexist")).toBe(false);
    expect(map.lookup(words(1))).toEqual(value(2));
    expect(map.update(words(1), value(4), "exist")).toBe(true);
  });

  test.each([
    ["key", () => object.map("table").lookup(words(1, 2))],
    ["key of a deletion", () => object.map("table").delete(new Uint8Array(3))],
    ["value", () => object.map("table").update(words(1), words(1))],
    ["buffer", () => object.map("table").lookup(words(1), words(1))],
    ["batch of keys", () => object.map("table").deleteBatch(new Uint8Array(6))],
    ["batch of values", () => object.map("table").updateBatch(words(1, 2), value(1))],
  ])("of another size is refused: %s", (_, use) => {
    expect(use).toThrow(/bytes|a value for each key/);
  });

  test("of an LPM trie is found by its longest prefix", () => {
    const map = object.map("prefixes");
    const key = (bits: number, ...address: number[]) => Uint8Array.of(bits, 0, 0, 0, ...address);
    map.update(key(8, 10, 0, 0, 0), words(8));
    map.update(key(16, 10, 1, 0, 0), words(16));
    expect(map.lookup(key(32, 10, 1, 2, 3))).toEqual(words(16));
    expect(map.lookup(key(32, 10, 2, 2, 3))).toEqual(words(8));
    expect(map.lookup(key(32, 11, 1, 2, 3))).toBeUndefined();
    expect(count(map.entries())).toBe(2);
  });

  test("of a per-CPU array has a value for every possible CPU, without the slot's padding", () => {
    const slots = object.map("counters").lookupPerCpu(words(1)) ?? [];
    expect(slots.length * 16).toBe(object.map("counters").valueBytes);
    expect(slots.map((slot) => slot.length)).toEqual(slots.map(() => 12));
    expect(() => object.map("table").lookupPerCpu(words(1))).toThrow(/one value per key/);
  });
});

describe("a full map", () => {
  test("of type hash is MAP_FULL, and takes a new entry once one has gone", () => {
    const map = tableOf(3);
    map.updateBatch(batchOf(3).keys, batchOf(3).values);
    const error = bpfErrorOf(() => map.update(words(9), value(9)));
    expect(error).toMatchObject({
      code: "MAP_FULL",
      errnoName: "E2BIG",
      subject: "map table",
      retryable: true,
    });
    expect(error.message).toContain("3 entries");
    expect(map.update(words(2), value(7))).toBe(true);
    map.delete(words(0));
    expect(map.update(words(9), value(9))).toBe(true);
  });

  test("of type LPM trie is MAP_FULL", () => {
    const map = object.map("prefixes");
    const fill = () => {
      for (let index = 0; index <= 16; index++)
        map.update(Uint8Array.of(32, 0, 0, 0, 10, 0, 0, index), words(index));
    };
    expect(bpfErrorOf(fill)).toMatchObject({ code: "MAP_FULL", errnoName: "ENOSPC" });
    expect(count(map.keys())).toBe(16);
  });

  test("says of a batch how many entries were written", () => {
    const map = tableOf(10);
    const error = bpfErrorOf(() => map.updateBatch(batchOf(25).keys, batchOf(25).values));
    expect(error).toMatchObject({ code: "MAP_FULL", completed: 10 });
    expect(count(map.keys())).toBe(10);
  });

  test("is not what an index beyond an array's end means", () => {
    expect(bpfErrorOf(() => object.map("live").update(words(3), words(0, 0)))).toMatchObject({
      code: "SYSCALL",
      errnoName: "E2BIG",
    });
  });
});

describe("a batch", () => {
  test("of 100,000 entries is written, read and deleted whole, each in far less than its single calls would take on a busy machine", () => {
    const total = 100_000;
    const map = tableOf(total);
    const { keys, values } = batchOf(total);
    const tookMs = (run: () => void) => {
      const start = performance.now();
      run();
      return performance.now() - start;
    };
    expect(tookMs(() => map.updateBatch(keys, values))).toBeLessThan(10_000);
    const seen = new Set<number>();
    const read = () => {
      for (const entry of map.entries()) {
        const number = new DataView(entry.key.buffer).getUint32(0, true);
        if (Buffer.compare(entry.value, value(number)) === 0) seen.add(number);
      }
    };
    expect(tookMs(read)).toBeLessThan(10_000);
    expect(seen.size).toBe(total);
    expect(tookMs(() => expect(map.deleteBatch(keys)).toBe(total))).toBeLessThan(10_000);
    expect(count(map.keys())).toBe(0);
  });

  test("of deletions passes over what is absent and says how many there were", () => {
    const map = object.map("table");
    map.updateBatch(batchOf(6).keys, batchOf(6).values);
    expect(map.deleteBatch(words(90, 0, 91, 92, 3, 5, 93))).toBe(3);
    expect(count(map.keys())).toBe(3);
    expect(map.deleteBatch(words(90))).toBe(0);
  });

  test("of nothing does nothing", () => {
    object.map("table").updateBatch(new Uint8Array(0), new Uint8Array(0));
    expect(object.map("table").deleteBatch(new Uint8Array(0))).toBe(0);
    expect(count(object.map("table").keys())).toBe(0);
  });
});

describe("reading a whole map", () => {
  // With chunks of one entry, every hash bucket that holds two makes the chunk grow.
  test.each([1, 2, 7, 1024, 100_000])("in chunks of %i yields each entry once", (chunkEntries) => {
    const map = object.map("table");
    map.updateBatch(batchOf(1000).keys, batchOf(1000).values);
    const seen: number[] = [];
    for (const { keys, count: entries } of map.chunks(chunkEntries))
      seen.push(...new Uint32Array(keys.slice(0, 4 * entries).buffer));
    expect(seen.toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 1000 }, (_, index) => index),
    );
  });

  test("works on an array and on a per-CPU array", () => {
    object.map("live").update(words(2), words(5, 6));
    const live = [...object.map("live").entries()].map(({ key, value: found }) => [key[0], found]);
    expect(live).toEqual([
      [0, words(0, 0)],
      [1, words(0, 0)],
      [2, words(5, 6)],
    ]);
    const perCpu = [...object.map("counters").entries()];
    expect(perCpu.map(({ value: found }) => found.length)).toEqual([
      object.map("counters").valueBytes,
      object.map("counters").valueBytes,
    ]);
  });

  test("goes key by key on a type without batches, and leaves out keys without a value", () => {
    const map = object.map("cpus");
    map.update(words(0), words(192));
    map.update(words(1), words(256));
    const entries = [...map.entries()].map(({ key, value: found }) => [
      key[0],
      new Uint32Array(found.buffer)[0],
    ]);
    expect(entries).toEqual([
      [0, 192],
      [1, 256],
    ]);
    expect([...map.chunks(1)].length).toBe(2);
  });

  test("of a closed map is refused", () => {
    const map = object.map("table");
    object.close();
    expect(() => [...map.entries()]).toThrow(/used after it was closed/);
  });
});

describe("a pinned map", () => {
  const pinTable = (name: string) => {
    const path = join(pins.path, name);
    object.map("table").pin(path);
    return path;
  };

  test("is opened with its content, after its object has closed", () => {
    const path = pinTable("open");
    object.map("table").update(words(1), value(1));
    object.close();
    const map = openPinnedMap(path, { type: "hash", keySize: 4, valueSize: 16, maxEntries: 1024 });
    expect(map).toMatchObject({
      name: "table",
      type: "hash",
      keySize: 4,
      valueSize: 16,
      maxEntries: 1024,
    });
    expect(map.lookup(words(1))).toEqual(value(1));
    map.close();
    map.close();
    expect(() => map.info()).toThrow(/used after it was closed/);
  });

  test.each([
    [{ type: "lpm_trie" }, "type is hash, expected lpm_trie"],
    [{ keySize: 16 }, "keySize is 4, expected 16"],
    [{ valueSize: 24 }, "valueSize is 16, expected 24"],
    [{ maxEntries: 5 }, "maxEntries is 1024, expected 5"],
  ])("that is not as expected (%o) is MAP_MISMATCH", (expected, difference) => {
    const path = pinTable(`mismatch-${Object.keys(expected)[0]}`);
    const error = bpfErrorOf(() => openPinnedMap(path, expected));
    expect(error.code).toBe("MAP_MISMATCH");
    expect(error.message).toContain(`table at ${path}: ${difference}`);
  });

  test("whose pin holds a link or program is MAP_MISMATCH", () => {
    const path = join(pins.path, "program");
    object.program("count").pin(path);
    expect(bpfErrorOf(() => openPinnedMap(path, {})).message).toContain("anon_inode:bpf-prog");
  });

  test("that is not there is PIN_MISSING", () => {
    expect(bpfErrorOf(() => openPinnedMap(join(pins.path, "none"), {}))).toMatchObject({
      code: "PIN_MISSING",
      retryable: true,
    });
  });

  test("of another user is NO_PERMISSION", () => {
    const path = pinTable("permission");
    expect(asNobody(() => bpfErrorOf(() => openPinnedMap(path, {}))).code).toBe("NO_PERMISSION");
  });

  test("is not pinned twice", () => {
    const path = pinTable("twice");
    expect(bpfErrorOf(() => object.map("table").pin(path))).toMatchObject({
      code: "PIN_EXISTS",
      errnoName: "EEXIST",
    });
  });
});
