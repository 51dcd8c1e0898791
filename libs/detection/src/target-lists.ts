import {
  ADDRESS_WORDS,
  DESTINATION,
  type EventTuple,
  LEADING_PORT,
  PORT,
  TIME,
} from "./event-tuple.ts";
import { allocateLines, CACHE_LINE_BYTES, loadTogether } from "./line-memory.ts";
import { MAX_WARMED } from "./record-table.ts";

/** No list. Lists are numbered from 1. */
export const NO_LIST = 0;

/** The most targets that a list has room for. */
export const LIST_TARGETS = 10;

const LIST_BYTES = 2 * CACHE_LINE_BYTES;
const LIST_WORDS = LIST_BYTES / 4;
const LINE_WORDS = CACHE_LINE_BYTES / 4;

/** Where in a list's words these lie. */
const BASE = 0;
const COUNT = 1;
const NETWORK = 2;
const PORTS = 5;
const HOSTS = PORTS + LIST_TARGETS / 2;
const TIMES = HOSTS + LIST_TARGETS;

/** All words of a destination but the last, which tells the hosts of a list apart. */
const NETWORK_WORDS = ADDRESS_WORDS - 1;
const HOST = DESTINATION + NETWORK_WORDS;

const PORT_BITS = 16;
const PORT_MASK = 0xffff;

/** A base counts these, so that a word has room for it. */
const BASE_UNIT_US = 2 ** 20;
const MAX_OFFSET_US = 2 ** 32 - 1;
/** How far a list reaches back from the time that it is lent at. */
const REACH_US = 2 ** 31;

/** What makes a scan of a source: so many ports of one host, hosts with one port, or targets. Infinity: nothing does. */
export type TargetThresholds = {
  readonly vertical: number;
  readonly horizontal: number;
  readonly spread: number;
};

export type TargetListsOptions = {
  /** How many lists there are. */
  readonly capacity: number;
  readonly thresholds: TargetThresholds;
};

/**
 * A fixed number of lists of targets, and when each was seen last: for sources that have tried more targets than their
 * records have room for, and too few to be scanners by any rule. The hosts of a list are of one network: their addresses
 * differ in the last word alone, as those of IPv4 always do. That leaves room for ten targets in two cache lines.
 *
 *     word   0     1      2 to 4   5 to 9             10 to 19           20 to 29
 *            base  count  network  ports, two a word  hosts, last words  offsets
 *
 * `base` is a time in units of 2^20 microseconds since the Unix epoch; a target was seen last its offset, in microseconds, after
 * that. Lists that are free are chained by their first word.
 */
export class TargetLists {
  readonly #words: Uint32Array;
  readonly #thresholds: TargetThresholds;
  readonly #capacity: number;
  /** Where the lines that are warmed begin. */
  readonly #lines = new Int32Array(2 * MAX_WARMED);
  #firstFree = NO_LIST;
  /** Lists that were ever lent: those behind them are free, too. */
  #used = 0;
  /** Means nothing: it keeps the loads of `warm` from being optimised away. */
  warmed = 0;

  constructor({ capacity, thresholds }: TargetListsOptions) {
    this.#capacity = capacity;
    this.#thresholds = thresholds;
    this.#words = allocateLines((capacity + 1) * LIST_BYTES).words;
  }

  get bytes(): number {
    return this.#words.buffer.byteLength;
  }

  /** An empty list for targets around the tuple's time; `NO_LIST` if all are lent. */
  lend({ times }: EventTuple): number {
    const list = this.#take();
    if (list === NO_LIST) return NO_LIST;
    const base = Math.max(0, Math.floor((times[TIME]! - REACH_US) / BASE_UNIT_US));
    this.#words[list * LIST_WORDS + BASE] = base;
    this.#words[list * LIST_WORDS + COUNT] = 0;
    return list;
  }

  /** Takes a list back. */
  giveBack(list: number): void {
    this.#words[list * LIST_WORDS] = this.#firstFree;
    this.#firstFree = list;
  }

  /**
   * Notes the target of a tuple. False, and nothing is changed, if it may make a scan or doesn't fit in: for want of room,
   * because it is of another network, or for the time between it and the others (half an hour always fits in).
   */
  see(list: number, tuple: EventTuple): boolean {
    const at = list * LIST_WORDS;
    const offset = this.#offsetOf(at, tuple);
    if (offset < 0 || offset > MAX_OFFSET_US) return false;
    if (!this.#isOfNetwork(at, tuple.words)) return false;
    const place = this.#find(at, tuple.words);
    if (place < 0) return this.#add(at, tuple, offset);
    if (offset > this.#words[at + TIMES + place]!) this.#words[at + TIMES + place] = offset;
    return true;
  }

  /** Tells what a list holds, oldest first: by `target`, whose destination, port and time are set to each in turn. */
  tell(list: number, target: EventTuple, onTarget: (target: EventTuple) => void): void {
    const at = list * LIST_WORDS;
    const { words, times } = target;
    words.set(this.#words.subarray(at + NETWORK, at + NETWORK + NETWORK_WORDS), DESTINATION);
    const offsets = this.#words.subarray(at + TIMES, at + TIMES + this.#words[at + COUNT]!);
    const places = [...offsets.keys()].toSorted((left, right) => offsets[left]! - offsets[right]!);
    for (const place of places) {
      words[HOST] = this.#words[at + HOSTS + place]!;
      words[PORT] = this.#portAt(at, place);
      words[LEADING_PORT] = words[PORT];
      times[TIME] = this.#words[at + BASE]! * BASE_UNIT_US + offsets[place]!;
      onTarget(target);
    }
  }

  /** Brings the first `count` of these lists into the processor's caches, `MAX_WARMED` at most. */
  warm(lists: Int32Array, count: number): void {
    const lines = this.#lines;
    for (let index = 0; index < count; index++) {
      const at = lists[index]! * LIST_WORDS;
      lines[2 * index] = at;
      lines[2 * index + 1] = at + LINE_WORDS;
    }
    this.warmed = loadTogether(this.#words, lines, 2 * count);
  }

  #take(): number {
    const free = this.#firstFree;
    if (free !== NO_LIST) {
      this.#firstFree = this.#words[free * LIST_WORDS]!;
      return free;
    }
    return this.#used === this.#capacity ? NO_LIST : ++this.#used;
  }

  /** Where a tuple's time lies from the base, which is moved if that is too far. */
  #offsetOf(at: number, { times }: EventTuple): number {
    const timeUs = times[TIME]!;
    const offset = timeUs - this.#words[at + BASE]! * BASE_UNIT_US;
    return offset <= MAX_OFFSET_US ? offset : offset - this.#moveBase(at);
  }

  /** Moves the base as near to the oldest target as it can be, and says how far that was. */
  #moveBase(at: number): number {
    const words = this.#words;
    const first = at + TIMES;
    const last = first + words[at + COUNT]!;
    let oldest = MAX_OFFSET_US;
    for (let timeAt = first; timeAt < last; timeAt++) oldest = Math.min(oldest, words[timeAt]!);
    const units = Math.floor(oldest / BASE_UNIT_US);
    for (let timeAt = first; timeAt < last; timeAt++) words[timeAt]! -= units * BASE_UNIT_US;
    words[at + BASE]! += units;
    return units * BASE_UNIT_US;
  }

  #isOfNetwork(at: number, words: Uint32Array): boolean {
    const list = this.#words;
    return (
      (list[at + NETWORK + 2] === words[DESTINATION + 2] &&
        list[at + NETWORK + 1] === words[DESTINATION + 1] &&
        list[at + NETWORK] === words[DESTINATION]) ||
      list[at + COUNT] === 0
    );
  }

  #find(at: number, words: Uint32Array): number {
    const list = this.#words;
    const host = words[HOST]!;
    const count = list[at + COUNT]!;
    for (let place = 0; place < count; place++) {
      if (list[at + HOSTS + place] === host && this.#portAt(at, place) === words[PORT])
        return place;
    }
    return -1;
  }

  #add(at: number, { words }: EventTuple, offset: number): boolean {
    if (!this.#fits(at, words)) return false;
    const list = this.#words;
    const place = list[at + COUNT]!++;
    for (let word = 0; word < NETWORK_WORDS; word++) {
      list[at + NETWORK + word] = words[DESTINATION + word]!;
    }
    this.#setTarget(at, place, words[HOST]!, words[PORT]!);
    list[at + TIMES + place] = offset;
    return true;
  }

  /** Whether another target fits in, and makes no scan with those that are there. */
  #fits(at: number, words: Uint32Array): boolean {
    const list = this.#words;
    const count = list[at + COUNT]!;
    let ports = 1;
    let hosts = 1;
    for (let place = 0; place < count; place++) {
      if (list[at + HOSTS + place] === words[HOST]) ports++;
      if (this.#portAt(at, place) === words[PORT]) hosts++;
    }
    const { vertical, horizontal, spread } = this.#thresholds;
    return count < LIST_TARGETS && ports < vertical && hosts < horizontal && count + 1 < spread;
  }

  #portAt(at: number, place: number): number {
    return (this.#words[at + PORTS + (place >>> 1)]! >>> (PORT_BITS * (place & 1))) & PORT_MASK;
  }

  #setTarget(at: number, place: number, host: number, port: number): void {
    this.#words[at + HOSTS + place] = host;
    const portsAt = at + PORTS + (place >>> 1);
    const shift = PORT_BITS * (place & 1);
    this.#words[portsAt] = (this.#words[portsAt]! & ~(PORT_MASK << shift)) | (port << shift);
  }
}
