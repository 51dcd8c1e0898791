import { ADDRESS_WORDS, SOURCE, SOURCE_HASH } from "./event-tuple.ts";

const NONE = -1;

/**
 * Source keys with a deadline each, addressed by tuples that carry the key and its hash, at most `capacity` of them. When there is no room, the one that ends soonest leaves,
 * the longest known first among equals. All memory is taken at construction; `find` and `set` allocate nothing.
 *
 * An entry is a number below `capacity` that stays the same for as long as the key is known, so that a caller can keep
 * more about it in arrays of its own.
 */
export class DeadlineTable {
  readonly capacity: number;
  readonly #keys: Uint32Array;
  readonly #hashes: Uint32Array;
  readonly #deadlinesUs: Float64Array;
  /** When the entry was set first, in calls of `set`. */
  readonly #ages: Float64Array;
  /** First entry of each bucket, and for each entry the next in its bucket. */
  readonly #buckets: Int32Array;
  readonly #next: Int32Array;
  /** Entries as a binary heap, the next to leave on top, and for each entry its place in the heap. */
  readonly #heap: Int32Array;
  readonly #places: Int32Array;
  #size = 0;
  #calls = 0;
  #evictedLive = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#keys = new Uint32Array(capacity * ADDRESS_WORDS);
    this.#hashes = new Uint32Array(capacity);
    this.#deadlinesUs = new Float64Array(capacity);
    this.#ages = new Float64Array(capacity);
    this.#buckets = new Int32Array(2 ** Math.ceil(Math.log2(capacity * 2))).fill(NONE);
    this.#next = new Int32Array(capacity);
    this.#heap = new Int32Array(capacity);
    this.#places = new Int32Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    const perEntry = (ADDRESS_WORDS + 4) * 4 + 2 * 8;
    return this.capacity * perEntry + this.#buckets.byteLength;
  }

  /** Entries that had to leave before their deadline. */
  get evictedLive(): number {
    return this.#evictedLive;
  }

  /** The entry of the tuple's source, or -1. */
  find(tuple: Uint32Array): number {
    if (this.#size === 0) return NONE;
    let entry = this.#buckets[this.#bucketOf(tuple[SOURCE_HASH]!)]!;
    while (entry !== NONE && !this.#keyEquals(entry, tuple)) entry = this.#next[entry]!;
    return entry;
  }

  deadlineUs(entry: number): number {
    return this.#deadlinesUs[entry]!;
  }

  /**
   * Sets the deadline of the tuple's source and returns its entry. `nowUs` tells an entry that has ended, which
   * leaves unnoticed, from one that is evicted.
   */
  set(tuple: Uint32Array, times: { readonly deadlineUs: number; readonly nowUs: number }): number {
    const known = this.find(tuple);
    const entry = known === NONE ? this.#claim(tuple, times.nowUs) : known;
    this.#deadlinesUs[entry] = times.deadlineUs;
    this.#siftUp(entry);
    this.#siftDown(entry);
    return entry;
  }

  #claim(tuple: Uint32Array, nowUs: number): number {
    const entry = this.#size < this.capacity ? this.#append() : this.#evict(nowUs);
    this.#keys.set(tuple.subarray(SOURCE, SOURCE + ADDRESS_WORDS), entry * ADDRESS_WORDS);
    this.#hashes[entry] = tuple[SOURCE_HASH]!;
    this.#ages[entry] = this.#calls++;
    const bucket = this.#bucketOf(tuple[SOURCE_HASH]!);
    this.#next[entry] = this.#buckets[bucket]!;
    this.#buckets[bucket] = entry;
    return entry;
  }

  /** A new entry, last in the heap. */
  #append(): number {
    const entry = this.#size++;
    this.#heap[entry] = entry;
    this.#places[entry] = entry;
    return entry;
  }

  /** The entry that ends soonest, taken out of its bucket. It keeps its place in the heap. */
  #evict(nowUs: number): number {
    const entry = this.#heap[0]!;
    if (this.#deadlinesUs[entry]! > nowUs) this.#evictedLive++;
    const bucket = this.#bucketOf(this.#hashes[entry]!);
    let previous = this.#buckets[bucket]!;
    if (previous === entry) {
      this.#buckets[bucket] = this.#next[entry]!;
      return entry;
    }
    while (this.#next[previous] !== entry) previous = this.#next[previous]!;
    this.#next[previous] = this.#next[entry]!;
    return entry;
  }

  #bucketOf(hash: number): number {
    return hash & (this.#buckets.length - 1);
  }

  #keyEquals(entry: number, tuple: Uint32Array): boolean {
    const at = entry * ADDRESS_WORDS;
    for (let word = ADDRESS_WORDS - 1; word >= 0; word--) {
      if (this.#keys[at + word] !== tuple[SOURCE + word]) return false;
    }
    return true;
  }

  #endsBefore(left: number, right: number): boolean {
    const leftUs = this.#deadlinesUs[left]!;
    const rightUs = this.#deadlinesUs[right]!;
    return leftUs < rightUs || (leftUs === rightUs && this.#ages[left]! < this.#ages[right]!);
  }

  #siftUp(entry: number): void {
    let place = this.#places[entry]!;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!this.#endsBefore(entry, this.#heap[parent]!)) return;
      this.#swap(place, parent);
      place = parent;
    }
  }

  #siftDown(entry: number): void {
    let place = this.#places[entry]!;
    for (;;) {
      const left = place * 2 + 1;
      if (left >= this.#size) return;
      const right = left + 1;
      const child =
        right < this.#size && this.#endsBefore(this.#heap[right]!, this.#heap[left]!)
          ? right
          : left;
      if (!this.#endsBefore(this.#heap[child]!, entry)) return;
      this.#swap(place, child);
      place = child;
    }
  }

  #swap(left: number, right: number): void {
    const leftEntry = this.#heap[left]!;
    const rightEntry = this.#heap[right]!;
    this.#heap[left] = rightEntry;
    this.#heap[right] = leftEntry;
    this.#places[rightEntry] = left;
    this.#places[leftEntry] = right;
  }
}
