import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bus, connectBus, TelemetryPublisher } from "@packetwatch/bus";
import { type KernelCounters, readRingLedger } from "@packetwatch/contracts";
import { createKernelMetrics, createServiceMetrics, processInstance } from "@packetwatch/telemetry";
import { build } from "esbuild";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ExpositionFormat } from "../../services/metrics/src/exposition.ts";
import {
  type ParsedFamily,
  parseExposition,
  valueOf,
} from "../../services/metrics/src/testing/exposition-parser.ts";
import { waitUntil } from "../support/eventually.ts";
import { freePort, type NatsServer, startNats } from "../support/nats.ts";
import { checkMetrics, loadOpenMetrics } from "../support/promtool.ts";

const HOST = "test-host";
const DEPARTED_MS = 10_000;
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let folder: string;
let program: string;
const running: { close(): Promise<void> | void }[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "packetwatch-metrics-"));
  program = join(folder, "metrics.mjs");
  await build({
    entryPoints: ["services/metrics/src/main.ts"],
    outfile: program,
    bundle: true,
    platform: "node",
    format: "esm",
    banner: {
      js: 'import { createRequire as __r } from "node:module"; const require = __r(import.meta.url);',
    },
  });
});

afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.close();
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The real service, as its own process. */
class MetricsProcess {
  readonly #child: ChildProcess;
  readonly #url: string;
  #log = "";

  constructor(natsUrl: string, port: number) {
    this.#url = `http://127.0.0.1:${port}`;
    this.#child = spawn(process.execPath, [program], {
      env: {
        PATH: process.env["PATH"],
        PW_NATS_URL: natsUrl,
        PW_PROMETHEUS_PORT: String(port),
        PW_PROMETHEUS_ADDRESS: "127.0.0.1",
        PW_HOST: HOST,
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#child.stdout?.on("data", (chunk: Buffer) => (this.#log += chunk.toString()));
    running.push(this);
  }

  get log(): string {
    return this.#log;
  }

  async status(path: string): Promise<number> {
    return (await fetch(this.#url + path)).status;
  }

  async text(path: string): Promise<string> {
    return (await fetch(this.#url + path)).text();
  }

  async page(format: ExpositionFormat = "prometheus"): Promise<string> {
    const accept = format === "openmetrics" ? "application/openmetrics-text" : "text/plain";
    const response = await fetch(`${this.#url}/metrics`, { headers: { accept } });
    if (response.status !== 200) throw new Error(`/metrics is ${response.status}`);
    return response.text();
  }

  async scrape(format: ExpositionFormat = "prometheus"): Promise<ParsedFamily[]> {
    return parseExposition(await this.page(format), format);
  }

  async value(name: string, labels: Record<string, string> = {}): Promise<number | undefined> {
    return valueOf(await this.scrape(), name, labels);
  }

  waitForStatus(path: string, status: number): Promise<boolean> {
    const what = `${path} to be ${status}`;
    return waitUntil(async () => (await this.status(path)) === status, { timeoutMs: 15_000, what });
  }

  waitForValue(name: string, value: number, labels: Record<string, string> = {}): Promise<boolean> {
    return waitUntil(async () => (await this.value(name, labels)) === value, {
      timeoutMs: 10_000,
      what: `${name} to be ${value}`,
    });
  }

  /** The exit code. */
  async ended(): Promise<number | null> {
    if (this.#child.exitCode === null) await once(this.#child, "exit");
    return this.#child.exitCode;
  }

  stop(): Promise<number | null> {
    this.#child.kill("SIGTERM");
    return this.ended();
  }

  async close(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended();
  }
}

/** Scrapes again and again, and notes every counter that goes back or vanishes. */
class CounterWatch {
  readonly #watching: Promise<void>;
  readonly #last = new Map<string, number>();
  readonly #backward: string[] = [];
  #scrapes = 0;
  #isStopped = false;

  constructor(metrics: MetricsProcess) {
    this.#watching = this.#watch(metrics);
  }

  async stop(): Promise<{ scrapes: number; backward: readonly string[] }> {
    this.#isStopped = true;
    await this.#watching;
    return { scrapes: this.#scrapes, backward: this.#backward };
  }

  async #watch(metrics: MetricsProcess): Promise<void> {
    while (!this.#isStopped) {
      this.#compare(await metrics.scrape());
      this.#scrapes++;
    }
  }

  #compare(families: readonly ParsedFamily[]): void {
    const counting = families.filter(({ type }) => type !== "gauge");
    const samples = counting.flatMap((family) => family.samples);
    const now = new Map(
      samples.map(({ name, labels, value }) => [name + JSON.stringify(labels), value]),
    );
    for (const [key, value] of this.#last) {
      const next = now.get(key);
      if (next === undefined || next < value) this.#backward.push(`${key}: ${value} -> ${next}`);
    }
    for (const [key, value] of now) this.#last.set(key, value);
  }
}

async function start(): Promise<{ nats: NatsServer; metrics: MetricsProcess }> {
  const nats = await startNats();
  running.push({ close: () => nats.stop() });
  const metrics = new MetricsProcess(nats.url, await freePort());
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
  return { ...none, synIpv4: seen, reported: seen, flagsHidden: 0, unparsed };
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
  it("lives, serves zero, isn't ready and stops at SIGTERM", async () => {
    const metrics = new MetricsProcess("nats://127.0.0.1:1", await freePort());
    await metrics.waitForStatus("/healthz", 200);
    expect(await metrics.status("/readyz")).toBe(503);
    expect(await metrics.text("/readyz")).toContain("not connected to NATS yet");
    expect(await metrics.value("conn_count_total")).toBe(0);
    expect(await metrics.stop()).toBe(0);
  });

  it("a taken port is one message with the way out, and exit code 1", async () => {
    const port = await freePort();
    const first = new MetricsProcess("nats://127.0.0.1:1", port);
    await first.waitForStatus("/healthz", 200);
    const second = new MetricsProcess("nats://127.0.0.1:1", port);
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

  it("is not ready when NATS answers nothing, though the connection stands", async () => {
    const { nats, metrics } = await start();
    nats.pause();
    await metrics.waitForStatus("/readyz", 503);
    expect(await metrics.text("/readyz")).toContain("no telemetry heard");
    nats.resume();
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
