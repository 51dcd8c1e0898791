import type { TelemetryMetric } from "@packetwatch/contracts";
import type { ServiceMetrics } from "@packetwatch/telemetry";
import { AggregatorRegistry } from "prom-client";
import type { TelemetryAggregator } from "./core/aggregator.ts";
import type { MetricJson } from "./core/metric-json.ts";
import { type ExpositionFormat, renderExposition } from "./exposition.ts";

export type ScrapeOptions = {
  /** The one whose metrics are served. */
  readonly aggregator: TelemetryAggregator;
  readonly own: ServiceMetrics<"metrics">;
  readonly instance: string;
  readonly host: string;
  readonly now: () => number;
};

/** The text of all metrics, with those of metrics itself as they are now. */
export async function scrape(options: ScrapeOptions, format: ExpositionFormat): Promise<string> {
  const { aggregator, own, instance, host, now } = options;
  const metrics = (await own.registry.getMetricsAsJSON()) as unknown as TelemetryMetric[];
  const sentUs = Math.round(now() * 1000);
  // Over NATS they come too, under the same instance id, so they count once.
  aggregator.ingest({ version: 1, service: "metrics", instance, host, sentUs, metrics }, now());
  return renderExposition(await aggregate(aggregator.registries(now())), format);
}

/** Merges registries as prom-client does, by the aggregator of each metric. */
async function aggregate(registries: MetricJson[][]): Promise<MetricJson[]> {
  const merged = await AggregatorRegistry.aggregate(registries).getMetricsAsJSON();
  return merged as unknown as MetricJson[];
}
