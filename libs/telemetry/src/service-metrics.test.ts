import {
  decodeTelemetry,
  encodeTelemetry,
  type KernelCounters,
  type TelemetryMetric,
} from "@packetwatch/contracts";
import { afterEach, describe, expect, it } from "vitest";
import {
  createKernelMetrics,
  createServiceMetrics,
  kernelInstance,
  type MetricService,
  metricServices,
  processInstance,
  type ServiceMetrics,
} from "./index.ts";

const opened: { close(): void }[] = [];
afterEach(() => {
  for (const metrics of opened.splice(0)) metrics.close();
});

function create<S extends MetricService>(service: S): ServiceMetrics<S> {
  const metrics = createServiceMetrics({ service, host: "h" });
  opened.push(metrics);
  return metrics;
}

async function valuesOf(metrics: { registry: ServiceMetrics<"kernel">["registry"] }, name: string) {
  const all = await metrics.registry.getMetricsAsJSON();
  const values = all.find((metric) => metric.name === name)?.values ?? [];
  return values.map(({ labels, value }) => [labels, value]);
}

describe.each(metricServices)("the metrics of %s", (service) => {
  it("are telemetry that follows its contract, at the first reading too", async () => {
    const { registry } = create(service);
    for (const _ of [1, 2]) {
      const metrics = (await registry.getMetricsAsJSON()) as unknown as TelemetryMetric[];
      const message = {
        version: 1,
        service,
        instance: "i",
        host: "h",
        sentUs: 0,
        metrics,
      } as const;
      expect(decodeTelemetry(encodeTelemetry(message)).metrics).toHaveLength(metrics.length);
    }
  });
});

describe("a counter", () => {
  it("is there at zero where its labels are known", async () => {
    const metrics = create("capture");
    expect(await valuesOf(metrics, "packetwatch_capture_dropped_records_total")).toEqual([
      [{ host: "h", reason: "buffer_full" }, 0],
      [{ host: "h", reason: "shutdown" }, 0],
      [{ host: "h", reason: "bad_record" }, 0],
    ]);
    expect(await valuesOf(metrics, "packetwatch_nats_reconnects_total")).toEqual([
      [{ service: "capture" }, 0],
    ]);
  });

  it("is raised to a total that is kept elsewhere, and never lowered", async () => {
    const metrics = create("detector");
    const name = "packetwatch_detector_events_total";
    for (const total of [5, 9, 3, 10]) metrics.raise(name, {}, total);
    metrics.counter(name).inc(2);
    expect(await valuesOf(metrics, name)).toEqual([[{}, 12]]);
  });
});

it("a histogram without labels takes a value alone", async () => {
  const metrics = create("enforcer");
  metrics.histogram("packetwatch_enforcer_reaction_seconds").observe(0.003);
  const values = await valuesOf(metrics, "packetwatch_enforcer_reaction_seconds");
  expect(values.at(-1)).toEqual([{}, 1]);
});

it("hooks run before each reading, in either form", async () => {
  const metrics = create("capture");
  let bytes = 0;
  metrics.beforeRead(() =>
    metrics.gauge("packetwatch_capture_buffered_bytes").set({ host: "h" }, ++bytes),
  );
  expect(await valuesOf(metrics, "packetwatch_capture_buffered_bytes")).toEqual([
    [{ host: "h" }, 1],
  ]);
  expect(await metrics.registry.metrics()).toContain(
    'packetwatch_capture_buffered_bytes{host="h"} 2',
  );
});

it("a process tells its CPU time, memory and event loop lag", async () => {
  const metrics = create("metrics");
  const labels = { service: "metrics", host: "h" };
  expect(await metrics.registry.metrics()).not.toMatch(/^\w+_lag_\w+\{.*\} -/m);
  const cpu = await valuesOf(metrics, "process_cpu_seconds_total");
  expect(cpu).toEqual([[labels, expect.any(Number)]]);
  const [[, memory] = []] = await valuesOf(metrics, "process_resident_memory_bytes");
  expect(memory).toBeGreaterThan(1_000_000);
  const [[, lag] = []] = await valuesOf(metrics, "nodejs_eventloop_lag_p99_seconds");
  expect(lag).toBeGreaterThanOrEqual(0);
  expect(lag).toBeLessThan(5);
});

it("a metric of another service is a programmer's error", () => {
  const metrics = create("capture");
  // @ts-expect-error capture has no such counter
  expect(() => metrics.counter("packetwatch_detector_events_total")).toThrow(
    "the catalogue gives no",
  );
});

it("a label that is missing, or a value that the catalogue doesn't know, does not compile", () => {
  const dropped = create("capture").counter("packetwatch_capture_dropped_records_total");
  // @ts-expect-error no host
  dropped.inc({ reason: "shutdown" });
  // @ts-expect-error no such reason
  dropped.inc({ host: "h", reason: "bored" });
  expect(dropped).toBeDefined();
});

it("kernel counters are read with the registry, and go on where a restarted capture finds them", async () => {
  const unparsed = { ethernet: 1, vlan: 2, ipv4: 3, ipv6: 4, ipv6_extension: 5, tcp: 6 };
  const counters: KernelCounters = {
    synIpv4: 100,
    synIpv6: 20,
    reported: 90,
    ringFull: 10,
    dropped: 20,
    wouldDrop: 0,
    allowed: 5,
    spared: 1,
    flagsHidden: 0,
    thinned: 0,
    unparsed,
  };
  let seen = counters.synIpv4;
  const read = () => ({ ...counters, synIpv4: seen });
  const ledger = { published: 80, buffer_full: 3, shutdown: 0, bad_record: 0, crash: 7 };
  const readLedger = () => ledger;
  const metrics = createKernelMetrics({ host: "h", interfaceName: "eth0", read, readLedger });
  seen++;
  expect(await valuesOf(metrics, "packetwatch_syn_seen_total")).toEqual([
    [{ host: "h", interface: "eth0", family: "ipv4" }, 101],
    [{ host: "h", interface: "eth0", family: "ipv6" }, 20],
  ]);
  const reasons = await valuesOf(metrics, "packetwatch_unparsed_packets_total");
  expect(reasons.map(([, value]) => value)).toEqual(Object.values(unparsed));
  const { published, ...lost } = ledger;
  expect(await valuesOf(metrics, "packetwatch_syn_published_total")).toEqual([
    [{ host: "h", interface: "eth0" }, published],
  ]);
  const losses = await valuesOf(metrics, "packetwatch_syn_lost_total");
  expect(losses.map(([, value]) => value)).toEqual(Object.values(lost));
});

describe("instance ids", () => {
  it("are new for each process start", () => {
    expect(processInstance("web.1")).toMatch(new RegExp(`^web_1-${process.pid}-[0-9a-f]{12}$`));
    expect(processInstance("h")).not.toBe(processInstance("h"));
  });

  it("of a kernel program change with its map and with the boot", () => {
    const options = { host: "web.1", interfaceName: "eth0.5", countersMapId: 7 };
    const bootId = "0123abcd-0000-0000-0000-000000000000\n";
    expect(kernelInstance({ ...options, bootId })).toBe("web_1-eth0_5-0123abcd-7");
  });
});
