import {
  type EventTuple,
  type KeyLayout,
  TIME,
  TUPLE_WORDS,
  type TupleGroup,
} from "./event-tuple.ts";
import { allocateLines, loadTogether } from "./line-memory.ts";

/** The most tuples that can be warmed up at once; a multiple of four (see `loadTogether`). */
export const MAX_WARMED = 128;

/** So few records stay in the processor's caches by themselves: warming them takes longer than it spares. */
const CACHED_RECORDS = 1024;

/** Records that a key may lie in. */
const WAYS = 8;

/** The nearest of these, of which `locate` loads: a key that isn't there is most likely nowhere. */
const LOCATED_WAYS = 4;

/** What a free record has for a time: memory comes zeroed, and no event is from before 1970. */
const FREE = 0;

export type RecordTableOptions = {
  /** How many records to hold; rounded up to a power of two, at least eight. */
  readonly capacity: number;
  readonly layout: KeyLayout;
  /** Bytes per record, the key included: a power of two, at least a cache line's. */
  readonly recordBytes: number;
  /** How long a record is live after it was seen last. */
  readonly lifeUs: number;
};

/**
 * A hash table of fixed-size records, addressed by tuples that carry the key and its hash. Its memory is taken at
 * construction and never grows.
 *
 * Record r lies at `r * recordDoubles` of `doubles` and at `r * recordWords` of `words`, two views of the same memory. The
 * first double is when the record was seen last, in microseconds; the last words are the key; what lies between belongs to
 * the caller.
 *
 * The table is set-associative: a key lies at its home or in one of the seven other records of its set, the nearest that was
 * free or dead when the key came. When all are live, the least recently seen leaves. So a set can overflow before the table
 * is full: half full of live keys, one in 300 has to leave; at three quarters, one in 35.
 *
 * There are no tags beside the records: with many sources nothing costs as much as waiting for memory, and a key at home
 * costs one wait.
 */
export class RecordTable {
  readonly capacity: number;
  readonly recordDoubles: number;
  readonly recordWords: number;
  readonly doubles: Float64Array;
  readonly words: Uint32Array;
  /** Whether the latest `claim` took a record that another key had. */
  replaced = false;
  /** Means nothing: it keeps the loads of `locate` from being optimised away. */
  warmed = 0;
  readonly #homeMask: number;
  readonly #keyStart: number;
  readonly #keyWords: number;
  readonly #hashAt: number;
  readonly #keyOffset: number;
  readonly #lifeUs: number;
  /** Where the records that are warmed begin. */
  readonly #places = new Int32Array(MAX_WARMED);
  /** Members of a group that aren't located yet. */
  readonly #missing = new Int32Array(MAX_WARMED);
  #watermarkUs = FREE;
  #size = 0;
  #evictedLive = 0;

  constructor({ capacity, layout, recordBytes, lifeUs }: RecordTableOptions) {
    this.capacity = 2 ** Math.ceil(Math.log2(Math.max(capacity, WAYS)));
    // The bitwise operator makes it a small integer: a power stays a floating-point number for ever.
    this.#homeMask = (this.capacity - 1) | 0;
    this.recordWords = recordBytes / 4;
    this.recordDoubles = recordBytes / 8;
    const { doubles, words } = allocateLines(this.capacity * recordBytes);
    this.doubles = doubles;
    this.words = words;
    this.#keyStart = layout.keyStart;
    this.#keyWords = layout.keyWords;
    this.#hashAt = layout.hashAt;
    this.#keyOffset = this.recordWords - layout.keyWords;
    this.#lifeUs = lifeUs;
  }

  get bytes(): number {
    return this.words.buffer.byteLength;
  }

  /** The newest time of all records. */
  get watermarkUs(): number {
    return this.#watermarkUs;
  }

  /** Records in use, dead ones included. */
  get size(): number {
    return this.#size;
  }

  /** Records that had to leave while they were live. */
  get evictedLive(): number {
    return this.#evictedLive;
  }

  /** Whether so many records are in use that `locate` pays. */
  get isLarge(): boolean {
    return this.#size > CACHED_RECORDS;
  }

  /** The record of the key in a tuple's words; -1 if there is none. */
  find(tuple: Uint32Array): number {
    const words = this.words;
    const home = this.#homeOf(tuple);
    const lastWord = this.#keyWords - 1;
    const last = tuple[this.#keyStart + lastWord]!;
    search: for (let way = 0; way < WAYS; way++) {
      const record = home ^ way;
      const key = record * this.recordWords + this.#keyOffset;
      // The last word first: it is what tells addresses and ports apart.
      if (words[key + lastWord] !== last) continue;
      for (let word = 0; word < lastWord; word++) {
        if (words[key + word] !== tuple[this.#keyStart + word]) continue search;
      }
      // Free records keep their last key, or zeros, which may be the key that is looked for.
      if (this.doubles[record * this.recordDoubles] !== FREE) return record;
    }
    return -1;
  }

  /**
   * Looks for the keys of a group's first `count` tuples, `MAX_WARMED` at most, and waits for memory together for all of them.
   * `located` gets for each the record that the key most likely has, because only last words are compared; its home if it
   * isn't found near that.
   */
  locate({ words }: TupleGroup, count: number, located: Int32Array): void {
    const { recordWords, words: records } = this;
    const places = this.#places;
    const missing = this.#missing;
    for (let member = 0; member < count; member++) {
      const home = this.#homeOf(words, member * TUPLE_WORDS);
      located[member] = home;
      places[member] = (home + 1) * recordWords - 1;
    }
    this.warmed = loadTogether(records, places, count);
    const lastWord = this.#keyStart + this.#keyWords - 1;
    let left = 0;
    for (let member = 0; member < count; member++) {
      const isHome = records[places[member]!] === words[member * TUPLE_WORDS + lastWord];
      if (!isHome) missing[left++] = member;
    }
    for (let way = 1; left > 0 && way < LOCATED_WAYS; way++) {
      left = this.#locateAt(way, words, left, located);
    }
  }

  /** The same for the first `count` missing members, which aren't nearer to their homes; says how many are missing still. */
  #locateAt(way: number, words: Uint32Array, count: number, located: Int32Array): number {
    const { recordWords, words: records } = this;
    const places = this.#places;
    const missing = this.#missing;
    for (let index = 0; index < count; index++) {
      const record = this.#homeOf(words, missing[index]! * TUPLE_WORDS) ^ way;
      places[index] = (record + 1) * recordWords - 1;
    }
    this.warmed ^= loadTogether(records, places, count);
    const lastWord = this.#keyStart + this.#keyWords - 1;
    let left = 0;
    for (let index = 0; index < count; index++) {
      const member = missing[index]!;
      const isThere = records[places[index]!] === words[member * TUPLE_WORDS + lastWord];
      if (isThere) located[member]! ^= way;
      else missing[left++] = member;
    }
    return left;
  }

  /** The record that the key in a tuple's words gets if it comes: the nearest that is free, or else the one seen longest ago. */
  recordToTake(tuple: Uint32Array): number {
    const { doubles, recordDoubles } = this;
    const home = this.#homeOf(tuple);
    let oldest = home;
    for (let way = 0; way < WAYS; way++) {
      const record = home ^ way;
      const seenUs = doubles[record * recordDoubles]!;
      if (seenUs === FREE) return record;
      if (seenUs < doubles[oldest * recordDoubles]!) oldest = record;
    }
    return oldest;
  }

  /** Whether a record in use was seen within its life before the newest time of all. */
  isLive(record: number): boolean {
    return this.seenUs(record) >= this.#watermarkUs - this.#lifeUs;
  }

  /**
   * Makes room for the key in a tuple's words, which must not be there, and notes the tuple's time. `replaced` tells whether
   * another key had the record before; what belongs to the caller is still as that key left it.
   */
  claim(tuple: EventTuple, record = this.recordToTake(tuple.words)): number {
    // First, because this event may be what ends the life of the key that leaves.
    this.#watermarkUs = Math.max(this.#watermarkUs, tuple.times[TIME]!);
    this.replaced = this.seenUs(record) !== FREE;
    if (!this.replaced) this.#size++;
    else if (this.isLive(record)) this.#evictedLive++;
    const key = record * this.recordWords + this.#keyOffset;
    for (let word = 0; word < this.#keyWords; word++) {
      this.words[key + word] = tuple.words[this.#keyStart + word]!;
    }
    this.renew(record, tuple.times);
    return record;
  }

  /** Notes a time for a record that was last seen before it: the one at a place of `times`. */
  renew(record: number, times: Float64Array, at = TIME): void {
    const timeUs = times[at]!;
    this.doubles[record * this.recordDoubles] = timeUs;
    if (timeUs > this.#watermarkUs) this.#watermarkUs = timeUs;
  }

  /** When a record was seen last. */
  seenUs(record: number): number {
    return this.doubles[record * this.recordDoubles]!;
  }

  /** Frees a record that is in use. */
  release(record: number): void {
    this.doubles[record * this.recordDoubles] = FREE;
    this.#size--;
  }

  /** Frees a record whose key has to leave for another's sake. */
  evict(record: number): void {
    if (this.isLive(record)) this.#evictedLive++;
    this.release(record);
  }

  /** The records in use. */
  *records(): Generator<number> {
    for (let record = 0; record < this.capacity; record++) {
      if (this.seenUs(record) !== FREE) yield record;
    }
  }

  keyOf(record: number): readonly number[] {
    const at = record * this.recordWords + this.#keyOffset;
    return [...this.words.subarray(at, at + this.#keyWords)];
  }

  #homeOf(words: Uint32Array, start = 0): number {
    return words[start + this.#hashAt]! & this.#homeMask;
  }
}
