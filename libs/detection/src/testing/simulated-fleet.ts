import type { SynEvent } from "@packetwatch/contracts";
import {
  type AlertMark,
  createDetector,
  type Detection,
  type Detector,
  type DetectorConfig,
} from "../detector.ts";
import { announceOrder } from "../announce.ts";
import { verdictId } from "../verdict-id.ts";
import type { VerdictMark } from "../verdict-marks.ts";

/** An event as the stream has it: stored in this order, by the server's clock. */
export type StoredEvent = { readonly event: SynEvent; readonly storedUs: number };

/** What detectors have published, as the bus keeps it: verdicts by source, alerts for a while. */
type Published =
  | { readonly kind: "verdict"; readonly mark: VerdictMark }
  | { readonly kind: "alert"; readonly mark: AlertMark };

type Announcement = {
  readonly id: string;
  readonly storedUs: number;
  readonly untilUs: number;
  readonly what: Published;
};

export type SimulatedFleetOptions = {
  readonly config: DetectorConfig;
  /** How far back the stream is replayed. */
  readonly replayUs: number;
  /** How far back alerts are read. */
  readonly alertLookBackUs: number;
};

/**
 * One shard, the detectors that come and go on it, and the streams between them. A model of the bus at its worst: what was
 * announced is stored late, in order, or never if its detector crashes first; the same id is stored once.
 */
export class SimulatedFleet {
  readonly ids = new Set<string>();
  /** Until when each of them is quiet about its source. */
  readonly ends = new Map<string, number>();
  readonly #options: SimulatedFleetOptions;
  readonly #events: StoredEvent[] = [];
  readonly #published: (Published & { readonly storedUs: number })[] = [];
  readonly #members: SimulatedDetector[] = [];

  constructor(options: SimulatedFleetOptions) {
    this.#options = options;
  }

  get members(): readonly SimulatedDetector[] {
    return this.#members;
  }

  store(stored: StoredEvent): void {
    this.#events.push(stored);
  }

  /** A new owner: it learns what is published, then reads the stream from the longest window ago. */
  join(nowUs: number): void {
    const { config, replayUs } = this.#options;
    const detector = createDetector(config);
    for (const { kind, mark } of this.#known(nowUs)) {
      if (kind === "verdict") detector.applyVerdict(mark);
      else detector.applyAlert(mark);
    }
    const first = this.#events.findIndex(({ storedUs }) => storedUs >= nowUs - replayUs);
    const position = first < 0 ? this.#events.length : first;
    this.#members.push(new SimulatedDetector(detector, position, this.#published.length));
  }

  /** The member judges at most so many of the events that wait for it. */
  judge(member: SimulatedDetector, count: number): void {
    member.learn(this.#published);
    for (const { event, storedUs } of this.#events.slice(
      member.position,
      member.position + count,
    )) {
      member.judge(event, storedUs);
    }
  }

  /** What the member announced by then is stored, in order. */
  flush(member: SimulatedDetector, untilUs = Infinity): void {
    for (const { id, storedUs, untilUs: endUs, what } of member.takeAnnounced(untilUs)) {
      if (this.ids.has(id)) continue;
      this.ids.add(id);
      this.ends.set(id, endUs);
      this.#published.push({ ...what, storedUs });
    }
  }

  leave(member: SimulatedDetector): void {
    this.flush(member);
    this.crash(member);
  }

  /** What it had not stored is lost. */
  crash(member: SimulatedDetector): void {
    this.#members.splice(this.#members.indexOf(member), 1);
  }

  /** All that is stored is judged and all that is announced is stored. */
  settle(): void {
    for (const member of this.#members) {
      this.judge(member, Infinity);
      this.flush(member);
    }
  }

  /** An operator's verdict, which every detector hears at once. */
  decree(mark: VerdictMark, nowUs: number): void {
    this.settle();
    this.#published.push({ kind: "verdict", mark, storedUs: nowUs });
    for (const member of this.#members) member.learn(this.#published);
  }

  /** The last verdict of each source, and the alerts of the look-back. */
  #known(nowUs: number): Published[] {
    const verdicts = new Map<string, Published>();
    for (const published of this.#published) {
      if (published.kind === "verdict") verdicts.set(published.mark.sourceKey.join(), published);
    }
    const sinceUs = nowUs - this.#options.alertLookBackUs;
    const alerts = this.#published.filter(
      ({ kind, storedUs }) => kind === "alert" && storedUs >= sinceUs,
    );
    return [...verdicts.values(), ...alerts];
  }
}

/** A detector, how far it has read both streams, and what it has announced that is not stored yet. */
export class SimulatedDetector {
  readonly #detector: Detector;
  #position: number;
  #learned: number;
  #announced: Announcement[] = [];

  constructor(detector: Detector, position: number, learned: number) {
    this.#detector = detector;
    this.#position = position;
    this.#learned = learned;
  }

  get position(): number {
    return this.#position;
  }

  learn(published: readonly Published[]): void {
    for (const { kind, mark } of published.slice(this.#learned)) {
      if (kind === "verdict") this.#detector.applyVerdict(mark);
      else this.#detector.applyAlert(mark);
    }
    this.#learned = published.length;
  }

  judge(event: SynEvent, storedUs: number): void {
    this.#position++;
    for (const detection of announceOrder(this.#detector.observe(event) ?? [])) {
      const what = publishedOf(detection);
      const id = verdictId(detection);
      this.#announced.push({ id, storedUs, untilUs: detection.quietUntilUs, what });
    }
  }

  takeAnnounced(untilUs: number): readonly Announcement[] {
    const kept = this.#announced.filter(({ storedUs }) => storedUs > untilUs);
    const taken = this.#announced.filter(({ storedUs }) => storedUs <= untilUs);
    this.#announced = kept;
    return taken;
  }
}

/** The ids of one detector that is never disturbed. */
export class UndisturbedDetector {
  readonly ids = new Set<string>();
  readonly ends = new Map<string, number>();
  readonly #detector: Detector;

  constructor(config: DetectorConfig) {
    this.#detector = createDetector(config);
  }

  observe(event: SynEvent): void {
    for (const detection of this.#detector.observe(event) ?? []) {
      const id = verdictId(detection);
      this.ids.add(id);
      this.ends.set(id, detection.quietUntilUs);
    }
  }

  decree(mark: VerdictMark): void {
    this.#detector.applyVerdict(mark);
  }
}

function publishedOf(detection: Detection): Published {
  const { rule, action, sourceKey, event, quietUntilUs, offence = 1 } = detection;
  const issuedUs = event.timeUs;
  if (action === "alert") return { kind: "alert", mark: { rule, sourceKey, issuedUs } };
  const expiresUs = Number.isFinite(quietUntilUs) ? quietUntilUs : undefined;
  return { kind: "verdict", mark: { kind: "block", sourceKey, issuedUs, expiresUs, offence } };
}
