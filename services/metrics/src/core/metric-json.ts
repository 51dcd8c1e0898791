import type { Aggregator } from "@packetwatch/telemetry";

export type Labels = Readonly<Record<string, string | number>>;

/** One sample; `metricName` where it differs from the metric's, such as `x_bucket`. */
export type SampleJson = {
  readonly value: number;
  readonly labels: Labels;
  readonly metricName?: string;
};

/** A metric as prom-client's getMetricsAsJSON() gives it and its AggregatorRegistry takes it. */
export type MetricJson = {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly aggregator: Aggregator;
  readonly values: readonly SampleJson[];
};
