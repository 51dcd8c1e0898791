import assert from "node:assert/strict";
import { createSynEvent, MAX_OFFENCE, type SynEvent, synFlags } from "@packetwatch/contracts";
import type { SourceKey } from "@packetwatch/net";
import {
  activateRule,
  type ActiveRule,
  type KeyStats,
  knowsSource,
  passesAlert,
  type RuleStats,
  statsOf,
} from "./active-rule.ts";
import type { WindowEntry } from "./distinct-window.ts";
import {
  createTupleGroup,
  DESTINATION,
  type EventTuple,
  FLOOR,
  LEADING_PORT,
  NAMED,
  PORT,
  SOURCE,
  SOURCE_PORT,
  TIME,
  TUPLE_TIMES,
  TUPLE_WORDS,
} from "./event-tuple.ts";
import { addressAt, decidingEventOf, type Evidence, evidenceOf } from "./evidence.ts";
import { escalatedTtlUs, type Escalation } from "./escalation.ts";
import { MAX_WARMED } from "./record-table.ts";
import { ruleLayouts, type RuleName, ruleNames, type RulesConfig } from "./rules.ts";
import { TupleHash } from "./tuple-hash.ts";
import { SourceTable } from "./source-table.ts";
import { type DecidingEvent, verdictId } from "./verdict-id.ts";
import { type LastVerdict, type VerdictMark, VerdictMarks } from "./verdict-marks.ts";

export type DetectorConfig = {
  readonly rules: RulesConfig;
  /** Sources to keep what they tried first, and keys for each rule; rounded up to a power of two. */
  readonly capacity: number;
  /** Sources whose verdicts are remembered, and for each rule that alerts, sources whose alerts are held back. */
  readonly maxQuietSources: number;
  /** How long a block lasts; 0 is until it is lifted. */
  readonly blockTtlUs: number;
  /** How blocks that end grow where a source comes back; missing: they don't. */
  readonly escalation?: Escalation;
  /** "closed": only attempts on ports that are known to have no listener count. Default: all. */
  readonly count?: "all" | "closed";
  /** A secret: who knows it can choose sources that evict one another. Results don't depend on it. */
  readonly seed: number;
};

export type Detection = {
  readonly rule: RuleName;
  readonly action: "block" | "alert";
  readonly sourceKey: SourceKey;
  /** The event that brought the count to the threshold. */
  readonly event: DecidingEvent;
  readonly evidence: Evidence;
  /** When the detector stops being quiet about it: the block's expiry or the end of the alert's cool-down. Infinity: never. */
  readonly quietUntilUs: number;
  /** Which block of its source in a row; only where they grow. */
  readonly offence?: number;
};

/** A batch of events, read one by one into an object that is used again. The sources must be cut to their keys. */
export type SynReader = {
  readonly count: number;
  read(index: number, event: SynEvent): void;
};

export type DetectorStats = {
  /** Every event counts here once, and at most once in `allowed`, `listened`, `listenerUnknown`, `quiet` and `beforeUnblock` together. */
  readonly events: number;
  /** Not counted by any rule because the source is allow-listed. */
  readonly allowed: number;
  /** Not counted because only closed ports count, and this one has a listener, or nobody looked. */
  readonly listened: number;
  readonly listenerUnknown: number;
  /** Ignored because the source is blocked. */
  readonly quiet: number;
  /** Ignored because they are no younger than the source's unblock. */
  readonly beforeUnblock: number;
  /** Sums over the rules: one event can be late for several of them. */
  readonly late: number;
  readonly coolingDown: number;
  /** Sources whose verdict is remembered, and verdicts that were forgotten too early because there was no room. */
  readonly quietSources: number;
  readonly quietEvictedLive: number;
  /** Sources; most of them have tried too little for any rule to have keys of theirs. Their window is the longest. */
  readonly sources: KeyStats;
  /** For the rules that are on. */
  readonly rules: Readonly<Partial<Record<RuleName, RuleStats>>>;
};

export type SourceState = {
  readonly verdict: LastVerdict | undefined;
  /** The windows that hold something. Keys and items are words as laid out in `ruleLayouts`. */
  readonly windows: Readonly<Partial<Record<RuleName, readonly WindowEntry[]>>>;
};

/** An alert that was published, whoever decided it. */
export type AlertMark = {
  readonly rule: RuleName;
  readonly sourceKey: SourceKey;
  /** The time of its deciding event. */
  readonly issuedUs: number;
};

type Firing = { readonly rule: ActiveRule; readonly tuple: EventTuple };

/** A time in which blocks are held back; both ends belong to it, and null is no end. */
export type HoldPeriod = { readonly fromUs: number; readonly untilUs: number | null };

/** Events that wait for memory together. More gain little: their tuples would push one another out of the first cache. */
const GROUP_EVENTS = MAX_WARMED;

export function createDetector(config: DetectorConfig): Detector {
  return new Detector(config);
}

/**
 * Judges connection attempts: which sources have scanned, by which rule and on what evidence. Everything is a function of
 * the sequence of calls; time is the events' own (see `DistinctWindow`), and the seed alters nothing as long as no table
 * has to evict.
 *
 * An event passes, in this order: the allow list (never counted), whether its port counts (see `count`),
 * the last verdict on its source (see `VerdictMarks`:
 * nothing before its floor counts), then every rule that is on. If a rule fires and its
 * action is to block, the source is quiet from then on until the block ends or is lifted; when several such rules fire at
 * once, the first in the order vertical, horizontal, spread wins. If its action is to alert, the rule counts nothing of that
 * source for the length of its window after the alert, and starts anew then, just as after a block that ends. So what a rule
 * holds is a function of the last verdict, the rule's last alert and the events since: who knows these and has seen the
 * events of the last window decides what a detector decides that was there all along.
 */
export class Detector {
  readonly #blockTtlUs: number;
  readonly #escalation: Escalation | undefined;
  readonly #count: "all" | "closed";
  readonly #rules: readonly ActiveRule[];
  readonly #sources: SourceTable;
  readonly #marks: VerdictMarks;
  readonly #hash: TupleHash;
  readonly #event = createSynEvent();
  /** Lays out the source of a verdict, an alert or a question. */
  readonly #named = new Uint32Array(TUPLE_WORDS);
  readonly #group = createTupleGroup(GROUP_EVENTS);
  /** Those of a group whose sources are busy and not quiet. */
  readonly #busy = createTupleGroup(GROUP_EVENTS);
  #busyCount = 0;
  readonly #addBusy = (tuple: EventTuple) => {
    // Sources that are quiet are most of the busy ones, and no rule's memory is waited for on their behalf.
    if (this.#isQuiet(tuple)) return;
    this.#hash.fill(tuple.words);
    const { words, times } = this.#busy.tuples[this.#busyCount++]!;
    words.set(tuple.words);
    times.set(tuple.times);
  };
  #events = 0;
  #holdPeriods: readonly HoldPeriod[] = [];
  #allowed = 0;
  #listened = 0;
  #listenerUnknown = 0;
  #quiet = 0;
  #beforeUnblock = 0;

  constructor(config: DetectorConfig) {
    assert(config.maxQuietSources >= 1, "a detector has to remember at least one verdict");
    this.#blockTtlUs = config.blockTtlUs;
    // A block without an end can't grow.
    this.#escalation = config.blockTtlUs === 0 ? undefined : config.escalation;
    this.#count = config.count ?? "all";
    this.#hash = new TupleHash(config.seed);
    this.#rules = ruleNames.flatMap((name) => activateRule(name, config));
    this.#sources = this.#createSources(config.capacity);
    this.#marks = new VerdictMarks({
      capacity: config.maxQuietSources,
      keepUs: Math.max(
        this.#escalation?.memoryUs ?? 0,
        ...this.#rules.map(({ window }) => window.windowUs),
      ),
      hash: this.#hash,
    });
  }

  /** The memory of all tables, fixed at construction. */
  get bytes(): number {
    const ofRules = this.#rules.map(({ window, coolDowns }) => window.bytes + coolDowns.bytes);
    return ofRules.reduce((sum, bytes) => sum + bytes, this.#sources.bytes + this.#marks.bytes);
  }

  /**
   * Takes in one event, whose source must be cut to its key. Returns what it decides, at most one block and one alert per
   * rule; undefined if nothing. Keeps no reference to the event, and allocates nothing unless a rule fires.
   */
  observe(event: SynEvent): readonly Detection[] | undefined {
    const tuple = this.#group.tuples[0]!;
    if (!this.#admit(event, 0) || this.#sources.absorb(tuple)) return undefined;
    this.#hash.fill(tuple.words);
    return this.#judge(tuple);
  }

  /**
   * Takes in all events of a batch in their order, with the same results as one by one. With many sources it is several times
   * faster, because a group of events waits for memory together. `onDetections` must not call the detector.
   */
  observeBatch(batch: SynReader, onDetections: (detections: readonly Detection[]) => void): void {
    for (let first = 0; first < batch.count; first += GROUP_EVENTS) {
      const admitted = this.#admitGroup(batch, first);
      const busy = this.#absorbGroup(admitted);
      if (busy === 0) continue;
      for (const { window } of this.#rules) window.warm(this.#busy, busy);
      for (const { window } of this.#rules) window.warmExtensions(busy);
      const { tuples } = this.#busy;
      for (let member = 0; member < busy; member++) {
        const detections = this.#judge(tuples[member]!);
        if (detections === undefined) continue;
        // Those that follow were told apart before this: they may be of the source that is named now.
        for (let later = member + 1; later < busy; later++) tuples[later]!.words[NAMED] = 1;
        onDetections(detections);
      }
    }
  }

  /** Takes in a verdict that was published, whoever decided it. Applying one twice changes nothing. */
  applyVerdict(verdict: VerdictMark): void {
    this.#leaveToRules(verdict.sourceKey);
    this.#marks.apply(verdict, this.#sources.newestUs);
  }

  /** Takes in an alert that was published, whoever decided it, in any order. Applying one twice changes nothing. */
  applyAlert({ rule: name, sourceKey, issuedUs }: AlertMark): void {
    const rule = this.#rules.find((active) => active.name === name && active.action === "alert");
    if (rule === undefined) return;
    this.#leaveToRules(sourceKey);
    this.#coolDown({ rule, words: this.#named, issuedUs });
  }

  /** Attempts within these times decide no block: the rule alerts instead. Takes the place of the times before. */
  holdBlocks(periods: readonly HoldPeriod[]): void {
    this.#holdPeriods = periods;
  }

  /** What is held about a source. Walks all tables: for people who ask why, not for every event. */
  inspect(sourceKey: SourceKey): SourceState {
    this.#leaveToRules(sourceKey);
    const verdict = this.#marks.verdictOn(sourceKey);
    const windows = this.#rules.map(({ name, window }) => {
      const start = SOURCE - ruleLayouts[name].keyStart;
      const isOfSource = (key: readonly number[]) =>
        sourceKey.every((word, index) => key[start + index] === word);
      return [name, window.entries(isOfSource, verdict?.floorUs ?? -Infinity)];
    });
    return { verdict, windows: Object.fromEntries(windows) };
  }

  stats(): DetectorStats {
    const rules = this.#rules.map((rule) => [rule.name, statsOf(rule)] as const);
    return {
      events: this.#events,
      allowed: this.#allowed,
      listened: this.#listened,
      listenerUnknown: this.#listenerUnknown,
      quiet: this.#quiet,
      beforeUnblock: this.#beforeUnblock,
      late: rules.reduce((sum, [, { late }]) => sum + late, 0),
      coolingDown: rules.reduce((sum, [, { coolingDown }]) => sum + coolingDown, 0),
      quietSources: this.#marks.size,
      quietEvictedLive: this.#marks.evictedLive,
      sources: {
        evictedLive: this.#sources.evictedLive,
        trackedKeys: this.#sources.size,
        keyLimit: this.#sources.capacity,
      },
      rules: Object.fromEntries(rules),
    };
  }

  /** Lays out the next events of a batch, and says how many of them count. */
  #admitGroup(batch: SynReader, first: number): number {
    const end = Math.min(first + GROUP_EVENTS, batch.count);
    let admitted = 0;
    for (let index = first; index < end; index++) {
      batch.read(index, this.#event);
      if (this.#admit(this.#event, admitted)) admitted++;
    }
    return admitted;
  }

  /** Takes in those of the first `admitted` tuples whose sources aren't busy; gathers the others, and says how many. */
  #absorbGroup(admitted: number): number {
    this.#busyCount = 0;
    this.#sources.absorbGroup(this.#group, admitted, this.#addBusy);
    return this.#busyCount;
  }

  #createSources(capacity: number): SourceTable {
    const windows = this.#rules.map(({ window }) => window);
    const windowsUs = windows.map(({ windowUs }) => windowUs);
    const thresholdOf = (name: RuleName) =>
      this.#rules.find((rule) => rule.name === name)?.window.threshold ?? Infinity;
    return new SourceTable({
      capacity: windows.length === 0 ? 0 : capacity,
      thresholds: {
        vertical: thresholdOf("vertical"),
        horizontal: thresholdOf("horizontal"),
        spread: thresholdOf("spread"),
      },
      shortestWindowUs: Math.min(...windowsUs),
      longestWindowUs: Math.max(0, ...windowsUs),
      isKnown: (words) => this.#isKnown(words),
      replay: (tuple) => {
        this.#hash.fill(tuple.words);
        for (const window of windows) window.observe(tuple);
      },
    });
  }

  /** What is known of a source from now on is in the windows. */
  #leaveToRules(sourceKey: SourceKey): void {
    this.#named.set(sourceKey, SOURCE);
    this.#hash.fillSource(this.#named);
    this.#sources.leaveToRules(this.#named);
  }

  #isKnown(words: Uint32Array): boolean {
    return this.#marks.find(words) >= 0 || this.#rules.some((rule) => knowsSource(rule, words));
  }

  /** Lays an event out as a tuple, with the hash of its source. False if it is none that counts. */
  #admit(event: SynEvent, member: number): boolean {
    const { words, times } = this.#group;
    this.#events++;
    if ((event.flags & synFlags.allowed) !== 0) {
      this.#allowed++;
      return false;
    }
    if (this.#count === "closed" && !this.#isOnClosedPort(event.flags)) return false;
    const at = member * TUPLE_WORDS;
    words[at + LEADING_PORT] = event.destinationPort;
    words[at + SOURCE] = event.s0;
    words[at + SOURCE + 1] = event.s1;
    words[at + SOURCE + 2] = event.s2;
    words[at + SOURCE + 3] = event.s3;
    words[at + DESTINATION] = event.d0;
    words[at + DESTINATION + 1] = event.d1;
    words[at + DESTINATION + 2] = event.d2;
    words[at + DESTINATION + 3] = event.d3;
    words[at + PORT] = event.destinationPort;
    words[at + SOURCE_PORT] = event.sourcePort;
    this.#hash.fillSource(words, at);
    times[member * TUPLE_TIMES + TIME] = event.timeUs;
    return true;
  }

  /** What nobody has looked up does not count: no visitor is to be blocked for want of a look. */
  #isOnClosedPort(flags: number): boolean {
    if ((flags & synFlags.listenerKnown) === 0) this.#listenerUnknown++;
    else if ((flags & synFlags.listener) !== 0) this.#listened++;
    else return true;
    return false;
  }

  #judge(tuple: EventTuple): readonly Detection[] | undefined {
    if (!this.#passesVerdict(tuple)) return undefined;
    const rules = this.#rules;
    const floorUs = tuple.times[FLOOR]!;
    let fired = 0;
    for (let index = 0; index < rules.length; index++) {
      const rule = rules[index]!;
      tuple.times[FLOOR] = floorUs;
      if (passesAlert(rule, tuple) && rule.window.observe(tuple)) fired |= 1 << index;
    }
    if (fired === 0) return undefined;
    tuple.times[FLOOR] = floorUs;
    return this.#decide(tuple, fired);
  }

  /** Whether the source is blocked at the event's time; if so, the event is counted. What comes before it alters nothing then. */
  #isQuiet({ words, times }: EventTuple): boolean {
    if (words[NAMED] === 0) return false;
    const mark = this.#marks.find(words);
    if (mark < 0 || !this.#marks.isBlock(mark)) return false;
    if (times[TIME]! >= this.#marks.floorUs(mark)) return false;
    this.#quiet++;
    return true;
  }

  /** Whether the last verdict on the event's source lets it count; if so, from which floor. */
  #passesVerdict(tuple: EventTuple): boolean {
    const { words, times } = tuple;
    times[FLOOR] = -Infinity;
    if (words[NAMED] === 0) return true;
    if (this.#isQuiet(tuple)) return false;
    const mark = this.#marks.find(words);
    if (mark < 0) return true;
    const floorUs = this.#marks.floorUs(mark);
    if (times[TIME]! < floorUs) {
      this.#beforeUnblock++;
      return false;
    }
    this.#marks.pass(mark);
    times[FLOOR] = floorUs;
    return true;
  }

  /** `fired` has a bit for each rule. */
  #decide(tuple: EventTuple, fired: number): readonly Detection[] {
    const floorUs = tuple.times[FLOOR]!;
    const firing = this.#rules.filter((_, index) => (fired & (1 << index)) !== 0);
    const isHeld = this.#isHeld(tuple.times[TIME]!);
    const blocking = isHeld ? undefined : firing.find(({ action }) => action === "block");
    const detections = firing.flatMap((rule) => {
      tuple.times[FLOOR] = floorUs;
      // It has passed already; this is for the floor, which bounds the evidence.
      passesAlert(rule, tuple);
      if (rule.action === "alert" || isHeld) return this.#alert({ rule, tuple });
      return rule === blocking ? this.#block({ rule, tuple }) : [];
    });
    for (const { window } of firing) window.releaseOutlived(tuple);
    return detections;
  }

  #isHeld(timeUs: number): boolean {
    return this.#holdPeriods.some(({ fromUs, untilUs }) => {
      return timeUs >= fromUs && (untilUs === null || timeUs <= untilUs);
    });
  }

  #block(firing: Firing): Detection[] {
    const sourceKey = addressAt(firing.tuple.words, SOURCE);
    const issuedUs = firing.tuple.times[TIME]!;
    const { ttlUs, ...offence } = this.#measure(firing);
    const expiresUs = ttlUs === 0 ? undefined : issuedUs + ttlUs;
    this.applyVerdict({ kind: "block", sourceKey, issuedUs, expiresUs, ...offence });
    const quietUntilUs = expiresUs ?? Infinity;
    return [detectionOf(firing, { action: "block", quietUntilUs, ...offence })];
  }

  /** How long a block lasts; 0: until it is lifted. */
  #measure({ rule, tuple }: Firing): { readonly ttlUs: number; readonly offence?: number } {
    const blockTtlUs = this.#blockTtlUs;
    if (this.#escalation === undefined) return { ttlUs: blockTtlUs };
    const offence = this.#countOffence(tuple, this.#escalation);
    const id = verdictId({
      rule: rule.name,
      sourceKey: addressAt(tuple.words, SOURCE),
      event: decidingEventOf(tuple),
    });
    return {
      ttlUs: escalatedTtlUs({ blockTtlUs, offence, verdictId: id }, this.#escalation),
      offence,
    };
  }

  /** By the last verdict on the source alone, which all detectors know: it carries the count. */
  #countOffence({ words, times }: EventTuple, { memoryUs }: Escalation): number {
    const mark = this.#marks.find(words);
    if (mark < 0 || times[TIME]! - this.#marks.floorUs(mark) > memoryUs) return 1;
    return Math.min(this.#marks.offence(mark) + 1, MAX_OFFENCE);
  }

  #alert(firing: Firing): Detection {
    const { rule, tuple } = firing;
    const issuedUs = tuple.times[TIME]!;
    const detection = detectionOf(firing, {
      action: "alert",
      quietUntilUs: issuedUs + rule.window.windowUs,
    });
    this.#coolDown({ rule, words: tuple.words, issuedUs });
    return detection;
  }

  /** A cool-down never ends earlier than one that is known: alerts may come in any order. */
  #coolDown({ rule, words, issuedUs }: CoolDown): void {
    const deadlineUs = issuedUs + rule.window.windowUs;
    const known = rule.coolDowns.find(words);
    if (known >= 0 && rule.coolDowns.deadlineUs(known) >= deadlineUs) return;
    this.#sources.leaveToRules(words);
    rule.coolDowns.set(words, { deadlineUs, nowUs: this.#sources.newestUs });
  }
}

type CoolDown = {
  readonly rule: ActiveRule;
  readonly words: Uint32Array;
  readonly issuedUs: number;
};

function detectionOf(
  { rule, tuple }: Firing,
  decision: Pick<Detection, "action" | "quietUntilUs" | "offence">,
): Detection {
  return {
    rule: rule.name,
    sourceKey: addressAt(tuple.words, SOURCE),
    event: decidingEventOf(tuple),
    evidence: evidenceOf(rule, tuple),
    ...decision,
  };
}
