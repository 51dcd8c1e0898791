import { type Bus, connectBus, provisionStreams, TelemetryPublisher } from "@packetwatch/bus";
import { type KernelCounters, readRingLedger } from "@packetwatch/contracts";
import { createKernelMetrics, createServiceMetrics, processInstance } from "@packetwatch/telemetry";
import { afterEach, describe, expect, it } from "vitest";
import { valueOf } from "../../services/metrics/src/testing/exposition-parser.ts";
import { waitUntil } from "../support/eventually.ts";
import { CounterWatch, METRICS_HOST, MetricsProcess } from "../support/metrics-process.ts";
import { freePort, type NatsServer, startNats } from "../support/nats.ts";
import { testStreams } from "../support/streams.ts";
import { checkMetrics, loadOpenMetrics } from "../support/promtool.ts";

const HOST = METRICS_HOST;
const DEPARTED_MS = 10_000;
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const running: { close(): Promise<void> | void }[] = [];

afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.close();
});

function launch(natsUrl: string, port: number): MetricsProcess {
  const metrics = new MetricsProcess(natsUrl, port);
  running.push(metrics);
  return metrics;
}

async function start(): Promise<{ nats: NatsServer; metrics: MetricsProcess }> {
  const nats = await startNats();
  running.push({ close: () => nats.stop() });
  const metrics = launch(nats.url, await freePort());
  await metrics.waitForStatus("/readyz", 200);
  return { nats, metrics };
}

async function connect(nats: NatsServer): Promise<Bus> {
  const bus = await connectBus({ servers: [nats.url], name: "test", logger: silent });
  running.push(bus);
  return bus;
}

function counters(seen: number): KernelCounters {
  const unparsed = { ethernet: 0, vlan: 0, ipv4: 0, ipv6: 0, ipv6_extension: 0, tcp: 0 };
  const none = { synIpv6: 0, ringFull: 0, dropped: 0, wouldDrop: 0, allowed: 0, spared: 0 };
  return { ...none, synIpv4: seen, reported: seen, flagsHidden: 0, thinned: 0, unparsed };
}

/** A capture process: its own counters, and those of a kernel program that outlives it. */
function startCapture(bus: Bus, kernel: { seen: number; instance: string }) {
  const own = createServiceMetrics({ service: "capture", host: HOST });
  const program = createKernelMetrics({
    host: HOST,
    interfaceName: "eth0",
    read: () => counters(kernel.seen),
    readLedger: () => readRingLedger(new BigUint64Array()),
  });
  const common = { bus, host: HOST, logger: silent };
  const publishers = [
    new TelemetryPublisher({
      ...common,
      service: "capture",
      instance: processInstance(HOST),
      registry: own.registry,
    }),
    new TelemetryPublisher({
      ...common,
      service: "kernel",
      instance: kernel.instance,
      registry: program.registry,
    }),
  ];
  return {
    records: own.counter("packetwatch_capture_records_total"),
    buffered: own.gauge("packetwatch_capture_buffered_bytes"),
    /** As after a SIGKILL: nothing more is said. */
    kill: async () => {
      await bus.connection.close();
      for (const publisher of publishers) await publisher.close();
      own.close();
    },
  };
}

describe("without NATS", () => {
  it("lives, serves its own series alone, isn't ready and stops at SIGTERM", async () => {
    const metrics = launch("nats://127.0.0.1:1", await freePort());
    await metrics.waitForStatus("/healthz", 200);
    expect(await metrics.status("/readyz")).toBe(503);
    expect(await metrics.text("/readyz")).toContain("not connected to NATS yet");
    expect(await metrics.value("packetwatch_metrics_messages_total")).toBe(0);
    expect(await metrics.value("conn_count_total")).toBeUndefined();
    expect(await metrics.stop()).toBe(0);
  });

  it("a taken port is one message with the way out, and exit code 1", async () => {
    const port = await freePort();
    const first = launch("nats://127.0.0.1:1", port);
    await first.waitForStatus("/healthz", 200);
    const second = launch("nats://127.0.0.1:1", port);
    expect(await second.ended()).toBe(1);
    expect(second.log).toMatch(/EADDRINUSE.*PW_PROMETHEUS_PORT/);
  });
});

describe("with NATS", () => {
  it("serves its own metrics, and both formats pass a strict parser", async () => {
    const { nats, metrics } = await start();
    startCapture(await connect(nats), { seen: 7, instance: "k-1" });
    await metrics.waitForValue("conn_count_total", 7);
    const text = await metrics.scrape("prometheus");
    const open = await metrics.scrape("openmetrics");
    expect(valueOf(open, "conn_count_total")).toBe(7);
    expect(open.map(({ name }) => name)).toEqual(
      text.map(({ name }) => name.replace(/_total$/, "")),
    );
    const labels = { service: "metrics", host: HOST };
    expect(valueOf(text, "packetwatch_metrics_live_instances", labels)).toBe(1);
    expect(valueOf(text, "process_resident_memory_bytes", labels)).toBeGreaterThan(1e7);
    expect(await metrics.stop()).toBe(0);
  });

  it("serves pages that promtool accepts, by the parsers that Prometheus has", async () => {
    const { nats, metrics } = await start();
    startCapture(await connect(nats), { seen: 7, instance: "k-1" });
    await metrics.waitForValue("conn_count_total", 7);
    expect(checkMetrics(await metrics.page("prometheus"))).toEqual({ status: 0, said: "" });
    const open = await metrics.page("openmetrics");
    expect(loadOpenMetrics(open)).toMatchObject({ status: 0 });
    // Both do refuse what is wrong.
    expect(checkMetrics("# HELP x_total X\nx_total{ 1\n").status).toBe(1);
    expect(loadOpenMetrics(open.replace("# EOF\n", "")).status).toBe(1);
  });

  it("no counter goes back and each SYN counts once while captures are killed and started", async () => {
    const { nats, metrics } = await start();
    const watch = new CounterWatch(metrics);
    const kernel = { seen: 0, instance: "k-1" };
    let records = 0;
    for (let round = 1; round <= 6; round++) {
      const bus = await connectBus({ servers: [nats.url], name: "capture", logger: silent });
      const capture = startCapture(bus, kernel);
      kernel.seen += 1000 * round;
      capture.records.inc({ host: HOST }, round);
      records += round;
      await metrics.waitForValue("packetwatch_capture_records_total", records, { host: HOST });
      await metrics.waitForValue("conn_count_total", kernel.seen);
      await capture.kill();
    }
    // The program is loaded anew: its counters start at zero, under an instance id of their own.
    startCapture(await connect(nats), { seen: 5, instance: "k-2" });
    await metrics.waitForValue("conn_count_total", kernel.seen + 5);
    const { scrapes, backward } = await watch.stop();
    expect(backward).toEqual([]);
    expect(scrapes).toBeGreaterThan(20);
  });

  it("a departed instance takes its gauges with it and leaves its counts", async () => {
    const { nats, metrics } = await start();
    const capture = startCapture(
      await connectBus({ servers: [nats.url], name: "c", logger: silent }),
      {
        seen: 3,
        instance: "k-1",
      },
    );
    capture.records.inc({ host: HOST }, 5);
    capture.buffered.set({ host: HOST }, 42);
    const labels = { host: HOST };
    await metrics.waitForValue("packetwatch_capture_buffered_bytes", 42, labels);
    await metrics.waitForValue("packetwatch_capture_records_total", 5, labels);
    await capture.kill();
    const killedMs = performance.now();
    await waitUntil(
      async () => (await metrics.value("packetwatch_capture_buffered_bytes", labels)) === undefined,
      { timeoutMs: 2 * DEPARTED_MS, what: "the gauge to vanish" },
    );
    expect(performance.now() - killedMs).toBeGreaterThan(DEPARTED_MS - 2000);
    const text = await metrics.scrape();
    expect(valueOf(text, "packetwatch_capture_records_total", labels)).toBe(5);
    expect(valueOf(text, "conn_count_total")).toBe(3);
    const origin = { service: "capture", host: HOST };
    expect(valueOf(text, "packetwatch_metrics_live_instances", origin)).toBe(0);
  });

  it("a restart shows no sum before everybody was heard, so none is smaller than before", async () => {
    const { nats, metrics } = await start();
    startCapture(await connect(nats), { seen: 9, instance: "k-1" });
    startCapture(await connect(nats), { seen: 4, instance: "k-2" });
    await metrics.waitForValue("conn_count_total", 13);
    expect(await metrics.stop()).toBe(0);
    const again = launch(nats.url, metrics.port);
    const seen = new Set<number | undefined>();
    const isBack = async () => {
      seen.add(await again.value("conn_count_total"));
      return seen.has(13);
    };
    await waitUntil(isBack, { timeoutMs: 15_000, what: "the sum to be back" });
    seen.delete(undefined);
    expect([...seen]).toEqual([13]);
    expect(await again.status("/readyz")).toBe(200);
  });

  it("a restart goes on with the counts of those that have ended, of the last day", async () => {
    const { nats, metrics } = await start();
    const keeper = await connect(nats);
    await provisionStreams(keeper, testStreams());
    const capture = startCapture(
      await connectBus({ servers: [nats.url], name: "c", logger: silent }),
      { seen: 9, instance: "k-1" },
    );
    capture.records.inc({ host: HOST }, 5);
    const labels = { host: HOST };
    await metrics.waitForValue("packetwatch_capture_records_total", 5, labels);
    await capture.kill();
    startCapture(keeper, { seen: 4, instance: "k-2" });
    await metrics.waitForValue("conn_count_total", 13);
    await metrics.close();
    const again = launch(nats.url, metrics.port);
    await again.waitForStatus("/readyz", 200);
    expect(await again.value("conn_count_total")).toBe(13);
    expect(await again.value("packetwatch_capture_records_total", labels)).toBe(5);
  });

  it("is not ready while NATS is away, keeps its totals, and recovers", async () => {
    const { nats, metrics } = await start();
    const kernel = { seen: 9, instance: "k-1" };
    startCapture(await connect(nats), kernel);
    await metrics.waitForValue("conn_count_total", 9);
    await nats.kill();
    await metrics.waitForStatus("/readyz", 503);
    expect(await metrics.text("/readyz")).toContain("lost");
    expect(await metrics.value("conn_count_total")).toBe(9);
    kernel.seen = 12;
    await nats.start();
    await metrics.waitForStatus("/readyz", 200);
    await metrics.waitForValue("conn_count_total", 12);
    expect(await metrics.value("packetwatch_nats_reconnects_total", { service: "metrics" })).toBe(
      1,
    );
  });

  it("is not ready while NATS is frozen, and says why", async () => {
    const { nats, metrics } = await start();
    await nats.pause();
    await metrics.waitForStatus("/readyz", 503);
    // Silence of 5 s and two pings without an answer are noticed at about the same time.
    expect(await metrics.text("/readyz")).toMatch(/no telemetry heard|connection to NATS is lost/);
    await nats.resume();
    await metrics.waitForStatus("/readyz", 200);
  });

  it("counts malformed telemetry by reason and goes on", async () => {
    const { nats, metrics } = await start();
    const bus = await connect(nats);
    const publish = (name: string, payload: string) =>
      bus.connection.publish(`packetwatch.v1.telemetry.capture.${name}`, payload);
    publish("x", "{");
    publish("x", "{}");
    publish("x", "x".repeat(900_000));
    publish(
      "y",
      JSON.stringify({
        version: 1,
        service: "capture",
        instance: "x",
        host: "h",
        sentUs: 0,
        metrics: [],
      }),
    );
    const name = "packetwatch_metrics_rejected_messages_total";
    await metrics.waitForValue(name, 1, { reason: "wrong_subject" });
    expect(await metrics.value(name, { reason: "bad_json" })).toBe(2);
    expect(await metrics.value(name, { reason: "bad_schema" })).toBe(1);
    expect(metrics.log.match(/telemetry was turned away/g)).toHaveLength(1);
    expect(await metrics.status("/readyz")).toBe(200);
  });
});
