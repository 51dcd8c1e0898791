import assert from "node:assert/strict";
import { type EventTuple, FLOOR, type RuleLayout, TIME, type TupleGroup } from "./event-tuple.ts";
import { ExtensionPool, NEVER, NO_EXTENSION } from "./extension-pool.ts";
import { CACHE_LINE_BYTES } from "./line-memory.ts";
import { MAX_WARMED, RecordTable } from "./record-table.ts";

/** The largest threshold: an event is compared with up to that many items. */
export const MAX_THRESHOLD = 1024;

/** Items that a key's record has room for at least; a key that holds more than its record borrows extensions. */
const INLINE_ITEMS = 1;
const TIME_BYTES = 8;
const WORD_BYTES = 4;

/** There is one extension for so many keys, but one for every key of a small table. */
const KEYS_PER_EXTENSION = 4;
const SMALL_TABLE_KEYS = 1024;

export type DistinctWindowOptions = {
  /** How many keys to hold; rounded up to a power of two. */
  readonly capacity: number;
  /** How many extensions there are for keys of more items than a record has room for; a quarter of the keys unless told. */
  readonly extensionCapacity?: number;
  /** 1 to `MAX_THRESHOLD`. */
  readonly threshold: number;
  readonly windowUs: number;
  /** Where in a tuple's words the key, its hash and the item lie. */
  readonly layout: RuleLayout;
};

export type SeenItem = {
  readonly item: readonly number[];
  /** When it was seen last, in microseconds since the Unix epoch. */
  readonly timeUs: number;
};

export type WindowEntry = {
  readonly key: readonly number[];
  /** The largest time seen for the key. */
  readonly newestUs: number;
  /** The items inside the window, oldest first. */
  readonly items: readonly SeenItem[];
};

/**
 * For every key, the distinct items of the last `windowUs`, exactly.
 *
 * Time is the time of the events, in whole microseconds since the Unix epoch (and after it), and may step back from one event
 * to the next.
 * - `newest` of a key is the largest time seen for it; the time of an item is the largest time it was seen at.
 * - The window of a key is the closed interval [newest - windowUs, newest]: an item seen exactly `windowUs` ago counts, one
 *   that is a microsecond older doesn't.
 * - An event older than its key's window is late: it changes nothing and is counted.
 * - An event comes with a floor, at most its own time: what happened before it is forgotten, as if it had never been seen.
 *   For one key it may rise from event to event, never fall. -Infinity is none.
 * - The event that brings the count of distinct items to `threshold` is the deciding one. It isn't stored: the caller
 *   releases the key, which starts anew after that.
 *
 * So no key ever needs room for more than threshold - 1 items, and items that have left the window are overwritten. All
 * memory is taken at construction and `observe` allocates nothing. When there is no room, the least recently seen key
 * leaves; it is counted in `evictedLive` if it was still within `windowUs` of the newest event of the whole table.
 */
export class DistinctWindow {
  readonly threshold: number;
  readonly windowUs: number;
  readonly #table: RecordTable;
  readonly #pool: ExtensionPool;
  readonly #itemStart: number;
  readonly #itemWords: number;
  /** Items that a record has room for, and those that a key may hold beyond that. */
  readonly #inlineItems: number;
  readonly #extendedItems: number;
  /** A record's payload: newest and the times of its items as doubles; then, in words, the items and its extension. */
  readonly #doubles: Float64Array;
  readonly #words: Uint32Array;
  readonly #itemsOffset: number;
  readonly #extensionOffset: number;
  /** The records of a group's tuples, and their extensions. */
  readonly #located = new Int32Array(MAX_WARMED);
  readonly #extensions = new Int32Array(MAX_WARMED);
  #late = 0;
  #warmed = 0;

  constructor({ capacity, extensionCapacity, threshold, windowUs, layout }: DistinctWindowOptions) {
    assert(threshold >= 1 && threshold <= MAX_THRESHOLD, `a threshold of ${threshold}`);
    assert(windowUs >= 0, `a window of ${windowUs} us`);
    this.threshold = threshold;
    this.windowUs = windowUs;
    this.#itemStart = layout.itemStart;
    this.#itemWords = layout.itemWords;
    const { recordBytes, inlineItems } = recordSize(layout, threshold - 1);
    this.#inlineItems = inlineItems;
    this.#itemsOffset = 2 * (1 + inlineItems);
    this.#extensionOffset = this.#itemsOffset + inlineItems * layout.itemWords;
    this.#extendedItems = threshold - 1 - inlineItems;
    this.#table = new RecordTable({ capacity, layout, recordBytes, lifeUs: windowUs });
    this.#doubles = this.#table.doubles;
    this.#words = this.#table.words;
    this.#pool = new ExtensionPool({
      capacity: extensionCapacity ?? defaultExtensions(this.#table.capacity),
      maxItems: this.#extendedItems,
      itemWords: layout.itemWords,
    });
  }

  get bytes(): number {
    return this.#table.bytes + this.#pool.bytes;
  }

  /** Keys that the table has room for. */
  get capacity(): number {
    return this.#table.capacity;
  }

  /** Keys held, including those whose items have all left the window and that nobody has overwritten yet. */
  get trackedKeys(): number {
    return this.#table.size;
  }

  /** Events that were older than their key's window. */
  get late(): number {
    return this.#late;
  }

  /** Keys that had to leave while they were still inside the window. */
  get evictedLive(): number {
    return this.#table.evictedLive;
  }

  /** Takes in one event and says whether it is the deciding one; if so, the caller must `release` its key. */
  // Long on purpose: this runs for every event and rule, and split into small methods it takes a third longer.
  observe(tuple: EventTuple): boolean {
    if (this.#inlineItems === 0) return true;
    const eventWords = tuple.words;
    const record = this.#table.find(eventWords);
    if (record < 0) return this.#begin(tuple);
    const doubles = this.#doubles;
    const timeUs = tuple.times[TIME]!;
    const newestAt = record * this.#table.recordDoubles;
    let newestUs = doubles[newestAt]!;
    if (timeUs > newestUs) {
      newestUs = timeUs;
      this.#table.renew(record, tuple.times);
    } else if (timeUs < newestUs - this.windowUs) {
      this.#late++;
      return false;
    }
    const startUs = Math.max(newestUs - this.windowUs, tuple.times[FLOOR]!);
    const words = this.#words;
    let at = record * this.#table.recordWords + this.#itemsOffset;
    let free = -1;
    search: for (let slot = 0; slot < this.#inlineItems; slot++) {
      const timeAt = newestAt + 1 + slot;
      if (free < 0 && doubles[timeAt]! < startUs) free = slot;
      const end = at + this.#itemWords;
      for (let word = this.#itemStart; at < end; at++, word++) {
        if (words[at] === eventWords[word]) continue;
        at = end;
        continue search;
      }
      if (timeUs > doubles[timeAt]!) doubles[timeAt] = timeUs;
      return false;
    }
    if (this.#extendedItems > 0) return this.#observeExtended(tuple, record, free);
    if (free < 0) return true;
    this.#setInline(tuple, record, free);
    return false;
  }

  /** Prepares for `observe` with a group's first `count` tuples, `MAX_WARMED` at most: it changes nothing but the time it takes. */
  warm(group: TupleGroup, count: number): void {
    if (this.#table.isLarge) this.#table.locate(group, count, this.#located);
  }

  /** The same once more, for what lies behind the records that `warm` has found. */
  warmExtensions(count: number): void {
    if (this.#extendedItems === 0 || !this.#table.isLarge) return;
    const extensions = this.#extensions;
    for (let index = 0; index < count; index++) {
      extensions[index] = this.#words[this.#extensionAt(this.#located[index]!)]!;
    }
    this.#warmed = this.#pool.warm(extensions, count);
  }

  /** Means nothing: it keeps the loads of `warmExtensions` from being optimised away. */
  get warmed(): number {
    return this.#warmed;
  }

  /** Whether the key in a tuple's words is held. */
  holds(words: Uint32Array): boolean {
    return this.#table.find(words) >= 0;
  }

  /** What the window of the tuple's key holds; undefined if the key is unknown. Allocates. */
  inspect(tuple: EventTuple): WindowEntry | undefined {
    const record = this.#table.find(tuple.words);
    return record < 0 ? undefined : this.#entryOf(record, tuple.times[FLOOR]!);
  }

  /** Forgets the tuple's key, if it is known. */
  release(tuple: EventTuple): void {
    const record = this.#table.find(tuple.words);
    if (record < 0) return;
    this.#giveBackExtensions(record);
    this.#table.release(record);
  }

  /**
   * Forgets the tuple's key if nothing was seen for it after the tuple's time. An item that is younger, which a clock that
   * steps back can bring first, may lie beyond the floor that follows: a detector that takes over counts it too.
   */
  releaseOutlived(tuple: EventTuple): void {
    const record = this.#table.find(tuple.words);
    if (record >= 0 && this.#table.seenUs(record) <= tuple.times[TIME]!) this.release(tuple);
  }

  /** The entries that aren't empty of all keys that `isWanted`. Walks the whole table and allocates. */
  entries(isWanted: (key: readonly number[]) => boolean, floorUs: number): readonly WindowEntry[] {
    const entries: WindowEntry[] = [];
    for (const record of this.#table.records()) {
      if (!isWanted(this.#table.keyOf(record))) continue;
      const entry = this.#entryOf(record, floorUs);
      if (entry.items.length > 0) entries.push(entry);
    }
    return entries;
  }

  /** The first event of a key. The threshold is above 1 here, so it can't be the deciding one. */
  #begin(tuple: EventTuple): boolean {
    const record = this.#table.claim(tuple);
    if (this.#table.replaced) this.#giveBackExtensions(record);
    const times = record * this.#table.recordDoubles + 1;
    for (let slot = 1; slot < this.#inlineItems; slot++) this.#doubles[times + slot] = NEVER;
    this.#setInline(tuple, record, 0);
    if (this.#extendedItems > 0) this.#words[this.#extensionAt(record)] = NO_EXTENSION;
    return false;
  }

  /** Goes on for a key that may have extensions, whose record doesn't hold the item but may have a free slot for it. */
  #observeExtended(tuple: EventTuple, record: number, freeInline: number): boolean {
    const pool = this.#pool;
    const timeUs = tuple.times[TIME]!;
    const startUs = Math.max(this.#table.seenUs(record) - this.windowUs, tuple.times[FLOOR]!);
    let free = -1;
    let last = NO_EXTENSION;
    let room = this.#extendedItems;
    let extension = this.#words[this.#extensionAt(record)]!;
    for (; extension !== NO_EXTENSION; extension = pool.next(extension)) {
      last = extension;
      const first = pool.firstSlot(extension);
      const end = first + Math.min(pool.slots, room);
      room -= end - first;
      for (let slot = first; slot < end; slot++) {
        const seenUs = pool.doubles[slot]!;
        if (free < 0 && seenUs < startUs) free = slot;
        if (seenUs === NEVER) break;
        if (!this.#isItem(tuple.words, slot)) continue;
        if (timeUs > seenUs) pool.doubles[slot] = timeUs;
        return false;
      }
    }
    if (freeInline >= 0) {
      this.#setInline(tuple, record, freeInline);
      return false;
    }
    if (free < 0 && room === 0) return true;
    if (free < 0) free = pool.firstSlot(this.#extend(record, last));
    pool.doubles[free] = timeUs;
    this.#setItem(pool.words, pool.itemAt(free), tuple);
    return false;
  }

  /** Lends a record one more extension; `last` is the last of those that it has. */
  #extend(record: number, last: number): number {
    if (this.#pool.exhausted) this.#evict(this.#pool.ownerToEvict(this.#table, record));
    const extension = this.#pool.borrow(record, last);
    if (last === NO_EXTENSION) this.#words[this.#extensionAt(record)] = extension;
    return extension;
  }

  #evict(record: number): void {
    this.#giveBackExtensions(record);
    this.#table.evict(record);
  }

  #giveBackExtensions(record: number): void {
    if (this.#extendedItems > 0) this.#pool.giveBack(this.#words[this.#extensionAt(record)]!);
  }

  #extensionAt(record: number): number {
    return record * this.#table.recordWords + this.#extensionOffset;
  }

  #setInline(tuple: EventTuple, record: number, slot: number): void {
    this.#doubles[record * this.#table.recordDoubles + 1 + slot] = tuple.times[TIME]!;
    const items = record * this.#table.recordWords + this.#itemsOffset;
    this.#setItem(this.#words, items + slot * this.#itemWords, tuple);
  }

  #setItem(items: Uint32Array, at: number, tuple: EventTuple): void {
    for (let word = 0; word < this.#itemWords; word++) {
      items[at + word] = tuple.words[this.#itemStart + word]!;
    }
  }

  /** Whether a slot of the pool holds the event's item. From the back: what tells hosts and ports apart comes last. */
  #isItem(eventWords: Uint32Array, slot: number): boolean {
    const { words } = this.#pool;
    const at = this.#pool.itemAt(slot);
    for (let word = this.#itemWords - 1; word >= 0; word--) {
      if (words[at + word] !== eventWords[this.#itemStart + word]) return false;
    }
    return true;
  }

  #entryOf(record: number, floorUs: number): WindowEntry {
    const newestUs = this.#table.seenUs(record);
    const startUs = Math.max(newestUs - this.windowUs, floorUs);
    const items = [...this.#inlineSeen(record), ...this.#extensionSeen(record)];
    const inWindow = items.filter(({ timeUs }) => timeUs >= startUs);
    return { key: this.#table.keyOf(record), newestUs, items: inWindow.toSorted(bySeen) };
  }

  #inlineSeen(record: number): SeenItem[] {
    const times = record * this.#table.recordDoubles + 1;
    const items = record * this.#table.recordWords + this.#itemsOffset;
    return Array.from({ length: this.#inlineItems }, (_, slot) => ({
      item: this.#itemAt(this.#words, items + slot * this.#itemWords),
      timeUs: this.#doubles[times + slot]!,
    }));
  }

  #extensionSeen(record: number): SeenItem[] {
    if (this.#extendedItems === 0) return [];
    const { slots, doubles, words } = this.#pool;
    const seen: SeenItem[] = [];
    let extension = this.#words[this.#extensionAt(record)]!;
    for (; extension !== NO_EXTENSION; extension = this.#pool.next(extension)) {
      const first = this.#pool.firstSlot(extension);
      for (let slot = first; slot < first + slots; slot++) {
        const item = this.#itemAt(words, this.#pool.itemAt(slot));
        seen.push({ item, timeUs: doubles[slot]! });
      }
    }
    return seen;
  }

  #itemAt(items: Uint32Array, at: number): readonly number[] {
    return [...items.subarray(at, at + this.#itemWords)];
  }
}

/** The smallest record, one cache line or twice that and so on, for `items` or else some of them and an extension. */
function recordSize(
  layout: RuleLayout,
  items: number,
): { recordBytes: number; inlineItems: number } {
  const fixedBytes = TIME_BYTES + layout.keyWords * WORD_BYTES;
  const itemBytes = TIME_BYTES + layout.itemWords * WORD_BYTES;
  for (let recordBytes = CACHE_LINE_BYTES; ; recordBytes *= 2) {
    if (fixedBytes + items * itemBytes <= recordBytes) return { recordBytes, inlineItems: items };
    const inlineItems = Math.floor((recordBytes - fixedBytes - WORD_BYTES) / itemBytes);
    if (inlineItems >= INLINE_ITEMS) return { recordBytes, inlineItems };
  }
}

function defaultExtensions(keys: number): number {
  return Math.max(Math.min(keys, SMALL_TABLE_KEYS), Math.ceil(keys / KEYS_PER_EXTENSION));
}

function bySeen(left: SeenItem, right: SeenItem): number {
  if (left.timeUs !== right.timeUs) return left.timeUs - right.timeUs;
  const differs = left.item.findIndex((word, index) => word !== right.item[index]);
  return differs < 0 ? 0 : left.item[differs]! - right.item[differs]!;
}
