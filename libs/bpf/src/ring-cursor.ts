import assert from "node:assert/strict";

/**
 * Called for each record: where it begins in the ring's data, in bytes (a multiple of 8), and its length in bytes,
 * without padding. The bytes are the kernel's own and good only during the call.
 */
export type RecordVisitor = (offset: number, length: number) => void;

/** The shared memory of a ring. */
export interface RingMemory {
  /** A power of two. */
  readonly sizeBytes: number;
  /** Bytes consumed and bytes reserved since the ring was made: they only grow. */
  readonly consumerPosition: BigUint64Array;
  readonly producerPosition: BigUint64Array;
  /** The data as signed integers: a busy record's header is negative. */
  readonly headers: Int32Array;
}

// From <linux/bpf.h>: a record's header is its length, with two flags, and 4 bytes for the kernel.
const busyBit = 0x8000_0000;
const discardBit = 0x4000_0000;
const lengthMask = ~(busyBit | discardBit);
const headerBytes = 8;

/** The consumer's place in a ring, and the walk over its records. */
export class RingCursor {
  readonly #memory: RingMemory;
  #visiting = false;

  constructor(memory: RingMemory) {
    this.#memory = memory;
  }

  get isVisiting(): boolean {
    return this.#visiting;
  }

  consumedBytes(): bigint {
    return Atomics.load(this.#memory.consumerPosition, 0);
  }

  availableBytes(): number {
    const { consumerPosition, producerPosition } = this.#memory;
    return distance(Atomics.load(consumerPosition, 0), Atomics.load(producerPosition, 0));
  }

  /** Moves a position that no consumer can have left to the end of what was written; says whether it had to. */
  repair(): boolean {
    const { consumerPosition, producerPosition, sizeBytes } = this.#memory;
    const consumed = Atomics.load(consumerPosition, 0);
    const produced = Atomics.load(producerPosition, 0);
    if (consumed % 8n === 0n && distance(consumed, produced) <= sizeBytes) return false;
    Atomics.store(consumerPosition, 0, produced);
    return true;
  }

  consume(visit: RecordVisitor, maxRecords: number): number {
    assert(!this.#visiting, "a ring is not consumed by its own visitor");
    const { consumerPosition, producerPosition, headers, sizeBytes } = this.#memory;
    const start = Atomics.load(consumerPosition, 0);
    // Positions are 64-bit; within one call, numbers relative to the start are enough.
    const available = distance(start, Atomics.load(producerPosition, 0));
    const startOffset = Number(start & BigInt(sizeBytes - 1));
    let consumed = 0;
    let visited = 0;
    this.#visiting = true;
    try {
      while (consumed < available && visited < maxRecords) {
        const headerOffset = (startOffset + consumed) & (sizeBytes - 1);
        // An atomic load, so that what the kernel wrote before it cleared the busy bit is seen after it.
        const header = Atomics.load(headers, headerOffset >> 2);
        if (header < 0) break;
        const length = header & lengthMask;
        // The kernel pads records to 8 bytes; the length in the header is unpadded.
        consumed += (headerBytes + length + 7) & ~7;
        // No record ends beyond what was reserved: the walk began amid one, and nothing tells where the next begins.
        if (consumed > available) {
          consumed = available;
          break;
        }
        if ((header & discardBit) !== 0) continue;
        visited++;
        visit(headerOffset + headerBytes, length);
      }
    } finally {
      this.#visiting = false;
      if (consumed > 0) Atomics.store(consumerPosition, 0, start + BigInt(consumed));
    }
    return visited;
  }
}

/** Bytes from one position to a later one: at most the ring's size, across the end of 64 bits too. */
function distance(from: bigint, to: bigint): number {
  return Number(BigInt.asUintN(64, to - from));
}
