import {
  createSynEvent,
  type Evidence,
  SynBatch,
  type SynEvent,
  synFlags,
} from "@packetwatch/contracts";
import {
  createAlert,
  createDetector,
  cutToSourceKey,
  type Detection,
  type Detector,
  type Escalation,
  type RuleName,
  type RulesConfig,
} from "@packetwatch/detection";
import { type Prefix, prefixContains, sourceMaskWords } from "@packetwatch/net";
import { Rejections } from "../tail/rejections.ts";
import { AttemptTally } from "./attempt-tally.ts";
import { SourceCounter } from "./source-counter.ts";

/** Detections that are kept for the report; the next ones are counted. */
export const MAX_FINDINGS = 100_000;

export type ReplayOptions = {
  readonly rules: RulesConfig;
  /** As the detectors have them: see DetectorConfig. */
  readonly capacity: number;
  readonly maxQuietSources: number;
  readonly blockTtlUs: number;
  readonly escalation?: Escalation;
  readonly count?: "all" | "closed";
  readonly seed: number;
  /** Sources that are allow-listed besides those that were when they were seen. */
  readonly allow: readonly Prefix[];
};

/** A verdict or an alert that a detector would publish. */
export type Finding = {
  readonly action: "block" | "alert";
  readonly id: string;
  readonly source: string;
  readonly rule: RuleName;
  /** When the deciding attempt was made. */
  readonly decidedUs: number;
  /** When the block ends; null: never, and of alerts always. */
  readonly expiresUs: number | null;
  readonly evidence: Evidence;
};

export type FindingTotals = {
  readonly count: number;
  readonly sources: SourceCounter;
};

/**
 * What detectors under these rules would find in the attempts that it is
 * shown: as if no source had had a verdict before. Synchronous, no clock.
 */
export class Replay {
  readonly rejections = new Rejections();
  readonly tally = new AttemptTally();
  readonly #options: ReplayOptions;
  readonly #detector: Detector;
  readonly #event: SynEvent = createSynEvent();
  readonly #findings: Finding[] = [];
  readonly #totals = { block: new Totals(), alert: new Totals() };
  #batches = 0;
  #allowedHere = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#detector = createDetector(options);
  }

  /** Batches that could be read. */
  get batches(): number {
    return this.#batches;
  }

  /** Attempts that count as allow-listed because of `allow`, and would not otherwise. */
  get allowedHere(): number {
    return this.#allowedHere;
  }

  get blocks(): FindingTotals {
    return this.#totals.block;
  }

  get alerts(): FindingTotals {
    return this.#totals.alert;
  }

  /** Keys and verdicts that had to leave the tables while they still counted: scans may be missing. */
  get forgotten(): number {
    const { rules, sources, quietEvictedLive } = this.#detector.stats();
    return [sources, ...Object.values(rules)].reduce(
      (sum, { evictedLive }) => sum + evictedLive,
      quietEvictedLive,
    );
  }

  /** In the order of the deciding attempts; at most MAX_FINDINGS. */
  findings(): readonly Finding[] {
    return this.#findings.toSorted((a, b) => a.decidedUs - b.decidedUs);
  }

  /** Takes the next batch of its shard; one that doesn't follow the contract is rejected whole. */
  take(payload: Uint8Array): void {
    const batch = this.rejections.orCount(() => new SynBatch(payload));
    if (batch === undefined) return;
    this.#batches++;
    const event = this.#event;
    const mask = sourceMaskWords(batch.header.ipv6SourceBits);
    for (let index = 0; index < batch.count; index++) {
      batch.read(index, event);
      if (this.#options.allow.length > 0) this.#applyAllow(event);
      cutToSourceKey(event, mask);
      this.tally.add(event);
      const detections = this.#detector.observe(event);
      if (detections) this.#collect(detections, batch);
    }
  }

  /** As the kernel does: before the source is cut. */
  #applyAllow(event: SynEvent): void {
    if ((event.flags & synFlags.allowed) !== 0) return;
    const source = [event.s0, event.s1, event.s2, event.s3] as const;
    if (!this.#options.allow.some((prefix) => prefixContains(prefix, source))) return;
    event.flags |= synFlags.allowed;
    this.#allowedHere++;
  }

  #collect(detections: readonly Detection[], { header }: SynBatch): void {
    const { rules } = this.#options;
    for (const detection of detections) {
      this.#totals[detection.action].add(detection);
      if (this.#findings.length === MAX_FINDINGS) continue;
      const windowSeconds = rules[detection.rule].windowUs / 1e6;
      const { host, ipv6SourceBits } = header;
      const context = { decidedBy: "replay", host, ipv6SourceBits, windowSeconds };
      const { id, source, rule, issuedUs, evidence } = createAlert(detection, context);
      const { action } = detection;
      this.#findings.push({
        action,
        id,
        source,
        rule,
        decidedUs: issuedUs,
        expiresUs: expiryOf(detection),
        evidence,
      });
    }
  }
}

class Totals implements FindingTotals {
  readonly sources = new SourceCounter();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add({ sourceKey }: Detection): void {
    this.#count++;
    this.sources.add(sourceKey);
  }
}

function expiryOf({ action, quietUntilUs }: Detection): number | null {
  return action === "block" && Number.isFinite(quietUntilUs) ? quietUntilUs : null;
}
