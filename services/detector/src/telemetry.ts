import { type Bus, TelemetryPublisher } from "@packetwatch/bus";
import type { ContractErrorCode } from "@packetwatch/contracts";
import {
  type Detection,
  type Detector,
  type KeyStats,
  type RuleName,
  ruleNames,
  type RulesConfig,
} from "@packetwatch/detection";
import { type Logger, LossReporter, type Scope } from "@packetwatch/runtime";
import type { Gap } from "./stream-gaps.ts";
import type { LossReason } from "./announcement-queue.ts";
import { createServiceMetrics, type ServiceMetrics } from "@packetwatch/telemetry";

/** What is read off the detector whenever telemetry is published. */
export type DetectorReadings = {
  readonly detector: Detector;
  readonly rules: RulesConfig;
  readonly count: "all" | "closed";
  readonly isBreakerOpen: () => boolean;
  /** The last message of the verdict stream that was taken in. */
  readonly sequence: () => number;
  /** Batches that wait in the stream, by shard that is owned here. */
  readonly lags: () => ReadonlyMap<number, number>;
  /** Shards that are owned here and can't be read at present. */
  readonly unread: () => ReadonlySet<number>;
};

export type DetectorTelemetry = {
  readonly rejected: (reason: ContractErrorCode, error: Error) => void;
  readonly announced: (detection: Detection) => void;
  /** A verdict or alert was not stored, and is tried again. */
  readonly failed: () => void;
  readonly dropped: (reason: LossReason) => void;
  /** The stream discarded batches before this detector read them. */
  readonly discarded: (gap: Gap) => void;
  /** A block was held back, or withdrawn, because the breaker is open. */
  readonly held: () => void;
  readonly observe: (readings: DetectorReadings) => void;
  readonly publish: (bus: Bus, scope: Scope) => void;
};

export type DetectorTelemetryOptions = {
  readonly host: string;
  readonly instance: string;
  readonly logger: Logger;
};

export function createDetectorTelemetry(options: DetectorTelemetryOptions): DetectorTelemetry {
  const { host, instance, logger } = options;
  const metrics = createServiceMetrics({ service: "detector", host });
  const loss = new LossReporter({
    warn: (fields, message) => logger.warn(fields, message),
    message:
      "the stream discarded attempts before they were judged (PW_SYN_STREAM_BYTES, or more detectors)",
    now: Date.now,
  });
  return {
    rejected: (reason, error) => {
      metrics.counter("packetwatch_detector_rejected_batches_total").inc({ reason });
      logger.debug({ reason, cause: error.message }, "a payload was rejected");
    },
    announced: (detection) => countAnnounced(metrics, detection),
    discarded: ({ batches, records }) => {
      const labels = { reason: "stream_discarded" } as const;
      metrics.counter("packetwatch_detector_lost_batches_total").inc(labels, batches);
      metrics.counter("packetwatch_detector_lost_events_total").inc(labels, records);
      loss.add(records);
    },
    failed: () => metrics.counter("packetwatch_detector_publish_retries_total").inc(),
    dropped: (reason) =>
      metrics.counter("packetwatch_detector_verdict_failures_total").inc({ reason }),
    held: () => {
      metrics.counter("packetwatch_detector_verdict_failures_total").inc({ reason: "breaker" });
    },
    observe: (readings) => {
      tellRules(metrics, readings);
      metrics.beforeRead(() => read(metrics, readings));
    },
    publish: (bus, scope) => {
      metrics.beforeRead(() => {
        const labels = { service: "detector" } as const;
        metrics.raise("packetwatch_nats_reconnects_total", labels, bus.reconnects());
      });
      scope.own(metrics);
      const { registry } = metrics;
      scope.own(
        new TelemetryPublisher({ bus, host, logger, service: "detector", instance, registry }),
      );
    },
  };
}

function countAnnounced(metrics: ServiceMetrics<"detector">, detection: Detection): void {
  const { rule, action, event } = detection;
  metrics.counter("packetwatch_detector_verdicts_total").inc({ rule, action });
  const latencySeconds = (Date.now() * 1000 - event.timeUs) / 1e6;
  metrics
    .histogram("packetwatch_detector_verdict_latency_seconds")
    .observe(Math.max(0, latencySeconds));
}

function tellRules(
  metrics: ServiceMetrics<"detector">,
  { rules, count }: Pick<DetectorReadings, "rules" | "count">,
): void {
  for (const rule of ruleNames) {
    const { threshold, windowUs, action } = rules[rule];
    const labels = { rule, action, count };
    metrics.gauge("packetwatch_detector_rule_threshold").set(labels, threshold);
    metrics.gauge("packetwatch_detector_rule_window_seconds").set({ rule }, windowUs / 1e6);
  }
}

function read(metrics: ServiceMetrics<"detector">, readings: DetectorReadings): void {
  const { detector } = readings;
  metrics.gauge("packetwatch_breaker_open").set(readings.isBreakerOpen() ? 1 : 0);
  metrics.gauge("packetwatch_detector_sequence").set(readings.sequence());
  const stats = detector.stats();
  metrics.raise("packetwatch_detector_events_total", {}, stats.events);
  metrics.raise("packetwatch_detector_allowed_events_total", {}, stats.allowed);
  const uncounted = "packetwatch_detector_uncounted_events_total";
  metrics.raise(uncounted, { reason: "listener" }, stats.listened);
  metrics.raise(uncounted, { reason: "listener_unknown" }, stats.listenerUnknown);
  metrics.raise("packetwatch_detector_quiet_events_total", {}, stats.quiet);
  metrics.raise("packetwatch_detector_before_unblock_events_total", {}, stats.beforeUnblock);
  metrics.raise("packetwatch_detector_late_events_total", {}, stats.late);
  metrics.raise("packetwatch_detector_evicted_verdicts_total", {}, stats.quietEvictedLive);
  readKeys(metrics, "any", stats.sources);
  for (const rule of ruleNames) {
    const ruleStats = stats.rules[rule];
    if (!ruleStats) continue;
    readKeys(metrics, rule, ruleStats);
    metrics.raise(
      "packetwatch_detector_cooling_down_events_total",
      { rule },
      ruleStats.coolingDown,
    );
  }
  readLags(metrics, readings);
}

function readKeys(
  metrics: ServiceMetrics<"detector">,
  rule: RuleName | "any",
  { evictedLive, trackedKeys, keyLimit }: KeyStats,
): void {
  metrics.raise("packetwatch_detector_evicted_keys_total", { rule }, evictedLive);
  metrics.gauge("packetwatch_detector_tracked_keys").set({ rule }, trackedKeys);
  metrics.gauge("packetwatch_detector_key_limit").set({ rule }, keyLimit);
}

function readLags(metrics: ServiceMetrics<"detector">, readings: DetectorReadings): void {
  const [lags, unread] = [readings.lags(), readings.unread()];
  const total = [...lags.values()].reduce((sum, lag) => sum + lag, 0);
  metrics.gauge("packetwatch_detector_owned_shards").set(lags.size);
  metrics.gauge("packetwatch_detector_lag_messages").set(total);
  metrics.gauge("packetwatch_detector_worst_lag_messages").set(total);
  const byShard = metrics.gauge("packetwatch_detector_shard_lag_messages");
  // Those that were given up are another's to tell.
  byShard.reset();
  for (const [shard, lag] of lags) {
    // What waits in a stream that can't be read is not known.
    if (!unread.has(shard)) byShard.set({ shard: String(shard) }, lag);
  }
}
