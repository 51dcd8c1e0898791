import { randomInt } from "node:crypto";
import { type Bus, GroupMembership } from "@packetwatch/bus";
import type { Config } from "@packetwatch/config";
import { DETECTOR_BUCKET } from "@packetwatch/contracts";
import {
  createDetector,
  type Detector,
  longestWindowSeconds,
  rulesFromConfig,
} from "@packetwatch/detection";
import type { Logger } from "@packetwatch/runtime";
import { Announcer } from "./announcer.ts";
import { KnownDecisions } from "./known-decisions.ts";
import { ShardFeed } from "./shard-feed.ts";
import { ShardReaders } from "./shard-readers.ts";
import type { DetectorTelemetry } from "./telemetry.ts";

export type DetectingOptions = {
  readonly bus: Bus;
  readonly config: Config<"detector">;
  readonly instance: string;
  readonly telemetry: DetectorTelemetry;
  readonly logger: Logger;
};

/**
 * Reads what was decided, joins the group, reads the shards that fall to
 * it from the longest window ago, and announces who has scanned.
 */
export class Detecting {
  readonly #options: DetectingOptions;
  readonly #detector: Detector;
  readonly #feed: ShardFeed;
  readonly #announcer: Announcer;
  readonly #known: KnownDecisions;
  readonly #shards: ShardReaders;
  #membership: GroupMembership | undefined;

  constructor(options: DetectingOptions) {
    const { config, telemetry } = options;
    const rules = rulesFromConfig(config);
    this.#options = options;
    this.#detector = createDetector({
      rules,
      capacity: config.detectorCapacity,
      maxQuietSources: config.maxVerdicts,
      blockTtlUs: Math.round(config.blockTtlSeconds * 1e6),
      seed: randomInt(2 ** 47),
    });
    this.#announcer = new Announcer({ ...options, rules, detector: this.#detector });
    this.#feed = new ShardFeed({
      detector: this.#detector,
      onDetections: (detections, origin) => this.#announcer.announce(detections, origin),
      onRejected: telemetry.rejected,
    });
    this.#known = new KnownDecisions({
      ...options,
      detector: this.#detector,
      longestWindowSeconds: longestWindowSeconds(config),
      onRejected: telemetry.rejected,
    });
    this.#shards = new ShardReaders({
      ...options,
      onBatch: (payload) => this.#feed.take(payload),
      onGap: telemetry.discarded,
    });
    telemetry.observe({
      detector: this.#detector,
      lags: () => this.#shards.lags(),
      unread: () => this.#shards.unread(),
    });
  }

  /** The shards that are this detector's now, in order. */
  get shards(): readonly number[] {
    return [...this.#shards.lags().keys()].toSorted((a, b) => a - b);
  }

  /** Resolves when what was decided so far is known and the group is joined. */
  async start(): Promise<void> {
    await this.#known.caughtUp;
    const { bus, config, instance, logger } = this.#options;
    this.#membership = new GroupMembership({
      bus,
      bucket: DETECTOR_BUCKET,
      instance,
      ttlMs: config.detectorTtlSeconds * 1000,
      replicas: config.streamReplicas,
      onChange: (members) => this.#shards.take(members),
      logger,
    });
  }

  async close(): Promise<void> {
    // Leaving first: the others take over while what is left here is finished.
    await this.#membership?.close();
    await this.#shards.close();
    await this.#known.close();
    await this.#announcer.close();
  }
}
