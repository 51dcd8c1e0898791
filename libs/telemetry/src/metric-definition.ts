/** `kernel` is no process: it stands for the counters of one XDP program, which capture publishes. */
export const metricServices = ["capture", "detector", "enforcer", "metrics", "kernel"] as const;
export type MetricService = (typeof metricServices)[number];

export function isMetricService(name: string): name is MetricService {
  return (metricServices as readonly string[]).includes(name);
}

/** The values a label takes: a closed list, or any text from a set that the fleet bounds. Never an address. */
export type LabelValues = "any" | readonly string[];
export type LabelDefinitions = Readonly<Record<string, LabelValues>>;

/** How prom-client merges a gauge of several instances that have the same labels. */
export type Aggregator = "sum" | "first" | "min" | "max" | "average" | "omit";

type Common = {
  /** The processes that publish it; none: metrics derives it. */
  readonly services: readonly MetricService[];
  readonly unit: string;
  readonly labels: LabelDefinitions;
  readonly help: string;
};

export type CounterDefinition = Common & { readonly type: "counter"; readonly aggregator: "sum" };
export type GaugeDefinition = Common & { readonly type: "gauge"; readonly aggregator: Aggregator };
export type HistogramDefinition = Common & {
  readonly type: "histogram";
  readonly aggregator: "sum";
  /** Upper bounds, ascending, without +Inf. */
  readonly buckets: readonly number[];
};

export type MetricDefinition = CounterDefinition | GaugeDefinition | HistogramDefinition;
export type MetricCatalogue = Readonly<Record<string, MetricDefinition>>;

export function counter<const D extends Common>(definition: D) {
  return { ...definition, type: "counter", aggregator: "sum" } as const;
}

export function gauge<const D extends Common & { readonly aggregator: Aggregator }>(definition: D) {
  return { ...definition, type: "gauge" } as const;
}

export function histogram<const D extends Common & { readonly buckets: readonly number[] }>(
  definition: D,
) {
  return { ...definition, type: "histogram", aggregator: "sum" } as const;
}
