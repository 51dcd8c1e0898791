import {
  ADDRESS_WORDS,
  createEventTuple,
  DESTINATION,
  type EventTuple,
  FLOOR,
  LEADING_PORT,
  NAMED,
  PORT,
  SOURCE,
  sourceLayout,
  TIME,
  type TupleGroup,
  TUPLE_TIMES,
  TUPLE_WORDS,
} from "./event-tuple.ts";
import { CACHE_LINE_BYTES } from "./line-memory.ts";
import { MAX_WARMED, RecordTable } from "./record-table.ts";
import { NO_LIST, TargetLists, type TargetThresholds } from "./target-lists.ts";

/** The most targets of a source that a record has room for. */
const MAX_TARGETS = 2;

/** There is one list for so many sources, but one for every source of a small table. */
const SOURCES_PER_LIST = 4;
const SMALL_TABLE_SOURCES = 1024;

const RECORD_WORDS = CACHE_LINE_BYTES / 4;

/** Where in a record's words these lie. */
const LEAD = 2;
const PORTS = 3;
const DESTINATIONS = 4;
const KEY = 12;
/** In place of the ports. */
const LIST = PORTS;

const PORT_BITS = 16;
const PORT_MASK = 0xffff;

/** In place of a lead: the record has one target, or its source is left to the rules. */
const ONE_TARGET = -(2 ** 31);
const BUSY = 2 ** 31 - 1;
/** Busy, and a verdict or an alert may be known. */
const BUSY_NAMED = 1 - 2 ** 31;
/** The record's targets are in a list. */
const LISTED = 2 - 2 ** 31;
/** The longest time between the sightings of two targets that a record can tell. */
const MAX_LEAD_US = 2 ** 31 - 3;

export type SourceTableOptions = {
  /** How many sources to hold; rounded up to a power of two. */
  readonly capacity: number;
  /** What rules take for a scan: less of a source is kept here. */
  readonly thresholds: TargetThresholds;
  /** An event that is further behind the newest of its source may be late for some rule. */
  readonly shortestWindowUs: number;
  readonly longestWindowUs: number;
  /** Whether rules, verdicts or alerts know the source of a tuple, by its hash: then it is busy from its first event. */
  readonly isKnown: (words: Uint32Array) => boolean;
  /** Takes in what was kept of a source that becomes busy: for each target the latest sighting, oldest first. No hashes. */
  readonly replay: (tuple: EventTuple) => void;
};

/**
 * Sources that have tried too few targets to be scanners by any rule, which nearly all are and remain. A target is a
 * destination address and port. As long as they are so few, all that the rules' windows would hold about a source follows from
 * when it tried each of them last: for one or two targets, one record of one cache line says so, and for some more a list (see
 * `TargetLists`); no window is touched. With a target that may make a scan, or has no room, the source becomes busy:
 * what is kept of it is replayed to the windows, and from then on the source is theirs. The same happens to a source whose
 * event may be late, or is more than half an hour away from another target's, so that nothing but exact is ever said. A
 * source stays busy until its record leaves.
 * A busy source is named once a verdict on it or an alert about it may be known: nobody looks for these before.
 *
 *     word   0 1     2     3      4 to 7       8 to 11      12 to 15
 *            newest  lead  ports  destination  destination  source key
 *                          or     of target 0  of target 1
 *                          list
 *
 * `newest` is the largest time seen, as a double; `lead` by how many microseconds target 1 was seen after target 0, or
 * before it if negative; `ports` has target 0's in its low half and target 1's in its high half.
 */
export class SourceTable {
  readonly #table: RecordTable;
  readonly #lists: TargetLists;
  readonly #words: Uint32Array;
  readonly #maxTargets: number;
  readonly #shortestWindowUs: number;
  readonly #isKnown: SourceTableOptions["isKnown"];
  readonly #replay: SourceTableOptions["replay"];
  readonly #told = createEventTuple();
  /** The lists that are warmed. */
  readonly #warming = new Int32Array(MAX_WARMED);
  /** The records of a group's tuples. */
  readonly #located = new Int32Array(MAX_WARMED);

  constructor(options: SourceTableOptions) {
    const { capacity, thresholds, shortestWindowUs, longestWindowUs } = options;
    const { vertical, horizontal, spread } = thresholds;
    this.#maxTargets = Math.min(MAX_TARGETS, vertical - 1, horizontal - 1, spread - 1);
    this.#table = new RecordTable({
      capacity,
      layout: sourceLayout,
      recordBytes: CACHE_LINE_BYTES,
      lifeUs: longestWindowUs,
    });
    this.#words = this.#table.words;
    this.#lists = new TargetLists({
      capacity: this.#maxTargets < MAX_TARGETS ? 0 : listsFor(this.#table.capacity),
      thresholds,
    });
    this.#shortestWindowUs = shortestWindowUs;
    this.#isKnown = options.isKnown;
    this.#replay = options.replay;
    this.#told.times[FLOOR] = -Infinity;
  }

  get bytes(): number {
    return this.#table.bytes + this.#lists.bytes;
  }

  /** Sources that the table has room for. */
  get capacity(): number {
    return this.#table.capacity;
  }

  /** Sources held, including those that nothing was seen of for longer than the longest window. */
  get size(): number {
    return this.#table.size;
  }

  /** Sources that had to leave although something was seen of them within the longest window. */
  get evictedLive(): number {
    return this.#table.evictedLive;
  }

  /** The largest time of all events. */
  get newestUs(): number {
    return this.#table.watermarkUs;
  }

  /**
   * Takes in a group's first `count` tuples, `MAX_WARMED` at most, in their order and with the same results as one by one; but
   * it waits for memory once for all of them. `onBusy` is told of those whose source is busy.
   */
  absorbGroup(group: TupleGroup, count: number, onBusy: (tuple: EventTuple) => void): void {
    const located = this.#located;
    this.#table.locate(group, count, located);
    this.#warmLists(count);
    for (let member = 0; member < count; member++) {
      if (this.#absorbRepeat(located[member]!, group, member)) continue;
      const tuple = group.tuples[member]!;
      if (!this.absorb(tuple)) onBusy(tuple);
    }
  }

  /**
   * Takes in one event, of which the source's hash suffices. False: its source is busy, and the rules have to judge it; the
   * tuple then says whether the source is named.
   */
  absorb(tuple: EventTuple): boolean {
    const record = this.#table.find(tuple.words);
    if (record < 0) return this.#meet(tuple);
    return this.#absorbRepeat(record, tuple, 0) || this.#absorbMore(record, tuple);
  }

  /** Brings the lists of the located records into the processor's caches. */
  #warmLists(count: number): void {
    let listed = 0;
    for (let member = 0; member < count; member++) {
      const at = this.#located[member]! * RECORD_WORDS;
      const isListed = (this.#words[at + LEAD]! | 0) === LISTED;
      if (isListed) this.#warming[listed++] = this.#words[at + LIST]!;
    }
    this.#lists.warm(this.#warming, listed);
  }

  /** Takes in one more event of a source's only target, as most events are. False, and nothing is changed, if it is another. */
  #absorbRepeat(record: number, { words, times }: EventTuple, member: number): boolean {
    if (!this.#isOnlyTarget(record, words, member * TUPLE_WORDS)) return false;
    const timeAt = member * TUPLE_TIMES + TIME;
    const ageUs = this.#table.seenUs(record) - times[timeAt]!;
    if (ageUs > this.#shortestWindowUs) return false;
    if (ageUs < 0) this.#table.renew(record, times, timeAt);
    return true;
  }

  /** Takes in an event that isn't one more of a source's only target. */
  #absorbMore(record: number, tuple: EventTuple): boolean {
    const lead = this.#words[record * RECORD_WORDS + LEAD]! | 0;
    const timeUs = tuple.times[TIME]!;
    const newestUs = this.#table.seenUs(record);
    if (lead === BUSY || lead === BUSY_NAMED) {
      tuple.words[NAMED] = lead === BUSY ? 0 : 1;
      this.#renew(record, tuple);
      return false;
    }
    if (timeUs < newestUs - this.#shortestWindowUs) return this.#leave(record, tuple.words);
    if (lead === LISTED) return this.#seeListed(record, tuple);
    if (lead === ONE_TARGET) return this.#addTarget(record, tuple);
    if (this.#isTarget(record, 0, tuple.words)) return this.#seeAgain(record, tuple, 0);
    if (this.#isTarget(record, 1, tuple.words)) return this.#seeAgain(record, tuple, 1);
    return this.#enlist(record, tuple);
  }

  /**
   * Leaves a source to the rules from now on, if it is known: a verdict or an alert names it. Of its tuple the source's hash
   * suffices.
   */
  leaveToRules(words: Uint32Array): void {
    const record = this.#table.find(words);
    if (record < 0) return;
    this.#leave(record, words);
    this.#words[record * RECORD_WORDS + LEAD] = BUSY_NAMED;
    words[NAMED] = 1;
  }

  /** The first event of a source. */
  #meet(tuple: EventTuple): boolean {
    const record = this.#table.recordToTake(tuple.words);
    this.#dismiss(record);
    this.#table.claim(tuple, record);
    const at = record * RECORD_WORDS;
    if (this.#maxTargets === 0 || this.#isKnown(tuple.words)) {
      this.#words[at + LEAD] = BUSY_NAMED;
      tuple.words[NAMED] = 1;
      return false;
    }
    this.#words[at + LEAD] = ONE_TARGET;
    this.#setTarget(record, 0, tuple.words);
    return true;
  }

  #addTarget(record: number, tuple: EventTuple): boolean {
    if (this.#maxTargets === 1) return this.#leave(record, tuple.words);
    const lead = tuple.times[TIME]! - this.#table.seenUs(record);
    if (!this.#setLead(record, tuple, lead)) return false;
    this.#setTarget(record, 1, tuple.words);
    return true;
  }

  /** Notes that one of two targets was seen again. */
  #seeAgain(record: number, tuple: EventTuple, target: 0 | 1): boolean {
    const lead = this.#words[record * RECORD_WORDS + LEAD]! | 0;
    const newestUs = this.#table.seenUs(record);
    const timeUs = tuple.times[TIME]!;
    const firstUs = newestUs - Math.max(lead, 0);
    const secondUs = newestUs + Math.min(lead, 0);
    if (target === 0) return this.#setLead(record, tuple, secondUs - Math.max(firstUs, timeUs));
    return this.#setLead(record, tuple, Math.max(secondUs, timeUs) - firstUs);
  }

  /** False if the record can't tell such a lead, and leaves its source to the rules as it was. */
  #setLead(record: number, tuple: EventTuple, lead: number): boolean {
    if (Math.abs(lead) > MAX_LEAD_US) return this.#leave(record, tuple.words);
    this.#words[record * RECORD_WORDS + LEAD] = lead;
    this.#renew(record, tuple);
    return true;
  }

  /** Moves the two targets of a record to a list, and a third one with them. */
  #enlist(record: number, tuple: EventTuple): boolean {
    const list = this.#lists.lend(tuple);
    if (list === NO_LIST) return this.#leave(record, tuple.words);
    let fits = true;
    const see = (target: EventTuple) => {
      fits &&= this.#lists.see(list, target);
    };
    this.#tell(record, see);
    see(tuple);
    if (!fits) {
      this.#lists.giveBack(list);
      return this.#leave(record, tuple.words);
    }
    this.#words[record * RECORD_WORDS + LEAD] = LISTED;
    this.#words[record * RECORD_WORDS + LIST] = list;
    this.#renew(record, tuple);
    return true;
  }

  #seeListed(record: number, tuple: EventTuple): boolean {
    const list = this.#words[record * RECORD_WORDS + LIST]!;
    if (!this.#lists.see(list, tuple)) return this.#leave(record, tuple.words);
    this.#renew(record, tuple);
    return true;
  }

  /** What is kept in the list of a source that has to leave is the rules' now: a flood of others must not hide who tries much. */
  #dismiss(record: number): void {
    if ((this.#words[record * RECORD_WORDS + LEAD]! | 0) !== LISTED) return;
    if (this.#table.isLive(record)) this.#tell(record, this.#replay);
    this.#giveBackList(record);
  }

  /** Notes an event's time, unless the record has seen a later one. */
  #renew(record: number, tuple: EventTuple): void {
    if (tuple.times[TIME]! > this.#table.seenUs(record)) this.#table.renew(record, tuple.times);
  }

  #giveBackList(record: number): void {
    const at = record * RECORD_WORDS;
    if ((this.#words[at + LEAD]! | 0) === LISTED) this.#lists.giveBack(this.#words[at + LIST]!);
  }

  /** Whether a record is of a tuple's source, and has its target alone. */
  // One branch in place of ten, which the processor would have to foretell.
  #isOnlyTarget(record: number, words: Uint32Array, start: number): boolean {
    const records = this.#words;
    const at = record * RECORD_WORDS;
    const difference =
      (records[at + LEAD]! ^ ONE_TARGET) |
      (records[at + PORTS]! ^ words[start + PORT]!) |
      (records[at + DESTINATIONS]! ^ words[start + DESTINATION]!) |
      (records[at + DESTINATIONS + 1]! ^ words[start + DESTINATION + 1]!) |
      (records[at + DESTINATIONS + 2]! ^ words[start + DESTINATION + 2]!) |
      (records[at + DESTINATIONS + 3]! ^ words[start + DESTINATION + 3]!) |
      (records[at + KEY]! ^ words[start + SOURCE]!) |
      (records[at + KEY + 1]! ^ words[start + SOURCE + 1]!) |
      (records[at + KEY + 2]! ^ words[start + SOURCE + 2]!) |
      (records[at + KEY + 3]! ^ words[start + SOURCE + 3]!);
    return difference === 0;
  }

  #isTarget(record: number, target: 0 | 1, words: Uint32Array): boolean {
    const at = record * RECORD_WORDS;
    const port = (this.#words[at + PORTS]! >>> (PORT_BITS * target)) & PORT_MASK;
    if (port !== words[PORT]) return false;
    const destination = at + DESTINATIONS + ADDRESS_WORDS * target;
    return (
      this.#words[destination + 3] === words[DESTINATION + 3] &&
      this.#words[destination + 2] === words[DESTINATION + 2] &&
      this.#words[destination + 1] === words[DESTINATION + 1] &&
      this.#words[destination] === words[DESTINATION]
    );
  }

  /** Targets are set in their order: the first one clears the second one's port. */
  #setTarget(record: number, target: 0 | 1, words: Uint32Array): void {
    const at = record * RECORD_WORDS;
    const ports = target === 0 ? 0 : this.#words[at + PORTS]!;
    this.#words[at + PORTS] = ports | (words[PORT]! << (PORT_BITS * target));
    const destination = at + DESTINATIONS + ADDRESS_WORDS * target;
    for (let word = 0; word < ADDRESS_WORDS; word++) {
      this.#words[destination + word] = words[DESTINATION + word]!;
    }
  }

  /** Makes a source busy: what is kept of it is the rules' now. Always false, as `absorb` has it. */
  #leave(record: number, words: Uint32Array): false {
    const leadAt = record * RECORD_WORDS + LEAD;
    const lead = this.#words[leadAt]! | 0;
    if (lead === BUSY || lead === BUSY_NAMED) return false;
    this.#tell(record, this.#replay);
    this.#giveBackList(record);
    this.#words[leadAt] = BUSY;
    words[NAMED] = 0;
    return false;
  }

  /** Tells what is kept of a source, oldest first, by a tuple that is used again. */
  #tell(record: number, onTarget: (target: EventTuple) => void): void {
    const at = record * RECORD_WORDS;
    const lead = this.#words[at + LEAD]! | 0;
    const told = this.#told;
    told.words.set(this.#table.keyOf(record), SOURCE);
    if (lead === LISTED) return this.#lists.tell(this.#words[at + LIST]!, told, onTarget);
    const newestUs = this.#table.seenUs(record);
    const last = lead > 0 ? 1 : 0;
    if (lead !== ONE_TARGET) {
      onTarget(this.#layOut(record, last === 0 ? 1 : 0, newestUs - Math.abs(lead)));
    }
    onTarget(this.#layOut(record, last, newestUs));
  }

  #layOut(record: number, target: 0 | 1, timeUs: number): EventTuple {
    const at = record * RECORD_WORDS;
    const { words, times } = this.#told;
    const port = (this.#words[at + PORTS]! >>> (PORT_BITS * target)) & PORT_MASK;
    const destination = at + DESTINATIONS + ADDRESS_WORDS * target;
    words[LEADING_PORT] = port;
    words.set(this.#words.subarray(destination, destination + ADDRESS_WORDS), DESTINATION);
    words[PORT] = port;
    times[TIME] = timeUs;
    return this.#told;
  }
}

function listsFor(sources: number): number {
  return Math.max(Math.min(sources, SMALL_TABLE_SOURCES), Math.ceil(sources / SOURCES_PER_LIST));
}
