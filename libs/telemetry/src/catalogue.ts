import { SHARD_COUNT } from "@packetwatch/net";
import { enforcerCatalogue } from "./enforcer-catalogue.ts";
import { kernelCatalogue, perInterface } from "./kernel-catalogue.ts";
import { contractReasons, perHost, reactionBucketsSeconds } from "./label-sets.ts";
import {
  counter,
  gauge,
  histogram,
  type MetricCatalogue,
  metricServices,
} from "./metric-definition.ts";
import { processCatalogue } from "./process-catalogue.ts";

const capture = ["capture"] as const;
const detector = ["detector"] as const;
const metrics = ["metrics"] as const;

const rules = ["vertical", "horizontal", "spread"] as const;
/** Tables of keys: that of sources that have not tried enough for any rule, and those of the rules. */
const keyTables = ["any", ...rules] as const;
const shards: readonly string[] = Array.from({ length: SHARD_COUNT }, (_, shard) => String(shard));

/** Every metric, declared once. A series that isn't declared here is not served. */
export const catalogue = {
  conn_count_total: counter({
    services: [],
    unit: "packets",
    labels: {},
    help: "number of new connections",
  }),

  ...kernelCatalogue,

  packetwatch_capture_records_total: counter({
    services: capture,
    unit: "records",
    labels: perHost,
    help: "Records read from the ring buffers; each is published, dropped with a reason, or still buffered",
  }),
  packetwatch_capture_published_records_total: counter({
    services: capture,
    unit: "records",
    labels: perHost,
    help: "Records in batches that NATS has acknowledged",
  }),
  packetwatch_capture_dropped_records_total: counter({
    services: capture,
    unit: "records",
    labels: { ...perHost, reason: ["buffer_full", "shutdown", "bad_record"] },
    help: "Records read from the ring buffers and never published (PW_PUBLISH_BUFFER_BYTES, PW_DRAIN_TIMEOUT)",
  }),
  packetwatch_capture_published_batches_total: counter({
    services: capture,
    unit: "batches",
    labels: perHost,
    help: "Batches that NATS has acknowledged",
  }),
  packetwatch_capture_published_bytes_total: counter({
    services: capture,
    unit: "bytes",
    labels: perHost,
    help: "Bytes of the batches that NATS has acknowledged",
  }),
  packetwatch_capture_publish_failures_total: counter({
    services: capture,
    unit: "failures",
    labels: perHost,
    help: "Batches that NATS did not acknowledge in time or refused; they are published again",
  }),
  packetwatch_capture_buffered_records: gauge({
    services: capture,
    unit: "records",
    labels: perHost,
    aggregator: "sum",
    help: "Records read and not yet acknowledged",
  }),
  packetwatch_capture_buffered_bytes: gauge({
    services: capture,
    unit: "bytes",
    labels: perHost,
    aggregator: "sum",
    help: "Bytes that wait for NATS; at PW_PUBLISH_BUFFER_BYTES the oldest are dropped",
  }),
  packetwatch_capture_buffer_limit_bytes: gauge({
    services: capture,
    unit: "bytes",
    labels: perHost,
    aggregator: "min",
    help: "Bytes that may wait for NATS (PW_PUBLISH_BUFFER_BYTES)",
  }),
  packetwatch_capture_xdp_mode: gauge({
    services: capture,
    unit: "1",
    labels: { ...perInterface, mode: ["native", "skb"] },
    aggregator: "max",
    help: "1 for the mode in which the XDP program is attached",
  }),
  packetwatch_capture_ring_bytes: gauge({
    services: capture,
    unit: "bytes",
    labels: perInterface,
    aggregator: "max",
    help: "Size of the ring buffer",
  }),
  packetwatch_capture_ring_used_bytes: gauge({
    services: capture,
    unit: "bytes",
    labels: perInterface,
    aggregator: "max",
    help: "Bytes in the ring buffer that capture has not read yet",
  }),

  packetwatch_detector_events_total: counter({
    services: detector,
    unit: "events",
    labels: {},
    help: "Connection attempts judged, replays after a takeover included",
  }),
  packetwatch_detector_allowed_events_total: counter({
    services: detector,
    unit: "events",
    labels: {},
    help: "Connection attempts that no rule counted because their source is allow-listed",
  }),
  packetwatch_detector_uncounted_events_total: counter({
    services: detector,
    unit: "events",
    labels: { reason: ["listener", "listener_unknown"] },
    help: "Connection attempts that no rule counted because only closed ports count (PW_COUNT): the port has a listener, or its host's capture did not look",
  }),
  packetwatch_detector_quiet_events_total: counter({
    services: detector,
    unit: "events",
    labels: {},
    help: "Connection attempts that no rule counted because their source is blocked already",
  }),
  packetwatch_detector_before_unblock_events_total: counter({
    services: detector,
    unit: "events",
    labels: {},
    help: "Connection attempts that no rule counted because their source was unblocked after them",
  }),
  packetwatch_detector_late_events_total: counter({
    services: detector,
    unit: "events",
    labels: {},
    help: "Connection attempts that came too late for a rule's window, once for each rule",
  }),
  packetwatch_detector_rejected_batches_total: counter({
    services: detector,
    unit: "batches",
    labels: { reason: contractReasons },
    help: "Batches that break their contract; nothing of them was used",
  }),
  packetwatch_detector_lost_batches_total: counter({
    services: detector,
    unit: "batches",
    labels: { reason: ["stream_discarded"] },
    help: "Batches that the stream discarded before a detector that reads their shard had read them (PW_SYN_STREAM_BYTES)",
  }),
  packetwatch_detector_lost_events_total: counter({
    services: detector,
    unit: "events",
    labels: { reason: ["stream_discarded"] },
    help: "Connection attempts in those batches: stored, and never judged",
  }),
  packetwatch_detector_evicted_keys_total: counter({
    services: detector,
    unit: "keys",
    labels: { rule: keyTables },
    help: "Keys that left a full table while their window was open: a scan of theirs may be missed (PW_DETECTOR_CAPACITY)",
  }),
  packetwatch_detector_evicted_verdicts_total: counter({
    services: detector,
    unit: "verdicts",
    labels: {},
    help: "Verdicts in force that a detector had no room to remember: their sources may be judged again",
  }),
  packetwatch_detector_cooling_down_events_total: counter({
    services: detector,
    unit: "events",
    labels: { rule: rules },
    help: "Connection attempts that a rule did not count because it had alerted about their source less than a window before",
  }),
  packetwatch_detector_tracked_keys: gauge({
    services: detector,
    unit: "keys",
    labels: { rule: keyTables },
    aggregator: "sum",
    help: "Keys that have a window open; those of rule `any` are sources, and most of them have tried too little for the rules' own keys",
  }),
  packetwatch_detector_key_limit: gauge({
    services: detector,
    unit: "keys",
    labels: { rule: keyTables },
    aggregator: "sum",
    help: "Keys that the rule's table has room for (PW_DETECTOR_CAPACITY)",
  }),
  packetwatch_detector_verdicts_total: counter({
    services: detector,
    unit: "verdicts",
    labels: { rule: rules, action: ["block", "alert"] },
    help: "Verdicts and alerts that NATS has stored; one that two detectors reach counts once",
  }),
  packetwatch_detector_verdict_failures_total: counter({
    services: detector,
    unit: "failures",
    labels: { reason: ["stream_full", "refused", "queue_full", "ended", "breaker"] },
    help: "Verdicts and alerts that were given up: no room in the verdict list (PW_MAX_VERDICTS), refused for good, too many waited for NATS, blocks that had ended before they were decided, or held back or withdrawn while the breaker is open",
  }),
  packetwatch_detector_publish_retries_total: counter({
    services: detector,
    unit: "retries",
    labels: {},
    help: "Verdicts and alerts that NATS did not acknowledge in time; they are published again",
  }),
  packetwatch_detector_rule_threshold: gauge({
    services: detector,
    unit: "1",
    labels: { rule: rules, action: ["block", "alert", "off"], count: ["all", "closed"] },
    aggregator: "max",
    help: "Distinct items at which the rule fires, what it does then, and which attempts count (PW_COUNT); two series where detectors differ",
  }),
  packetwatch_detector_rule_window_seconds: gauge({
    services: detector,
    unit: "seconds",
    labels: { rule: rules },
    aggregator: "max",
    help: "The window of the rule",
  }),
  packetwatch_detector_sequence: gauge({
    services: detector,
    unit: "1",
    labels: {},
    aggregator: "min",
    help: "Sequence of the last message of the verdict stream that was taken in",
  }),
  packetwatch_breaker_open: gauge({
    services: detector,
    unit: "1",
    labels: {},
    aggregator: "max",
    help: "1 while detectors block nobody because there were too many blocks (PW_MAX_BLOCKS_PER_MINUTE, PW_MAX_BLOCKED); alerts go on",
  }),
  packetwatch_detector_owned_shards: gauge({
    services: detector,
    unit: "shards",
    labels: {},
    aggregator: "sum",
    help: "Shards that detectors have taken; over all detectors it should be 64",
  }),
  packetwatch_detector_lag_messages: gauge({
    services: detector,
    unit: "messages",
    labels: {},
    aggregator: "sum",
    help: "Batches stored and not yet judged, over all shards",
  }),
  packetwatch_detector_worst_lag_messages: gauge({
    services: detector,
    unit: "messages",
    labels: {},
    aggregator: "max",
    help: "Batches stored and not yet judged, in the detector that has most of them",
  }),
  packetwatch_detector_shard_lag_messages: gauge({
    services: detector,
    unit: "messages",
    labels: { shard: shards },
    aggregator: "max",
    help: "Batches stored and not yet judged, by shard; only shards whose stream is being read have a series",
  }),
  packetwatch_detector_verdict_latency_seconds: histogram({
    services: detector,
    unit: "seconds",
    labels: {},
    buckets: reactionBucketsSeconds,
    help: "From the deciding connection attempt, on its sensor's clock, to the stored verdict",
  }),

  ...enforcerCatalogue,

  packetwatch_metrics_messages_total: counter({
    services: metrics,
    unit: "messages",
    labels: {},
    help: "Telemetry messages taken in",
  }),
  packetwatch_metrics_rejected_messages_total: counter({
    services: metrics,
    unit: "messages",
    labels: { reason: [...contractReasons, "unknown_service", "no_room"] },
    help: "Telemetry messages turned away whole",
  }),
  packetwatch_metrics_rejected_series_total: counter({
    services: metrics,
    unit: "series",
    labels: {
      reason: ["undeclared", "wrong_service", "wrong_type", "bad_labels", "bad_value", "no_room"],
    },
    help: "Series of accepted messages that were turned away, again with each message",
  }),
  packetwatch_metrics_backward_series_total: counter({
    services: metrics,
    unit: "series",
    labels: {},
    help: "Counters that came with less than before; the totals keep what they had",
  }),
  packetwatch_metrics_merged_instances_total: counter({
    services: metrics,
    unit: "instances",
    labels: {},
    help: "Departed instances whose own counts were given up for room; what they count while away is lost if they return",
  }),
  packetwatch_metrics_forgotten_instances_total: counter({
    services: metrics,
    unit: "instances",
    labels: {},
    help: "Merged instances whose names were given up too: one that returns is counted again",
  }),
  packetwatch_metrics_instances: gauge({
    services: metrics,
    unit: "instances",
    labels: { state: ["live", "departed"] },
    aggregator: "max",
    help: "Instances whose counts are kept apart",
  }),
  packetwatch_metrics_live_instances: gauge({
    services: metrics,
    unit: "instances",
    labels: { service: metricServices, host: "any" },
    aggregator: "max",
    help: "Instances that were heard lately, by their service and host; 0 where all have departed",
  }),
  packetwatch_metrics_label_values: gauge({
    services: metrics,
    unit: "values",
    labels: { label: ["host", "interface", "version"] },
    aggregator: "max",
    help: "Values that these labels have had since metrics started; at their limits new ones are turned away",
  }),
  packetwatch_metrics_samples: gauge({
    services: metrics,
    unit: "samples",
    labels: {},
    aggregator: "max",
    help: "Numbers kept for all series of all instances and for the totals",
  }),

  ...processCatalogue,
} as const satisfies MetricCatalogue;

export type Catalogue = typeof catalogue;
export type MetricName = keyof Catalogue;
