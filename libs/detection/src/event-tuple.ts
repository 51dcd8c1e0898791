/**
 * An event laid out so that the key and the item of every rule are contiguous words, read in place by the windows, with the
 * hashes of the keys behind them (see `TupleHash`).
 *
 *     word   0     1 2 3 4       5 6 7 8        9      10       11          12             13
 *            port  source key    destination    port   hash of  hash of     hash of        source
 *                                                      source   vertical's  horizontal's   port
 *                                                               key         key
 *
 *     vertical        [-- source, destination --] [port]
 *     horizontal  [port, source] [ destination ]
 *     spread          [ source ] [ destination, port ]
 */
export const LEADING_PORT = 0;
export const SOURCE = 1;
export const DESTINATION = 5;
export const PORT = 9;
export const SOURCE_HASH = 10;
export const VERTICAL_HASH = 11;
export const HORIZONTAL_HASH = 12;
export const SOURCE_PORT = 13;
/** Behind what is laid out: 0 if no verdict on the source and no alert about it is known, so that nobody looks. */
export const NAMED = 14;
/** A cache line's. */
export const TUPLE_WORDS = 16;
export const ADDRESS_WORDS = 4;

/** When the event happened, and the time before which nothing counts for its source; both in microseconds. */
export const TIME = 0;
export const FLOOR = 1;
export const TUPLE_TIMES = 2;

/** Mutable and reused. A time is passed in an array because a plain number argument would be boxed: an allocation. */
export type EventTuple = {
  readonly words: Uint32Array;
  readonly times: Float64Array;
};

export function createEventTuple(): EventTuple {
  return { words: new Uint32Array(TUPLE_WORDS), times: new Float64Array(TUPLE_TIMES) };
}

/**
 * Tuples one behind another, so that the caches hold many: member m's words begin at `m * TUPLE_WORDS` of `words`, its times at
 * `m * TUPLE_TIMES` of `times`. `tuples` are views of the same memory, for who wants one of them.
 */
export type TupleGroup = EventTuple & { readonly tuples: readonly EventTuple[] };

export function createTupleGroup(members: number): TupleGroup {
  const words = new Uint32Array(members * TUPLE_WORDS);
  const times = new Float64Array(members * TUPLE_TIMES);
  const tuples = Array.from({ length: members }, (_, member) => ({
    words: words.subarray(member * TUPLE_WORDS, (member + 1) * TUPLE_WORDS),
    times: times.subarray(member * TUPLE_TIMES, (member + 1) * TUPLE_TIMES),
  }));
  return { words, times, tuples };
}

/** Where in a tuple's words a key lies, and its hash. */
export type KeyLayout = {
  readonly keyStart: number;
  readonly keyWords: number;
  readonly hashAt: number;
};

export type RuleLayout = KeyLayout & {
  readonly itemStart: number;
  readonly itemWords: number;
};

export const sourceLayout: KeyLayout = {
  keyStart: SOURCE,
  keyWords: ADDRESS_WORDS,
  hashAt: SOURCE_HASH,
};
