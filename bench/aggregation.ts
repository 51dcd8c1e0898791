/**
 * What `metrics` costs: the service as it is deployed, in a process of its own, hears a fleet of instances that publish their
 * registries once a second over a real NATS, and is scraped meanwhile. Its CPU time and memory are those that it tells itself.
 */
import { fileURLToPath } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import { type Bus, connectBus, TelemetryPublisher } from "@packetwatch/bus";
import { type KernelCounters, readRingLedger } from "@packetwatch/contracts";
import {
  createKernelMetrics,
  createServiceMetrics,
  type MetricService,
  type ServiceMetrics,
} from "@packetwatch/telemetry";
import type { Cleanup } from "../test/support/cleanup.ts";
import { waitUntil } from "../test/support/eventually.ts";
import { type MetricsPage, metricTotal, readMetrics } from "../test/support/metrics-page.ts";
import { freePort, startNats } from "../test/support/nats.ts";
import { RecordingLogger } from "../test/support/recording-logger.ts";
import { ServiceProcess } from "../test/support/service-process.ts";
import { check, figure } from "./harness/bench-report.ts";
import { type BenchContext, runBench } from "./harness/run-bench.ts";

const sizes = {
  full: { instances: 200, rounds: 6, roundSeconds: 10, warmUpSeconds: 10 },
  smoke: { instances: 20, rounds: 2, roundSeconds: 2, warmUpSeconds: 2 },
} as const;
const MAX_CORES = 0.1;
const MAX_HEAP_MB = 128;
const MAX_RESIDENT_MB = 256;
const READY_TIMEOUT_MS = 30_000;
const SCRAPE_INTERVAL_MS = 5000;
/** Each host has a sensor of three instances; what is left are detectors, which are the largest. */
const PER_HOST = ["capture", "kernel", "enforcer"] as const;
const DETECTORS = 8;

const METRICS = fileURLToPath(new URL("../metrics.js", import.meta.url));
const logger = new RecordingLogger();

/** Attempts that each host's program has seen: more at each reading, as under attack. */
let seen = 0;

function kernelCounters(): KernelCounters {
  seen += 1000;
  const unparsed = { ethernet: 1, vlan: 0, ipv4: 2, ipv6: 0, ipv6_extension: 0, tcp: 3 };
  const rest = {
    ringFull: 5,
    dropped: 7,
    wouldDrop: 0,
    allowed: 11,
    spared: 0,
    flagsHidden: 0,
    thinned: 0,
  };
  return { ...rest, synIpv4: seen, synIpv6: seen, reported: seen, unparsed };
}

function createKernel(host: string): ServiceMetrics<"kernel"> {
  const ledger = readRingLedger(new BigUint64Array());
  const readLedger = () => ledger;
  return createKernelMetrics({ host, interfaceName: "eth0", read: kernelCounters, readLedger });
}

function createDetector(host: string, index: number): ServiceMetrics<"detector"> {
  const metrics = createServiceMetrics({ service: "detector", host });
  const lag = metrics.gauge("packetwatch_detector_shard_lag_messages");
  const latency = metrics.histogram("packetwatch_detector_verdict_latency_seconds");
  metrics.beforeRead(() => {
    latency.observe(Math.random());
    for (let shard = index; shard < 64; shard += DETECTORS) {
      lag.set({ shard: String(shard) }, Math.random());
    }
  });
  return metrics;
}

function createEnforcer(host: string): ServiceMetrics<"enforcer"> {
  const metrics = createServiceMetrics({ service: "enforcer", host });
  const reaction = metrics.histogram("packetwatch_enforcer_reaction_seconds");
  metrics.beforeRead(() => {
    reaction.observe(Math.random());
    metrics.gauge("packetwatch_enforcer_blocks").set({ host }, Math.random());
  });
  return metrics;
}

function createCapture(host: string): ServiceMetrics<"capture"> {
  const metrics = createServiceMetrics({ service: "capture", host });
  const records = metrics.counter("packetwatch_capture_records_total");
  metrics.beforeRead(() => {
    records.inc({ host }, 1000);
    metrics.gauge("packetwatch_capture_buffered_bytes").set({ host }, Math.random());
    const labels = { host, interface: "eth0" };
    metrics.gauge("packetwatch_capture_ring_used_bytes").set(labels, Math.random());
    metrics.gauge("packetwatch_capture_xdp_mode").set({ ...labels, mode: "native" }, 1);
  });
  return metrics;
}

const create = { capture: createCapture, kernel: createKernel, enforcer: createEnforcer } as const;

function startInstance(bus: Bus, index: number, cleanup: Cleanup): void {
  const isDetector = index < DETECTORS;
  const host = `host-${isDetector ? index : Math.floor((index - DETECTORS) / PER_HOST.length)}`;
  const service: MetricService = isDetector
    ? "detector"
    : (PER_HOST[(index - DETECTORS) % PER_HOST.length] ?? "capture");
  const metrics = service === "detector" ? createDetector(host, index) : create[service](host);
  cleanup.own(metrics);
  const { registry } = metrics;
  const instance = `${service}-${index}`;
  cleanup.own(new TelemetryPublisher({ bus, host, logger, service, instance, registry }));
}

/** A fleet whose instances publish at different moments of the second, as processes do. */
async function startFleet(natsUrl: string, instances: number, cleanup: Cleanup): Promise<void> {
  const bus = cleanup.own(await connectBus({ servers: [natsUrl], name: "bench", logger }));
  for (let index = 0; index < instances; index++) {
    startInstance(bus, index, cleanup);
    await delay(1000 / instances);
  }
}

type Sample = {
  readonly cores: number;
  readonly heapMb: number;
  readonly residentMb: number;
  readonly samples: number;
  readonly messagesPerSecond: number;
};

const ofMetrics = 'service="metrics"';

function valueOf(page: MetricsPage, name: string): number {
  const series = [...page].filter(([key]) => key.startsWith(name));
  const own = series.find(([key]) => key.includes(ofMetrics)) ?? series[0];
  return own?.[1] ?? Number.NaN;
}

/** One round: the means of its whole time, and memory at its end. */
async function measureRound(url: string, roundSeconds: number): Promise<Sample> {
  const before = await readMetrics(url);
  const startMs = performance.now();
  while (performance.now() - startMs < roundSeconds * 1000) {
    await delay(Math.min(SCRAPE_INTERVAL_MS, roundSeconds * 1000));
    await readMetrics(url);
  }
  const after = await readMetrics(url);
  const seconds = (performance.now() - startMs) / 1000;
  const growth = (name: string) => valueOf(after, name) - valueOf(before, name);
  return {
    cores: growth("process_cpu_seconds_total") / seconds,
    heapMb: valueOf(after, "nodejs_heap_size_used_bytes") / 1e6,
    residentMb: valueOf(after, "process_resident_memory_bytes") / 1e6,
    samples: valueOf(after, "packetwatch_metrics_samples"),
    messagesPerSecond: growth("packetwatch_metrics_messages_total") / seconds,
  };
}

async function startMetrics(natsUrl: string, cleanup: Cleanup): Promise<string> {
  const port = String(await freePort());
  const environment = { PW_NATS_URL: natsUrl, PW_PROMETHEUS_PORT: port, PW_HOST: "bench" };
  cleanup.own(new ServiceProcess({ bundle: METRICS, environment }));
  const url = `http://127.0.0.1:${port}`;
  const isReady = async () => (await fetch(`${url}/readyz`)).ok;
  await waitUntil(isReady, { timeoutMs: READY_TIMEOUT_MS, what: "metrics to be ready" });
  return `${url}/metrics`;
}

async function run({ size, cleanup, progress }: BenchContext) {
  const { instances, rounds, roundSeconds, warmUpSeconds } = sizes[size];
  const nats = await startNats();
  cleanup.defer(() => nats.stop());
  const url = await startMetrics(nats.url, cleanup);
  progress(`${instances} instances`);
  await startFleet(nats.url, instances, cleanup);
  const isHeard = async () =>
    metricTotal(await readMetrics(url), "packetwatch_metrics_live_instances") === instances + 1;
  await waitUntil(isHeard, { timeoutMs: READY_TIMEOUT_MS, what: "every instance to be heard" });
  await delay(warmUpSeconds * 1000);
  const results: Sample[] = [];
  for (let round = 0; round < rounds; round++) {
    results.push(await measureRound(url, roundSeconds));
    progress(`round ${round + 1} of ${rounds}: ${results.at(-1)?.cores.toFixed(3)} cores`);
  }
  return {
    figures: figuresOf(instances, results),
    checks: await checksOf(url, instances, results),
  };
}

function figuresOf(instances: number, results: readonly Sample[]) {
  const of = (pick: (sample: Sample) => number) => results.map(pick);
  const at = `${instances} instances`;
  return [
    figure(
      `${at}, CPU`,
      of(({ cores }) => cores),
      { unit: "cores", goal: { atMost: MAX_CORES } },
    ),
    figure(
      `${at}, JavaScript heap`,
      of(({ heapMb }) => heapMb),
      { unit: "MB", goal: { atMost: MAX_HEAP_MB } },
    ),
    figure(
      `${at}, resident memory`,
      of(({ residentMb }) => residentMb),
      { unit: "MB", goal: { atMost: MAX_RESIDENT_MB } },
    ),
    figure(
      `${at}, messages`,
      of(({ messagesPerSecond }) => messagesPerSecond),
      { unit: "/s" },
    ),
  ];
}

async function checksOf(url: string, instances: number, results: readonly Sample[]) {
  const page = await readMetrics(url);
  const live = metricTotal(page, "packetwatch_metrics_live_instances");
  const rejected = ["messages", "series"].map((what) =>
    metricTotal(page, `packetwatch_metrics_rejected_${what}_total`),
  );
  return [
    check(`${instances} instances and metrics itself live`, live, instances + 1),
    check("nothing was turned away", rejected, [0, 0]),
    check("attempts were counted", (metricTotal(page, "conn_count_total") ?? 0) > 0),
    check("what is kept doesn't grow", new Set(results.map(({ samples }) => samples)).size, 1),
  ];
}

await runBench({
  name: "aggregation",
  title: "Aggregation of telemetry",
  method: [
    "The service metrics in a process of its own, and real registries published once a second over NATS by the real publishers: eight detectors, and hosts with capture, enforcer and a program each. A scrape every five seconds is part of the cost.",
    "CPU time and memory as the process tells them on /metrics. The heap is as found, garbage included.",
  ],
  run,
});
