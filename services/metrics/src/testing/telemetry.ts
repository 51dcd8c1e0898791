import type { Telemetry, TelemetryMetric } from "@packetwatch/contracts";
import { counter, gauge, histogram, type MetricCatalogue } from "@packetwatch/telemetry";
import type { TelemetryAggregator } from "../core/aggregator.ts";

/** A small catalogue; aggregation knows no metric by name but the two of the connection count. */
export const testCatalogue = {
  conn_count_total: counter({
    services: [],
    unit: "packets",
    labels: {},
    help: "number of new connections",
  }),
  packetwatch_syn_seen_total: counter({
    services: ["kernel"],
    unit: "packets",
    labels: { interface: "any" },
    help: "Seen",
  }),
  work_total: counter({
    services: ["capture"],
    unit: "1",
    labels: { interface: "any" },
    help: "Work",
  }),
  faults_total: counter({
    services: ["capture"],
    unit: "1",
    labels: { reason: ["known"] },
    help: "Faults",
  }),
  running: gauge({
    services: ["capture"],
    unit: "1",
    labels: { service: ["capture", "detector"], host: "any", version: "any" },
    aggregator: "sum",
    help: "Running",
  }),
  depth: gauge({
    services: ["capture"],
    unit: "1",
    labels: { interface: "any" },
    aggregator: "sum",
    help: "Depth",
  }),
  worst: gauge({ services: ["capture"], unit: "1", labels: {}, aggregator: "max", help: "Worst" }),
  first: gauge({
    services: ["capture"],
    unit: "1",
    labels: {},
    aggregator: "first",
    help: "First",
  }),
  secret: gauge({
    services: ["capture"],
    unit: "1",
    labels: {},
    aggregator: "omit",
    help: "Secret",
  }),
  delay_seconds: histogram({
    services: ["capture"],
    unit: "seconds",
    labels: { interface: "any" },
    buckets: [0.5, 1],
    help: "Delay",
  }),
} as const satisfies MetricCatalogue;

type Values = TelemetryMetric["values"];

/** A metric as prom-client publishes it; what it says of itself besides its name and type is of no account. */
export function metric(
  name: string,
  type: TelemetryMetric["type"],
  values: Values,
): TelemetryMetric {
  return { name, type, help: "whatever", aggregator: "first", values };
}

export function work(value: number, name = "a"): TelemetryMetric {
  return metric("work_total", "counter", [{ value, labels: { interface: name } }]);
}

export function seen(value: number, name = "a"): TelemetryMetric {
  return metric("packetwatch_syn_seen_total", "counter", [{ value, labels: { interface: name } }]);
}

/** A histogram with the bounds 0.5 and 1; `buckets` are cumulative, +Inf last. */
export function delay(buckets: readonly number[], sum: number, name = "a"): TelemetryMetric {
  const bucket = (le: number | string, value = 0) => ({
    value,
    labels: { le, interface: name },
    metricName: "delay_seconds_bucket",
  });
  return metric("delay_seconds", "histogram", [
    bucket(0.5, buckets[0]),
    bucket(1, buckets[1]),
    bucket("+Inf", buckets[2]),
    { value: sum, labels: { interface: name }, metricName: "delay_seconds_sum" },
    { value: buckets[2] ?? 0, labels: { interface: name }, metricName: "delay_seconds_count" },
  ]);
}

export function telemetry(
  instance: string,
  metrics: readonly TelemetryMetric[],
  service = "capture",
  host = "a",
): Telemetry {
  return { version: 1, service, instance, host, sentUs: 0, metrics: [...metrics] };
}

/** A served total, summed over its label sets; undefined: it isn't served. */
export function totalOf(aggregator: TelemetryAggregator, name: string): number | undefined {
  const total = aggregator.registries(0)[0]?.find((metric) => metric.name === name);
  return total?.values
    .filter(({ metricName }) => metricName === undefined)
    .reduce((sum, { value }) => sum + value, 0);
}
