import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { compile } from "../test/compile.ts";
import type { BpfObject } from "./bpf-object.ts";
import { bootTimeNs } from "./clock.ts";
import { libc } from "./libc.ts";
import { openObject } from "./object-spec.ts";
import { openRingBuffer, type RingBuffer } from "./ring-buffer.ts";

const fixture = compile("fixture");
/** Of a 16-byte record with its header. */
const recordBytes = 24;
let object: BpfObject;
let ring: RingBuffer;

beforeEach(() => {
  object = openObject(fixture).load();
  ring = openRingBuffer(object.map("events"));
});
afterEach(() => {
  ring.close();
  object.close();
});

/** Has the kernel write records; the first byte is the fixture's command. */
function produce(repeat: number, command = 0): void {
  object.program("produce").testRun({ data: new Uint8Array(64).fill(command, 0, 1), repeat });
}

/** The sequence numbers of the records that wait. */
function sequences(maxRecords = 10_000): number[] {
  const seen: number[] = [];
  const { words } = ring.views;
  ring.consume((offset) => seen.push(words[offset / 4] ?? -1), maxRecords);
  return seen;
}

const range = (start: number, end: number) =>
  Array.from({ length: end - start }, (_, index) => start + index);

describe("a ring buffer", () => {
  test("shows the kernel's records in place, through every view", () => {
    produce(1);
    const { bytes, halves, words, data } = ring.views;
    const seen: number[][] = [];
    ring.consume((offset, length) => {
      seen.push([
        length,
        words[offset / 4 + 3] ?? -1,
        halves[offset / 2 + 6] ?? -1,
        bytes[offset + 12] ?? -1,
        data.getUint32(offset + 12, true),
      ]);
    }, 10);
    expect(seen).toEqual([[16, 16, 16, 16, 16]]);
  });

  test("gives every record once and in order, through many turns of the ring", () => {
    const seen: number[] = [];
    for (let turn = 0; turn < 20; turn++) {
      produce(150);
      seen.push(...sequences());
    }
    expect(seen).toEqual(range(0, 3000));
    expect(ring.availableBytes()).toBe(0);
  });

  test("maps no more of its beginning twice than its records need to be in one piece", () => {
    ring.close();
    object.close();
    const pageBytes = libc.getpagesize();
    const spec = openObject(fixture);
    spec.setMaxEntries("events", 4 * pageBytes);
    object = spec.load();
    ring = openRingBuffer(object.map("events"), { maxRecordBytes: 16 });
    const { words } = ring.views;
    expect(words.byteLength).toBe(5 * pageBytes);
    const seen: number[] = [];
    const lastWords = new Set<number>();
    for (let turn = 0; turn < 20; turn++) {
      produce(300);
      ring.consume((offset) => {
        seen.push(words[offset / 4] ?? -1);
        lastWords.add(words[offset / 4 + 3] ?? -1);
      }, 10_000);
    }
    expect(seen).toEqual(range(0, 6000));
    expect([...lastWords]).toEqual([16]);
  });

  test("refuses the kernel when full, and takes records again once it was read", () => {
    produce(1000);
    const capacity = Math.floor(ring.sizeBytes / recordBytes);
    expect(ring.availableBytes()).toBe(capacity * recordBytes);
    expect(object.program("produce").testRun({ data: new Uint8Array(64) }).action).toBe("XDP_DROP");
    expect(sequences()).toEqual(range(0, capacity));
    expect(object.program("produce").testRun({ data: new Uint8Array(64) }).action).toBe("XDP_PASS");
  });

  test("gives records of a length that is no multiple of 8, and none that was discarded", () => {
    produce(1, 13);
    produce(1, 0xff);
    produce(1, 0);
    const lengths: number[] = [];
    expect(ring.consume((_, length) => lengths.push(length), 10)).toBe(2);
    expect(lengths).toEqual([13, 16]);
  });

  test("leaves for the next consumer what it did not read", () => {
    produce(10);
    expect(sequences(4)).toEqual([0, 1, 2, 3]);
    ring.close();
    ring = openRingBuffer(object.map("events"));
    expect(sequences()).toEqual(range(4, 10));
  });

  test("keeps its consumer's notes and count for the next one", () => {
    produce(10);
    sequences(4);
    ring.notes[3] = 5n;
    expect(ring.consumedBytes()).toBe(BigInt(4 * recordBytes));
    ring.close();
    ring = openRingBuffer(object.map("events"));
    produce(1000);
    expect([...ring.notes.subarray(0, 5)]).toEqual([0n, 0n, 0n, 5n, 0n]);
    expect(ring.consumedBytes()).toBe(BigInt(4 * recordBytes));
  });

  test("lives on when the map that it was opened from is closed", () => {
    produce(1);
    object.close();
    expect(sequences()).toEqual([0]);
  });

  test("is made of a ring buffer map only", () => {
    expect(() => openRingBuffer(object.map("table"))).toThrow(/is a ring buffer/);
  });
});

describe("waiting", () => {
  test("calls back from the event loop for records that came before and while it waits", async () => {
    produce(1);
    const seen: number[] = [];
    await new Promise<void>((resolve) => {
      ring.onReadable(() => {
        seen.push(...sequences());
        if (seen.length === 1) setImmediate(() => produce(2));
        if (seen.length === 3) resolve();
      });
    });
    expect(seen).toEqual([0, 1, 2]);
  });

  test("calls back again as long as records are left", async () => {
    produce(5);
    const seen: number[] = [];
    await new Promise<void>((resolve) => {
      ring.onReadable(() => {
        seen.push(...sequences(1));
        if (seen.length === 5) resolve();
      });
    });
    expect(seen).toEqual(range(0, 5));
  });

  test("calls nobody while paused, nor after close", async () => {
    let calls = 0;
    ring.onReadable(() => calls++);
    ring.pause();
    produce(1);
    await turnsOfTheEventLoop(20);
    expect(calls).toBe(0);
    ring.onReadable(() => calls++);
    ring.close();
    await turnsOfTheEventLoop(20);
    expect(calls).toBe(0);
  });

  test("costs no processor time while nothing comes", async () => {
    ring.onReadable(() => sequences());
    const before = process.cpuUsage();
    const until = bootTimeNs() + 200_000_000n;
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { user, system } = process.cpuUsage(before);
    expect(bootTimeNs()).toBeGreaterThan(until - 10_000_000n);
    expect(user + system).toBeLessThan(100_000);
  });

  test("survives the collection of garbage", async () => {
    setFlagsFromString("--expose-gc");
    const collectGarbage = runInNewContext("gc") as () => void;
    const readable = new Promise<void>((resolve) => {
      ring.onReadable(() => {
        sequences();
        resolve();
      });
    });
    collectGarbage();
    await turnsOfTheEventLoop(5);
    collectGarbage();
    produce(1);
    await readable;
    expect(ring.availableBytes()).toBe(0);
  });
});

async function turnsOfTheEventLoop(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe("a closed ring buffer", () => {
  test("throws when it is used, and closes twice", () => {
    ring.close();
    ring.close();
    for (const use of [
      () => ring.views,
      () => ring.notes,
      () => ring.consumedBytes(),
      () => ring.availableBytes(),
      () => ring.consume(() => {}, 1),
      () => ring.onReadable(() => {}),
    ]) {
      expect(use).toThrow(/used after it was closed/);
    }
  });

  test("leaves views that read as zero, and no crash", () => {
    produce(100);
    const { words, bytes } = ring.views;
    expect(words.some((word) => word !== 0)).toBe(true);
    ring.close();
    expect([words.some((word) => word !== 0), bytes.some((byte) => byte !== 0)]).toEqual([
      false,
      false,
    ]);
  });

  test("was not closed by its own visitor", () => {
    produce(1);
    expect(() => ring.consume(() => ring.close(), 1)).toThrow(/closed by its own visitor/);
    expect(ring.availableBytes()).toBe(0);
  });
});
