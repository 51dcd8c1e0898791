import { createServiceMetrics, type ServiceMetrics } from "@packetwatch/telemetry";
import type { InstanceCount, TelemetryAggregator } from "./core/aggregator.ts";

export type OwnMetrics = ServiceMetrics<"metrics">;

export type OwnMetricsOptions = {
  readonly host: string;
  readonly aggregator: TelemetryAggregator;
  readonly now: () => number;
};

/** What metrics counts about itself. */
export function createOwnMetrics({ host, aggregator, now }: OwnMetricsOptions): OwnMetrics {
  const metrics = createServiceMetrics({ service: "metrics", host });
  metrics.beforeRead(() => {
    raiseCounters(metrics, aggregator);
    metrics.gauge("packetwatch_metrics_samples").set(aggregator.samples);
    const { hosts, interfaces, versions } = aggregator.labelValues;
    const labelValues = metrics.gauge("packetwatch_metrics_label_values");
    labelValues.set({ label: "host" }, hosts);
    labelValues.set({ label: "interface" }, interfaces);
    labelValues.set({ label: "version" }, versions);
    setInstances(metrics, aggregator.countInstances(now()));
  });
  return metrics;
}

function raiseCounters(metrics: OwnMetrics, aggregator: TelemetryAggregator): void {
  for (const [reason, series] of aggregator.rejectedSeries) {
    metrics.raise("packetwatch_metrics_rejected_series_total", { reason }, series);
  }
  metrics.raise("packetwatch_metrics_backward_series_total", {}, aggregator.backwardSeries);
  metrics.raise("packetwatch_metrics_merged_instances_total", {}, aggregator.mergedInstances);
  metrics.raise("packetwatch_metrics_forgotten_instances_total", {}, aggregator.forgottenInstances);
}

function setInstances(metrics: OwnMetrics, counts: readonly InstanceCount[]): void {
  const sum = (state: "live" | "departed") =>
    counts.reduce((total, count) => total + count[state], 0);
  const instances = metrics.gauge("packetwatch_metrics_instances");
  instances.set({ state: "live" }, sum("live"));
  instances.set({ state: "departed" }, sum("departed"));
  const perOrigin = metrics.gauge("packetwatch_metrics_live_instances");
  perOrigin.reset();
  for (const { service, host, live } of counts) perOrigin.set({ service, host }, live);
}
