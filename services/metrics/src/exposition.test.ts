import { AggregatorRegistry } from "prom-client";
import { describe, expect, it } from "vitest";
import { TelemetryAggregator } from "./core/aggregator.ts";
import type { MetricJson } from "./core/metric-json.ts";
import { type ExpositionFormat, renderExposition } from "./exposition.ts";
import { parseExposition, valueOf } from "./testing/exposition-parser.ts";
import { delay, metric, telemetry, testCatalogue as catalogue, work } from "./testing/telemetry.ts";

const formats: readonly ExpositionFormat[] = ["prometheus", "openmetrics"];

function counter(fields: Partial<MetricJson>): MetricJson {
  return { name: "x_total", help: "X", type: "counter", aggregator: "sum", values: [], ...fields };
}

async function aggregated(aggregator: TelemetryAggregator): Promise<MetricJson[]> {
  const merged = AggregatorRegistry.aggregate(aggregator.registries(61_000));
  return (await merged.getMetricsAsJSON()) as unknown as MetricJson[];
}

async function fullFleet(): Promise<MetricJson[]> {
  const aggregator = new TelemetryAggregator({ catalogue, startMs: 1_700_000_000_000 });
  const gauge = (name: string, value: number) => metric(name, "gauge", [{ value, labels: {} }]);
  const depth = metric("depth", "gauge", [{ value: -1.5e-7, labels: { interface: 'q"\\' } }]);
  const gauges = (value: number) => ["worst", "first", "secret"].map((name) => gauge(name, value));
  aggregator.ingest(telemetry("gone", [work(1), delay([1, 1, 1], 0.1)]), 1000);
  aggregator.ingest(
    telemetry("one", [work(2), delay([0, 1, 3], 7.5), depth, ...gauges(3)]),
    61_000,
  );
  aggregator.ingest(
    telemetry("two", [work(4, "b"), delay([1, 1, 1], 0.2, "b"), ...gauges(9)]),
    61_000,
  );
  return aggregated(aggregator);
}

describe.each(formats)("an exposition as %s", (format) => {
  const total = "work_total";

  it("passes a strict parser, with every aggregator applied", async () => {
    const families = parseExposition(renderExposition(await fullFleet(), format), format);
    expect(families.map(({ name }) => name)).toEqual([
      format === "openmetrics" ? "conn_count" : "conn_count_total",
      "delay_seconds",
      "depth",
      "first",
      format === "openmetrics" ? "work" : "work_total",
      "worst",
    ]);
    expect(valueOf(families, total, { interface: "a" })).toBe(3);
    expect(valueOf(families, total, { interface: "b" })).toBe(4);
    expect(valueOf(families, "worst")).toBe(9);
    expect(valueOf(families, "first")).toBe(3);
    expect(valueOf(families, "depth", { interface: 'q"\\' })).toBe(-1.5e-7);
    expect(valueOf(families, "delay_seconds_sum", { interface: "a" })).toBe(7.6);
    expect(valueOf(families, "delay_seconds_count", { interface: "a" })).toBe(4);
  });

  it("is whole before any telemetry", async () => {
    const aggregator = new TelemetryAggregator({ catalogue, startMs: 1000 });
    const text = renderExposition(await aggregated(aggregator), format);
    expect(valueOf(parseExposition(text, format), "conn_count_total")).toBe(0);
  });

  it.each([
    [Number.NaN, "NaN"],
    [Number.POSITIVE_INFINITY, "+Inf"],
    [Number.NEGATIVE_INFINITY, "-Inf"],
    [1e21, "1e+21"],
    [9_007_199_254_740_991, "9007199254740991"],
  ])("writes %d as %s", (value, text) => {
    const json = counter({ name: "g", type: "gauge", values: [{ value, labels: {} }] });
    expect(renderExposition([json], format)).toContain(`\ng ${text}\n`);
  });

  it("escapes what labels and help hold", () => {
    const values = [{ value: 1, labels: { a: 'x"\\\n' } }];
    const json = counter({ name: "g", type: "gauge", help: 'A "\\\n', values });
    const text = renderExposition([json], format);
    expect(text).toContain('g{a="x\\"\\\\\\n"} 1\n');
    expect(text).toContain(`# HELP g A ${format === "openmetrics" ? '\\"' : '"'}\\\\\\n\n`);
  });
});

describe("OpenMetrics", () => {
  it("tells since when each counter and histogram counts; Prometheus text doesn't", async () => {
    const metrics = await fullFleet();
    const families = parseExposition(renderExposition(metrics, "openmetrics"), "openmetrics");
    expect(valueOf(families, "conn_count_created")).toBe(1_700_000_000);
    expect(valueOf(families, "work_created", { interface: "a" })).toBe(1);
    expect(valueOf(families, "delay_seconds_created", { interface: "b" })).toBe(61);
    expect(renderExposition(metrics, "prometheus")).not.toContain("_created");
  });

  it("has bounds in canonical form", async () => {
    const text = renderExposition(await fullFleet(), "openmetrics");
    expect(text).toContain('le="1.0"');
    expect(text).toContain('le="0.5"');
  });
});

describe("the strict parser", () => {
  const head = "# HELP x X\n# TYPE x";
  it.each<[string, string, ExpositionFormat, string]>([
    ["a missing line end", `${head} gauge\nx 1`, "prometheus", "no end"],
    ["no EOF", `${head} gauge\nx 1\n`, "openmetrics", "no # EOF"],
    ["a blank line", `${head} gauge\n\nx 1\n`, "prometheus", "not a sample"],
    ["a family twice", `${head} gauge\nx 1\n${head} gauge\n`, "prometheus", "twice"],
    ["a sample twice", `${head} gauge\nx 1\nx 2\n`, "prometheus", "twice"],
    ["a sample of another family", `${head} gauge\ny 1\n`, "prometheus", "no sample of"],
    ["a type without help", `# TYPE x gauge\nx 1\n`, "prometheus", "stray"],
    ["a misspelt number", `${head} gauge\nx Nan\n`, "prometheus", "not a number"],
    ["a bare quote in a label", `${head} gauge\nx{a="""} 1\n`, "prometheus", "bad labels"],
    ["a bad label name", `${head} gauge\nx{1a="b"} 1\n`, "prometheus", "bad labels"],
    [
      "_total in the family",
      "# HELP x_total X\n# TYPE x_total counter\nx_total 1\n# EOF\n",
      "openmetrics",
      "no sample of",
    ],
    ["no _created", `${head} counter\nx_total 1\n# EOF\n`, "openmetrics", "no _created"],
    [
      "a histogram without +Inf",
      `${head} histogram\nx_bucket{le="1"} 1\nx_sum 1\nx_count 1\n`,
      "prometheus",
      "bad bounds",
    ],
    [
      "a count that isn't the last bucket",
      `${head} histogram\nx_bucket{le="+Inf"} 1\nx_sum 1\nx_count 2\n`,
      "prometheus",
      "add up",
    ],
  ])("refuses %s", (_, text, format, why) => {
    expect(() => parseExposition(text, format)).toThrow(why);
  });
});
