import { randomInt } from "node:crypto";
import { type Bus, GroupMembership } from "@packetwatch/bus";
import type { Config } from "@packetwatch/config";
import { DETECTOR_BUCKET } from "@packetwatch/contracts";
import {
  createDetector,
  type Detector,
  escalationFromConfig,
  longestWindowSeconds,
  rulesFromConfig,
} from "@packetwatch/detection";
import type { Logger } from "@packetwatch/runtime";
import { Announcer } from "./announcer.ts";
import { BreakerControl } from "./breaker-control.ts";
import { KnownDecisions } from "./known-decisions.ts";
import { LastVerdicts } from "./last-verdicts.ts";
import { ShardFeed } from "./shard-feed.ts";
import { ShardReaders } from "./shard-readers.ts";
import type { DetectorTelemetry } from "./telemetry.ts";

const BREAKER_OPEN =
  "the breaker is open: too many blocks; detectors alert and block nobody until it closes (packetwatch breaker close, PW_MAX_BLOCKS_PER_MINUTE, PW_MAX_BLOCKED)";
/** How often is asked whether an open breaker may close. */
const BREAKER_INTERVAL_MS = 500;

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
  readonly #breaker: BreakerControl;
  readonly #timer: NodeJS.Timeout;
  readonly #known: KnownDecisions;
  readonly #shards: ShardReaders;
  #membership: GroupMembership | undefined;

  constructor(options: DetectingOptions) {
    const { config, telemetry } = options;
    const rules = rulesFromConfig(config);
    const escalation = escalationFromConfig(config);
    this.#options = options;
    this.#detector = createDetector({
      rules,
      capacity: config.detectorCapacity,
      maxQuietSources: config.maxVerdicts,
      blockTtlUs: Math.round(config.blockTtlSeconds * 1e6),
      ...(escalation && { escalation }),
      count: config.count,
      seed: randomInt(2 ** 47),
    });
    this.#breaker = this.#createBreaker();
    const lastVerdicts = new LastVerdicts();
    this.#announcer = new Announcer({
      ...options,
      rules,
      detector: this.#detector,
      breaker: this.#breaker,
      lastVerdicts,
    });
    this.#feed = new ShardFeed({
      detector: this.#detector,
      onDetections: (detections, origin) => this.#announcer.announce(detections, origin),
      onRejected: telemetry.rejected,
    });
    this.#known = new KnownDecisions({
      ...options,
      breaker: this.#breaker,
      detector: this.#detector,
      lastVerdicts,
      longestWindowSeconds: longestWindowSeconds(config),
      onRejected: telemetry.rejected,
    });
    this.#shards = new ShardReaders({
      ...options,
      onBatch: (payload) => this.#feed.take(payload),
      onGap: telemetry.discarded,
    });
    this.#timer = setInterval(() => this.#breaker.tend(Date.now() * 1000), BREAKER_INTERVAL_MS);
    telemetry.observe({
      rules,
      count: config.count,
      sequence: () => this.#known.sequence,
      isBreakerOpen: () => this.#breaker.isOpen,
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
    clearInterval(this.#timer);
    // Leaving first: the others take over while what is left here is finished.
    await this.#membership?.close();
    await this.#shards.close();
    await this.#known.close();
    await this.#announcer.close();
  }

  #createBreaker(): BreakerControl {
    const { config, instance, telemetry, logger } = this.#options;
    return new BreakerControl({
      limits: { maxPerMinute: config.maxBlocksPerMinute, maxBlocked: config.maxBlocked },
      quietUs: Math.round(config.breakerQuietSeconds * 1e6),
      instance,
      publish: (announcement) => this.#announcer.push(announcement),
      onHold: (periods) => this.#detector.holdBlocks(periods),
      onChanged: ({ state, reason, changedBy }) => {
        if (state === "open") logger.error({ reason, changedBy }, BREAKER_OPEN);
        else logger.warn({ reason, changedBy }, "the breaker is closed; detectors block again");
      },
      onHeld: telemetry.held,
    });
  }
}
