import assert from "node:assert/strict";
import { allocateLines, CACHE_LINE_BYTES, loadTogether } from "./line-memory.ts";
import { MAX_WARMED } from "./record-table.ts";

/** No extension. Extensions are numbered from 1, so that a record of zeros has none. */
export const NO_EXTENSION = 0;

/** The time of a slot that was never used. */
export const NEVER = -Infinity;

const EXTENSION_BYTES = 2 * CACHE_LINE_BYTES;
const EXTENSION_WORDS = EXTENSION_BYTES / 4;
/** A power of two, above the slots of an extension. */
const EXTENSION_DOUBLES = EXTENSION_BYTES / 8;
const LINE_WORDS = CACHE_LINE_BYTES / 4;
/** The extension that follows in the chain lies in the last word. */
const NEXT = EXTENSION_WORDS - 1;

/** How many owners are compared when all extensions are lent out and one has to come back. */
const CANDIDATES = 8;

export type ExtensionPoolOptions = {
  /** How many extensions there are; at least as many as the longest chain has. */
  readonly capacity: number;
  /** How many items an owner may come to hold in its extensions. */
  readonly maxItems: number;
  readonly itemWords: number;
};

/**
 * A fixed number of extensions, room for a few items and their times each, lent to the records of a window: one after
 * the other, in a chain, as a record comes to need them. Most keys never see more than a couple of items; without the pool,
 * each would hold room for all that its threshold allows.
 *
 * An extension is two cache lines: the times of its slots as doubles, then their items, and in its last word the next
 * extension of the chain. A slot is named by where its time lies in `doubles`. Slots fill from the front: one whose time is
 * `NEVER` was never used, nor was any behind it.
 */
export class ExtensionPool {
  /** Slots of an extension. */
  readonly slots: number;
  readonly doubles: Float64Array;
  readonly words: Uint32Array;
  readonly #itemWords: number;
  readonly #owners: Int32Array;
  readonly #free: Int32Array;
  /** Where the lines that are warmed begin. */
  readonly #lines = new Int32Array(2 * MAX_WARMED);
  #freeCount: number;
  #hand = 0;

  constructor({ capacity, maxItems, itemWords }: ExtensionPoolOptions) {
    this.slots = Math.floor((EXTENSION_BYTES - 4) / (8 + itemWords * 4));
    const count = maxItems === 0 ? 0 : Math.max(capacity, Math.ceil(maxItems / this.slots));
    const memory = allocateLines((count + 1) * EXTENSION_BYTES);
    this.doubles = memory.doubles;
    this.words = memory.words;
    this.#itemWords = itemWords;
    this.#owners = new Int32Array(count);
    this.#free = Int32Array.from({ length: count }, (_, index) => count - index);
    this.#freeCount = count;
  }

  get bytes(): number {
    return this.words.buffer.byteLength + this.#owners.byteLength + this.#free.byteLength;
  }

  get exhausted(): boolean {
    return this.#freeCount === 0;
  }

  /** The first slot of an extension; the others follow it. */
  firstSlot(extension: number): number {
    return extension * EXTENSION_DOUBLES;
  }

  /** Where in `words` the item of a slot begins. */
  itemAt(slot: number): number {
    const place = slot & (EXTENSION_DOUBLES - 1);
    return 2 * (slot - place + this.slots) + place * this.#itemWords;
  }

  /** The extension behind this one, or `NO_EXTENSION`. */
  next(extension: number): number {
    return this.words[extension * EXTENSION_WORDS + NEXT]!;
  }

  /** Brings both lines of the first `count` extensions into the processor's caches. What it returns means nothing. */
  warm(extensions: Int32Array, count: number): number {
    const lines = this.#lines;
    for (let index = 0; index < count; index++) {
      const at = extensions[index]! * EXTENSION_WORDS;
      lines[2 * index] = at;
      lines[2 * index + 1] = at + LINE_WORDS;
    }
    return loadTogether(this.words, lines, 2 * count);
  }

  /** Lends an empty extension, behind the last of the owner's chain. The pool must not be exhausted. */
  borrow(owner: number, last: number): number {
    assert(!this.exhausted, "no extension left to lend");
    const extension = this.#free[--this.#freeCount]!;
    const first = this.firstSlot(extension);
    this.doubles.fill(NEVER, first, first + this.slots);
    this.words[extension * EXTENSION_WORDS + NEXT] = NO_EXTENSION;
    if (last !== NO_EXTENSION) this.words[last * EXTENSION_WORDS + NEXT] = extension;
    this.#owners[extension - 1] = owner;
    return extension;
  }

  /** Takes back a chain. */
  giveBack(first: number): void {
    for (let extension = first; extension !== NO_EXTENSION; extension = this.next(extension)) {
      this.#free[this.#freeCount++] = extension;
    }
  }

  /**
   * Of the next few owners in turn but the one that asks, the one that was seen longest ago. Only an exhausted pool may be
   * asked, by an owner that doesn't have the longest chain: then there is another. The turns see to it that no owner is
   * passed over for ever.
   */
  ownerToEvict(owners: { seenUs(owner: number): number }, asking: number): number {
    assert(this.exhausted, "an owner is only asked to leave when no extension is left");
    let oldest = -1;
    let oldestUs = Infinity;
    for (let turn = 0; turn < CANDIDATES || oldest < 0; turn++) {
      const owner = this.#owners[this.#hand]!;
      this.#hand = (this.#hand + 1) % this.#owners.length;
      const seenUs = owners.seenUs(owner);
      if (owner === asking || (oldest >= 0 && seenUs >= oldestUs)) continue;
      oldest = owner;
      oldestUs = seenUs;
    }
    return oldest;
  }
}
