import assert from "node:assert/strict";
import { MAX_TABLE_WORDS } from "./record-table.ts";

/** No extension. Extensions are numbered from 1, so that a record of zeros has none. */
export const NO_EXTENSION = 0;

/** How many owners are compared when all extensions are lent out and one has to come back. */
const CANDIDATES = 8;

/**
 * A fixed number of extensions, each room for `slots` items and their times, lent to the records of a window. Most keys
 * never see more than a couple of items; without the pool, each would hold room for all that its threshold allows.
 *
 * Slots fill from the front: a slot whose time is -Infinity was never used, nor was any behind it.
 */
export class ExtensionPool {
  readonly slots: number;
  readonly times: Float64Array;
  readonly items: Uint32Array;
  readonly #owners: Int32Array;
  readonly #free: Int32Array;
  #freeCount: number;
  #hand = 0;

  constructor(options: {
    readonly capacity: number;
    readonly slots: number;
    readonly itemWords: number;
  }) {
    const { capacity, slots, itemWords } = options;
    assert(
      capacity * slots * itemWords <= MAX_TABLE_WORDS,
      `a pool of ${capacity} extensions is too large`,
    );
    this.slots = slots;
    this.times = new Float64Array(capacity * slots);
    this.items = new Uint32Array(capacity * slots * itemWords);
    this.#owners = new Int32Array(capacity);
    this.#free = Int32Array.from({ length: capacity }, (_, index) => capacity - index);
    this.#freeCount = capacity;
  }

  get bytes(): number {
    return (
      this.times.byteLength +
      this.items.byteLength +
      this.#owners.byteLength +
      this.#free.byteLength
    );
  }

  get exhausted(): boolean {
    return this.#freeCount === 0;
  }

  /** The index in `times` of the extension's first slot. */
  firstSlot(extension: number): number {
    return (extension - 1) * this.slots;
  }

  /** Lends an empty extension. The pool must not be exhausted. */
  borrow(owner: number): number {
    assert(!this.exhausted, "no extension left to lend");
    const extension = this.#free[--this.#freeCount]!;
    const first = this.firstSlot(extension);
    for (let slot = first; slot < first + this.slots; slot++) this.times[slot] = -Infinity;
    this.#owners[extension - 1] = owner;
    return extension;
  }

  giveBack(extension: number): void {
    this.#free[this.#freeCount++] = extension;
  }

  /**
   * Of the next few owners in turn, the one that was seen longest ago. Only an exhausted pool may be asked: then every
   * extension has an owner. The turns see to it that no owner is passed over for ever.
   */
  ownerToEvict(owners: { seenUs(owner: number): number }): number {
    assert(this.exhausted, "an owner is only asked to leave when no extension is left");
    let oldest = -1;
    let oldestUs = Infinity;
    for (let turn = 0; turn < Math.min(CANDIDATES, this.#owners.length); turn++) {
      const owner = this.#owners[this.#hand]!;
      this.#hand = (this.#hand + 1) % this.#owners.length;
      const seenUs = owners.seenUs(owner);
      if (oldest >= 0 && seenUs >= oldestUs) continue;
      oldest = owner;
      oldestUs = seenUs;
    }
    return oldest;
  }
}
