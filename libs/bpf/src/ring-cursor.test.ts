import { describe, expect, test } from "vitest";
import { RingCursor } from "./ring-cursor.ts";

const sizeBytes = 4096;
const busy = 0x8000_0000;
const discarded = 0x4000_0000;

/** A ring as the kernel fills it: the data twice in a row, each byte written to both. */
class FakeRing {
  readonly consumerPosition = new BigUint64Array(1);
  readonly producerPosition = new BigUint64Array(1);
  readonly bytes = new Uint8Array(2 * sizeBytes);
  readonly headers = new Int32Array(this.bytes.buffer);
  readonly sizeBytes = sizeBytes;
  readonly cursor = new RingCursor(this);

  constructor(position: bigint = 0n) {
    this.consumerPosition[0] = position;
    this.producerPosition[0] = position;
  }

  /** Appends a record of `length` bytes of `fill`; returns the place of its header. */
  append(length: number, fill: number, flags = 0): number {
    const position = this.producerPosition[0] ?? 0n;
    const offset = Number(position % BigInt(sizeBytes));
    const header = new Uint8Array(Uint32Array.of((length | flags) >>> 0, 0).buffer);
    [...header, ...Array.from({ length }, () => fill)].forEach((byte, index) =>
      this.#write((offset + index) % sizeBytes, byte),
    );
    this.producerPosition[0] = position + BigInt((8 + length + 7) & ~7);
    return offset;
  }

  /** What a commit does: the header without its busy bit. */
  commit(offset: number, length: number): void {
    this.headers[offset / 4] = length;
    this.headers[(offset + sizeBytes) / 4] = length;
  }

  /** The length and first and last byte of each record that is visited. */
  consume(maxRecords = Infinity): number[][] {
    const seen: number[][] = [];
    this.cursor.consume(
      (offset, length) =>
        seen.push([length, this.bytes[offset] ?? -1, this.bytes[offset + length - 1] ?? -1]),
      maxRecords,
    );
    return seen;
  }

  #write(offset: number, byte: number): void {
    this.bytes[offset] = byte;
    this.bytes[offset + sizeBytes] = byte;
  }
}

describe("a ring's cursor", () => {
  const LARGEST = 2n ** 64n - 1n;
  test.each([
    ["beyond what was written", 8192n + 8n],
    ["further back than the ring is long", 4088n],
    ["amid a word", 8187n],
    ["the largest number", LARGEST],
  ])("a position that no consumer can have left is repaired: %s", (_what, position) => {
    const ring = new FakeRing(8192n - 32n);
    ring.append(24, 1);
    ring.consumerPosition[0] = position;
    expect(ring.cursor.repair()).toBe(true);
    expect(ring.consume()).toEqual([]);
    ring.append(16, 2);
    expect(ring.consume()).toEqual([[16, 2, 2]]);
  });

  test("a position that is sound stays, in an empty ring, in a full one and across the end of 64 bits", () => {
    for (const [start, waiting] of [
      [0n, 0],
      [8n, sizeBytes],
      [LARGEST - 7n, 64],
    ] as const) {
      const ring = new FakeRing(start);
      ring.producerPosition[0] = BigInt.asUintN(64, start + BigInt(waiting));
      expect(ring.cursor.repair()).toBe(false);
      expect(ring.consumerPosition[0]).toBe(start);
    }
  });

  test("a walk that begins amid a record ends with what was written, and finds what comes then", () => {
    const ring = new FakeRing();
    ring.append(56, 0x3f);
    ring.consumerPosition[0] = 16n;
    expect(ring.consume()).toEqual([]);
    expect(ring.consumerPosition).toEqual(ring.producerPosition);
    ring.append(16, 2);
    expect(ring.consume()).toEqual([[16, 2, 2]]);
  });

  test.each([1, 7, 8, 9, 13, 16, 56])(
    "finds the record after one of %i bytes, which is padded to 8",
    (length) => {
      const ring = new FakeRing();
      ring.append(length, 1);
      ring.append(24, 2);
      expect(ring.consume()).toEqual([
        [length, 1, 1],
        [24, 2, 2],
      ]);
      expect(ring.consumerPosition).toEqual(ring.producerPosition);
    },
  );

  test("stops at a busy record and goes on once it is committed", () => {
    const ring = new FakeRing();
    ring.append(16, 1);
    const offset = ring.append(16, 2, busy);
    ring.append(16, 3);
    expect(ring.consume()).toEqual([[16, 1, 1]]);
    expect(ring.consume()).toEqual([]);
    expect(ring.cursor.availableBytes()).toBe(48);
    ring.commit(offset, 16);
    expect(ring.consume()).toEqual([
      [16, 2, 2],
      [16, 3, 3],
    ]);
  });

  test("steps over a discarded record, which does not count", () => {
    const ring = new FakeRing();
    ring.append(16, 1, discarded);
    ring.append(16, 2);
    ring.append(16, 3, discarded);
    expect(ring.consume(1)).toEqual([[16, 2, 2]]);
    expect(ring.consume()).toEqual([]);
    expect(ring.cursor.availableBytes()).toBe(0);
  });

  test("visits no more than was asked for, and the rest later", () => {
    const ring = new FakeRing();
    for (let fill = 1; fill <= 5; fill++) ring.append(8, fill);
    expect(
      [ring.consume(2), ring.consume(2), ring.consume(2)].map((seen) =>
        seen.map(([, fill]) => fill),
      ),
    ).toEqual([[1, 2], [3, 4], [5]]);
  });

  test.each([
    ["at the start", 0n],
    ["at 2^31", 2n ** 31n - 2048n],
    ["at 2^32", 2n ** 32n - 2048n],
    ["at 2^53", 2n ** 53n - 2048n],
    ["at the end of 64 bits", 2n ** 64n - 4096n],
  ])("reads records in one piece across the end of the ring, with positions %s", (_, position) => {
    const ring = new FakeRing(position);
    const lengths = Array.from({ length: 200 }, (__, index) => 1 + ((index * 37) % 300));
    for (const [index, length] of lengths.entries()) {
      ring.append(length, index);
      expect(ring.consume()).toEqual([[length, index % 256, index % 256]]);
    }
    expect(ring.consumerPosition).toEqual(ring.producerPosition);
  });

  test("gives back what was visited when the visitor throws, the culprit included", () => {
    const ring = new FakeRing();
    for (let fill = 1; fill <= 3; fill++) ring.append(8, fill);
    const visit = (offset: number) => {
      if (ring.bytes[offset] === 2) throw new Error("bad record");
    };
    expect(() => ring.cursor.consume(visit, 10)).toThrow("bad record");
    expect(ring.consume()).toEqual([[8, 3, 3]]);
  });

  test("is not consumed by its own visitor", () => {
    const ring = new FakeRing();
    ring.append(8, 1);
    expect(() => ring.cursor.consume(() => ring.consume(), 1)).toThrow(/its own visitor/);
  });
});
