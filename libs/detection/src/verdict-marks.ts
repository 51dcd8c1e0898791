import type { SourceKey } from "@packetwatch/net";
import { DeadlineTable } from "./deadline-table.ts";
import { SOURCE, TUPLE_WORDS } from "./event-tuple.ts";
import type { TupleHash } from "./tuple-hash.ts";

/** What a detector has to know of a verdict: its own, another detector's or the operator's. */
export type VerdictMark =
  | {
      readonly kind: "block";
      readonly sourceKey: SourceKey;
      readonly issuedUs: number;
      /** Undefined: until it is unblocked. */
      readonly expiresUs: number | undefined;
      /** Which block of its source in a row; 0: one that doesn't count as an offence. Default: 1. */
      readonly offence?: number;
    }
  | { readonly kind: "unblock"; readonly sourceKey: SourceKey; readonly issuedUs: number };

export type LastVerdict = {
  readonly kind: VerdictMark["kind"];
  readonly issuedUs: number;
  /** Nothing before it counts. */
  readonly floorUs: number;
};

const BLOCK = 0;
const UNBLOCK = 1;

export type VerdictMarksOptions = {
  readonly capacity: number;
  /** How long events of the past may still come in: the longest window, because a replay starts there; or how long blocks are remembered. */
  readonly keepUs: number;
  readonly hash: TupleHash;
};

/**
 * The last verdict on each source, as a floor: events before it don't count, nor does anything seen before it.
 *
 * - A block puts the floor at its expiry, so the source is quiet until then and starts anew afterwards.
 * - An unblock puts it one microsecond after its issue, so events up to its issue are ignored, in a replay too.
 *
 * The verdict issued last wins, in whatever order they come; of two issued in the same microsecond an unblock beats a
 * block and the longer block the shorter. Only a floor that an event has passed never falls again: what lies below it has
 * been forgotten. A mark is kept until its floor is `keepUs` in the past.
 */
export class VerdictMarks {
  readonly #table: DeadlineTable;
  readonly #keepUs: number;
  readonly #kinds: Uint8Array;
  /** The highest floor that an event has passed. */
  readonly #passedUs: Float64Array;
  readonly #issuedUs: Float64Array;
  readonly #floorsUs: Float64Array;
  readonly #offences: Uint16Array;
  readonly #hash: TupleHash;
  readonly #tuple = new Uint32Array(TUPLE_WORDS);

  constructor(options: VerdictMarksOptions) {
    this.#table = new DeadlineTable(options.capacity);
    this.#keepUs = options.keepUs;
    this.#hash = options.hash;
    this.#kinds = new Uint8Array(options.capacity);
    this.#passedUs = new Float64Array(options.capacity);
    this.#issuedUs = new Float64Array(options.capacity);
    this.#floorsUs = new Float64Array(options.capacity);
    this.#offences = new Uint16Array(options.capacity);
  }

  get size(): number {
    return this.#table.size;
  }

  get evictedLive(): number {
    return this.#table.evictedLive;
  }

  get bytes(): number {
    const times = [this.#passedUs, this.#issuedUs, this.#floorsUs];
    const arrays = [this.#kinds, this.#offences, ...times];
    return arrays.reduce((sum, array) => sum + array.byteLength, this.#table.bytes);
  }

  /** The mark of the tuple's source, or -1. */
  find(tuple: Uint32Array): number {
    return this.#table.find(tuple);
  }

  floorUs(mark: number): number {
    return this.#floorsUs[mark]!;
  }

  /** To be told of every event at or above the mark's floor. */
  pass(mark: number): void {
    this.#passedUs[mark] = this.#floorsUs[mark]!;
  }

  isBlock(mark: number): boolean {
    return this.#kinds[mark] === BLOCK;
  }

  /** Which block in a row the last verdict was; 0 for an unblock, which forgives. */
  offence(mark: number): number {
    return this.#offences[mark]!;
  }

  /** What is remembered of the last verdict on a source. */
  verdictOn(sourceKey: SourceKey): LastVerdict | undefined {
    this.#layOut(sourceKey);
    const mark = this.find(this.#tuple);
    if (mark < 0) return undefined;
    const kind = this.isBlock(mark) ? "block" : "unblock";
    return { kind, issuedUs: this.#issuedUs[mark]!, floorUs: this.#floorsUs[mark]! };
  }

  /** `nowUs` is the time of the newest event: marks that have ended by then may leave without being missed. */
  apply(verdict: VerdictMark, nowUs: number): void {
    this.#layOut(verdict.sourceKey);
    const known = this.#table.find(this.#tuple);
    if (known >= 0 && !this.#isOverruledBy(known, verdict)) return;
    const passedUs = known >= 0 ? this.#passedUs[known]! : -Infinity;
    const floorUs = Math.max(floorOf(verdict), passedUs);
    const mark = this.#table.set(this.#tuple, { deadlineUs: floorUs + this.#keepUs, nowUs });
    this.#kinds[mark] = kindOf(verdict);
    this.#passedUs[mark] = passedUs;
    this.#issuedUs[mark] = verdict.issuedUs;
    this.#floorsUs[mark] = floorUs;
    this.#offences[mark] = verdict.kind === "block" ? (verdict.offence ?? 1) : 0;
  }

  #layOut(sourceKey: SourceKey): void {
    this.#tuple.set(sourceKey, SOURCE);
    this.#hash.fillSource(this.#tuple);
  }

  #isOverruledBy(mark: number, verdict: VerdictMark): boolean {
    const issuedUs = this.#issuedUs[mark]!;
    if (verdict.issuedUs !== issuedUs) return verdict.issuedUs > issuedUs;
    const kind = kindOf(verdict);
    if (kind !== this.#kinds[mark]) return kind === UNBLOCK;
    return floorOf(verdict) > this.#floorsUs[mark]!;
  }
}

function kindOf(verdict: VerdictMark): number {
  return verdict.kind === "block" ? BLOCK : UNBLOCK;
}

function floorOf(verdict: VerdictMark): number {
  if (verdict.kind === "unblock") return verdict.issuedUs + 1;
  // A block never lets count again what lies before its own issue, not even one that was born expired.
  return Math.max(verdict.expiresUs ?? Infinity, verdict.issuedUs);
}
