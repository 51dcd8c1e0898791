import { randomInt } from "node:crypto";
import {
  type Bus,
  BusError,
  GroupMembership,
  publishAcknowledged,
  StreamReader,
} from "@packetwatch/bus";
import type { Config } from "@packetwatch/config";
import {
  alertSubject,
  DETECTOR_BUCKET,
  encodeAlert,
  encodeVerdict,
  streamNames,
  subjects,
  verdictSubject,
} from "@packetwatch/contracts";
import {
  createAlert,
  createDetector,
  createVerdict,
  type Detection,
  type Detector,
  rulesFromConfig,
} from "@packetwatch/detection";
import { parsePrefix } from "@packetwatch/net";
import type { Logger } from "@packetwatch/runtime";
import { type Announcement, AnnouncementQueue } from "./announcement-queue.ts";
import { type BatchOrigin, ShardFeed } from "./shard-feed.ts";
import { ShardReaders } from "./shard-readers.ts";
import type { DetectorTelemetry } from "./telemetry.ts";
import { takeVerdict } from "./verdict-list.ts";

const VERDICT_PREFETCH = 1000;

export type DetectingOptions = {
  readonly bus: Bus;
  readonly config: Config<"detector">;
  readonly instance: string;
  readonly telemetry: DetectorTelemetry;
  readonly logger: Logger;
};

/**
 * Reads the verdicts in force, joins the group, reads the shards that fall to
 * it from the longest window ago, and announces who has scanned.
 */
export class Detecting {
  readonly #options: DetectingOptions;
  readonly #detector: Detector;
  readonly #feed: ShardFeed;
  readonly #announcements: AnnouncementQueue;
  readonly #windowSeconds: Readonly<Record<string, number>>;
  readonly #verdicts: StreamReader;
  readonly #shards: ShardReaders;
  readonly #verdictsRead: Promise<void>;
  #membership: GroupMembership | undefined;

  constructor(options: DetectingOptions) {
    const { config, telemetry } = options;
    const rules = rulesFromConfig(config);
    this.#options = options;
    this.#windowSeconds = Object.fromEntries(
      Object.entries(rules).map(([name, { windowUs }]) => [name, windowUs / 1e6]),
    );
    this.#detector = createDetector({
      rules,
      capacity: config.detectorCapacity,
      maxQuietSources: config.maxVerdicts,
      blockTtlUs: Math.round(config.blockTtlSeconds * 1e6),
      seed: randomInt(2 ** 47),
    });
    this.#feed = new ShardFeed({
      detector: this.#detector,
      onDetections: (detections, origin) => this.#announce(detections, origin),
      onRejected: telemetry.rejected,
    });
    this.#announcements = this.#createQueue();
    const verdicts = this.#readVerdicts();
    this.#verdicts = verdicts.reader;
    this.#verdictsRead = verdicts.caughtUp;
    this.#shards = new ShardReaders({ ...options, onBatch: (payload) => this.#feed.take(payload) });
    telemetry.observe({ detector: this.#detector, lags: () => this.#shards.lags() });
  }

  /** The shards that are this detector's now, in order. */
  get shards(): readonly number[] {
    return [...this.#shards.lags().keys()].toSorted((a, b) => a - b);
  }

  /** Resolves when the verdicts in force are known and the group is joined. */
  async start(): Promise<void> {
    await this.#verdictsRead;
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
    await this.#verdicts.close();
    await this.#announcements.close();
  }

  #readVerdicts(): { reader: StreamReader; caughtUp: Promise<void> } {
    const { bus, telemetry, logger } = this.#options;
    let onCaughtUp: () => void = () => undefined;
    const caughtUp = new Promise<void>((resolve) => (onCaughtUp = resolve));
    const reader = new StreamReader({
      bus,
      stream: streamNames.verdict,
      filter: subjects.everyVerdict,
      start: { kind: "last_per_subject" },
      prefetch: VERDICT_PREFETCH,
      onMessage: (message) =>
        takeVerdict(message, {
          onVerdict: (mark) => this.#detector.applyVerdict(mark),
          onRejected: telemetry.rejected,
        }),
      onCaughtUp,
      logger,
    });
    return { reader, caughtUp };
  }

  #announce(detections: readonly Detection[], origin: BatchOrigin): void {
    for (const detection of detections) {
      const announcement = this.#createAnnouncement(detection, origin);
      if (announcement) this.#announcements.push(announcement);
    }
  }

  /** Undefined for a block that has ended already, which a replay of old attempts can decide. */
  #createAnnouncement(detection: Detection, origin: BatchOrigin): Announcement | undefined {
    const { instance, telemetry } = this.#options;
    const { rule, action, quietUntilUs } = detection;
    const windowSeconds = this.#windowSeconds[rule] ?? 0;
    const context = { ...origin, decidedBy: `detector/${instance}`, windowSeconds };
    const onStored = () => telemetry.announced(detection);
    if (action === "alert") {
      const alert = createAlert(detection, context);
      const subject = alertSubject(rule, parsePrefix(alert.source));
      return { subject, payload: encodeAlert(alert), messageId: alert.id, ttlSeconds: 0, onStored };
    }
    const ttlSeconds = Number.isFinite(quietUntilUs)
      ? Math.ceil((quietUntilUs - Date.now() * 1000) / 1e6)
      : 0;
    if (ttlSeconds < 0) return undefined;
    const verdict = createVerdict(detection, context);
    const subject = verdictSubject(parsePrefix(verdict.source));
    return {
      subject,
      payload: encodeVerdict(verdict),
      messageId: verdict.id,
      ttlSeconds,
      onStored,
    };
  }

  #createQueue(): AnnouncementQueue {
    const { bus, telemetry, logger } = this.#options;
    return new AnnouncementQueue({
      publish: async ({ subject, payload, messageId, ttlSeconds }) => {
        await publishAcknowledged(bus, subject, payload, { messageId, ttlSeconds });
      },
      isRetryable: (error) => error instanceof BusError && error.retryable,
      onFailed: ({ subject }, error) => {
        logger.debug(
          { subject, cause: (error as Error).message },
          "publishing failed; trying again",
        );
      },
      onDropped: ({ subject }, reason) => {
        telemetry.dropped(reason);
        logger.error({ subject, reason }, "a verdict or alert was given up");
      },
    });
  }
}
