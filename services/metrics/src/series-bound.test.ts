import type { TelemetryMetric } from "@packetwatch/contracts";
import {
  catalogue,
  countSeries,
  type MetricDefinition,
  type MetricService,
  metricServices,
  seriesBound,
} from "@packetwatch/telemetry";
import { AggregatorRegistry } from "prom-client";
import { expect, it } from "vitest";
import { aggregatorLimits, TelemetryAggregator } from "./core/aggregator.ts";
import type { MetricJson } from "./core/metric-json.ts";
import { renderExposition } from "./exposition.ts";
import { telemetry } from "./testing/telemetry.ts";

const size = { hosts: 3, interfaces: 4, versions: 2 };
/** Twice as many of everything as there is room for. */
const hosts = Array.from({ length: 2 * size.hosts }, (_, index) => `host${index}`);
const interfaces = ["eth0", "eth1"];

type LabelSet = Readonly<Record<string, string>>;

/** What a label may be, and what it may not. */
function valuesOf(
  label: string,
  { labels, services }: MetricDefinition,
  host: string,
): readonly string[] {
  const known = labels[label] ?? [];
  if (known !== "any") return [...known, "made up"];
  // Metrics tells of other hosts too.
  if (label === "host") return services.includes("metrics") ? [host] : [host, "made up"];
  return label === "interface" ? interfaces : [`version of ${host}`];
}

function labelSets(definition: MetricDefinition, host: string): readonly LabelSet[] {
  const extend = (sets: readonly LabelSet[], label: string) =>
    sets.flatMap((set) =>
      valuesOf(label, definition, host).map((value) => Object.assign({ [label]: value }, set)),
    );
  return Object.keys(definition.labels).reduce(extend, [{}]);
}

function valuesFor(
  name: string,
  definition: MetricDefinition,
  labels: LabelSet,
): TelemetryMetric["values"] {
  if (definition.type !== "histogram") return [{ value: 1, labels }];
  const bucket = (le: number | string) => ({
    value: 1,
    labels: { ...labels, le },
    metricName: `${name}_bucket`,
  });
  const sum = (suffix: string) => ({ value: 1, labels, metricName: name + suffix });
  return [...[...definition.buckets, "+Inf"].map(bucket), sum("_sum"), sum("_count")];
}

/** Every metric of a service with every label set that it could have, and some that it can't. */
function everythingOf(service: MetricService, host: string): readonly TelemetryMetric[] {
  const own = Object.entries<MetricDefinition>(catalogue).filter(([, { services }]) =>
    services.includes(service),
  );
  return own.map(([name, definition]) => {
    const { type, help, aggregator } = definition;
    const sets = labelSets(definition, host);
    const values = sets.flatMap((labels) => valuesFor(name, definition, labels));
    return { name, type, help, aggregator, values };
  });
}

it("a fleet that publishes all it can, and more, fills the documented bound and no line more", async () => {
  const fleet = { ...size, interfacesPerHost: interfaces.length };
  const limits = { ...aggregatorLimits, fleet };
  const aggregator = new TelemetryAggregator({ catalogue, limits, startMs: 0 });
  for (const host of hosts) {
    for (const service of metricServices) {
      aggregator.ingest(
        telemetry(`${service}-${host}`, everythingOf(service, host), service, host),
        0,
      );
    }
  }
  const merged = AggregatorRegistry.aggregate(aggregator.registries(0));
  const metrics = (await merged.getMetricsAsJSON()) as unknown as MetricJson[];
  const lines = renderExposition(metrics, "prometheus").split("\n");
  const samples = lines.filter((line) => line !== "" && !line.startsWith("#"));
  expect(samples).toHaveLength(seriesBound(countSeries(catalogue), size));
  expect(aggregator.rejectedSeries.get("no_room")).toBeGreaterThan(0);
  expect(aggregator.rejectedSeries.get("bad_labels")).toBeGreaterThan(0);
});
