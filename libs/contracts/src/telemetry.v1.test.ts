import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry, Summary } from "prom-client";
import { describe, expect, it } from "vitest";
import { jsonBytes, type Member, withMember } from "./testing/json-message.ts";
import { refusal } from "./testing/refusal.ts";
import {
  decodeTelemetry,
  encodeTelemetry,
  MAX_METRICS_PER_MESSAGE,
  MAX_SERIES_PER_METRIC,
  type Telemetry,
  type TelemetryMetric,
} from "./telemetry.v1.ts";

const metric: TelemetryMetric = {
  name: "packetwatch_syn_total",
  help: "Connection attempts",
  type: "counter",
  aggregator: "sum",
  values: [
    { value: 7, labels: { family: "ip4" } },
    { value: 0, labels: { le: 0.5, family: "ip6" }, metricName: "packetwatch_syn_bucket" },
  ],
};
const telemetry: Telemetry = {
  version: 1,
  service: "capture",
  instance: "web-1-77",
  host: "web-1",
  sentUs: 1_619_623_685_000_000,
  metrics: [metric],
};

// A published message: it is read for ever.
const golden =
  '{"version":1,"service":"capture","instance":"web-1-77","host":"web-1","sentUs":1619623685000000,"metrics":[{"name":"packetwatch_syn_total","help":"Connection attempts","type":"counter","aggregator":"sum","values":[{"value":7,"labels":{"family":"ip4"}},{"value":0,"labels":{"le":0.5,"family":"ip6"},"metricName":"packetwatch_syn_bucket"}]}]}';

function someRegistry(): Registry {
  const registers = [new Registry()];
  const common = { help: "help", registers };
  new Counter({ name: "c", labelNames: ["reason"], ...common }).inc({ reason: "ring_full" }, 3);
  new Gauge({ name: "g", aggregator: "max", ...common }).set(-1.5);
  new Histogram({ name: "h", buckets: [0.1, 1], ...common }).observe(0.5);
  new Summary({ name: "s", percentiles: [0.5], ...common }).observe(2);
  return registers[0] as Registry;
}

async function metricsOf(registry: Registry): Promise<TelemetryMetric[]> {
  return (await registry.getMetricsAsJSON()) as unknown as TelemetryMetric[];
}

describe("telemetry", () => {
  it("is written and read as published", () => {
    expect(new TextDecoder().decode(encodeTelemetry(telemetry))).toBe(golden);
    expect(decodeTelemetry(new TextEncoder().encode(golden))).toEqual(telemetry);
  });

  it("carries every kind of prom-client's metrics, and the numbers of each", async () => {
    const metrics = await metricsOf(someRegistry());
    const read = decodeTelemetry(encodeTelemetry({ ...telemetry, metrics }));
    expect(read.metrics.map(({ type }) => type)).toEqual([
      "counter",
      "gauge",
      "histogram",
      "summary",
    ]);
    // All but the exemplars, which the contract leaves out.
    expect(metrics).toMatchObject(read.metrics);
  });

  it("carries the default metrics of a process", async () => {
    const registry = new Registry();
    collectDefaultMetrics({ register: registry });
    const metrics = await metricsOf(registry);
    const read = decodeTelemetry(encodeTelemetry({ ...telemetry, metrics }));
    expect(read.metrics.map(({ name }) => name)).toContain("process_cpu_user_seconds_total");
    expect(read.metrics).toHaveLength(metrics.length);
  });

  it("leaves out values that are not finite, and keeps the others", () => {
    const values = [Number.NaN, 1, Infinity, -Infinity].map((value) => ({ value, labels: {} }));
    const metrics = [{ ...metric, values }];
    const read = decodeTelemetry(encodeTelemetry({ ...telemetry, metrics }));
    expect(read.metrics[0]?.values).toEqual([{ value: 1, labels: {} }]);
  });

  it("members that this version doesn't know are dropped", () => {
    expect(decodeTelemetry(jsonBytes({ ...telemetry, region: "x" }))).toEqual(telemetry);
  });

  it("a label called __proto__ changes no prototype", () => {
    const text = golden.replace('"family":"ip4"', '"__proto__":"ip4"');
    const read = decodeTelemetry(new TextEncoder().encode(text));
    const labels = read.metrics[0]?.values[0]?.labels ?? {};
    expect(Object.getPrototypeOf(labels)).toBe(Object.prototype);
  });
});

const value = ["metrics", 0, "values", 0] as const;
const refusedMembers: readonly (readonly [path: readonly Member[], value: unknown])[] = [
  [["version"], 2],
  [["service"], ""],
  [["instance"], undefined],
  [["host"], 1],
  [["sentUs"], 0.5],
  [["metrics"], {}],
  [["metrics"], Array.from({ length: MAX_METRICS_PER_MESSAGE + 1 }, () => metric)],
  [["metrics", 0, "name"], "7up"],
  [["metrics", 0, "name"], "a b"],
  [["metrics", 0, "name"], `a${"b".repeat(255)}`],
  [["metrics", 0, "help"], "x".repeat(1025)],
  [["metrics", 0, "type"], "untyped"],
  [["metrics", 0, "aggregator"], "median"],
  [["metrics", 0, "values"], Array.from({ length: MAX_SERIES_PER_METRIC + 1 }, () => 0)],
  [[...value, "value"], null],
  [[...value, "value"], "7"],
  [[...value, "labels"], undefined],
  [[...value, "labels"], null],
  [[...value, "labels"], ["family"]],
  [[...value, "labels"], { family: "x".repeat(256) }],
  [[...value, "labels"], { family: true }],
  [[...value, "labels"], { ["x".repeat(129)]: "family" }],
  [[...value, "metricName"], 1],
];

describe("telemetry is refused whole", () => {
  it.each(refusedMembers)("where %j is not what it may be", (path, bad) => {
    const error = refusal(() => decodeTelemetry(jsonBytes(withMember(telemetry, path, bad))));
    expect(error.code).toBe("bad_schema");
    expect(error.message).toContain(`telemetry v1: ${path.join(".")}: `);
  });

  it("with a message that a long label can't make long", () => {
    const labels = { ["x".repeat(500_000)]: 1 };
    const bad = withMember(telemetry, [...value, "labels"], labels);
    const error = refusal(() => decodeTelemetry(jsonBytes(bad)));
    expect(error.code).toBe("bad_schema");
    expect(error.message.length).toBeLessThan(300);
  });
});
