import { randomInt } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { connectBus } from "@packetwatch/bus";
import { decodeTelemetry, subjects, type Telemetry } from "@packetwatch/contracts";
import { afterEach, expect, it } from "vitest";
import { SeededRandom } from "../chaos/seeded-random.ts";
import { Cleanup } from "../support/cleanup.ts";
import { waitUntil } from "../support/eventually.ts";
import { CounterWatch, MetricsProcess } from "../support/metrics-process.ts";
import { freePort, startNats } from "../support/nats.ts";
import { RecordingLogger } from "../support/recording-logger.ts";
import { bundleService, ServiceProcess } from "../support/service-process.ts";

const HOSTS = ["a", "b", "c", "d", "e"] as const;
const ROUNDS = 25;
const SETTLE_TIMEOUT_MS = 30_000;
const RECORDS = "packetwatch_capture_records_total";
const BUFFERED = "packetwatch_capture_buffered_records";

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

/** What each instance has said at most, by a metric of one series: what a total is the sum of. */
class Sums {
  readonly #said = new Map<string, number>();

  take({ instance, metrics }: Telemetry): void {
    for (const { name, values } of metrics) {
      const key = `${name} ${instance}`;
      const sum = values.reduce((total, { value }) => total + value, 0);
      this.#said.set(key, Math.max(this.#said.get(key) ?? 0, sum));
    }
  }

  of(name: string): number {
    const own = [...this.#said].filter(([key]) => key.startsWith(`${name} `));
    return own.reduce((sum, [, value]) => sum + value, 0);
  }

  /** How many instances have said something of it. */
  instances(name: string): number {
    return [...this.#said.keys()].filter((key) => key.startsWith(`${name} `)).length;
  }
}

async function startSums(url: string): Promise<Sums> {
  const sums = new Sums();
  const logger = new RecordingLogger();
  const bus = cleanup.own(await connectBus({ servers: [url], name: "test", logger }));
  bus.connection.subscribe(subjects.everyTelemetry, {
    callback: (_error, { data }) => sums.take(decodeTelemetry(data)),
  });
  await bus.connection.flush();
  return sums;
}

/** The publishers of the fleet, each a process that lives, dies or is frozen. */
class Publishers {
  readonly #natsUrl: string;
  readonly #bundle = bundleService("test/support/children/counting-capture.ts");
  readonly #epochMs = Date.now();
  readonly #running = new Map<string, ServiceProcess>();

  constructor(natsUrl: string) {
    this.#natsUrl = natsUrl;
  }

  async start(host: string): Promise<void> {
    const rate = String(100 * (HOSTS.indexOf(host as "a") + 1));
    const args = [this.#natsUrl, host, rate, String(this.#epochMs)];
    const started = cleanup.own(new ServiceProcess({ bundle: this.#bundle, args }));
    this.#running.set(host, started);
    await started.logged("counting");
  }

  async end(host: string, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const running = this.#running.get(host);
    this.#running.delete(host);
    running?.signal(signal);
    await running?.exit();
  }

  async disturb(host: string, random: SeededRandom): Promise<void> {
    if (!this.#running.has(host)) return this.start(host);
    const how = random.pick(["kill", "kill", "kill and start", "stop", "freeze"] as const);
    if (how === "freeze") return this.#freeze(host, random.integer(10, 1500));
    await this.end(host, how === "stop" ? "SIGTERM" : "SIGKILL");
    if (how === "kill and start") await this.start(host);
  }

  async #freeze(host: string, forMs: number): Promise<void> {
    const running = this.#running.get(host);
    running?.signal("SIGSTOP");
    await delay(forMs);
    running?.signal("SIGCONT");
  }
}

async function gaugesOf(metrics: MetricsProcess): Promise<readonly string[]> {
  const families = await metrics.scrape();
  const samples = families.find(({ name }) => name === BUFFERED)?.samples ?? [];
  return samples.map(({ labels }) => labels["host"] ?? "").toSorted();
}

it(
  "no counter goes back and each SYN counts once while publishers are killed at random",
  { timeout: 240_000 },
  async () => {
    const seed = randomInt(2 ** 31);
    console.log(`seed ${seed}`);
    const random = new SeededRandom(seed);
    const nats = await startNats();
    cleanup.defer(() => nats.stop());
    const metrics = cleanup.own(new MetricsProcess(nats.url, await freePort()));
    await metrics.waitForStatus("/readyz", 200);
    const sums = await startSums(nats.url);
    const publishers = new Publishers(nats.url);
    for (const host of HOSTS) await publishers.start(host);
    const watch = new CounterWatch(metrics);

    for (let round = 0; round < ROUNDS; round++) {
      await publishers.disturb(random.pick(HOSTS), random);
      await delay(random.integer(0, 800));
    }

    // Two live, and so are their gauges; those of the others vanish.
    const [back, ...others] = random.shuffle(HOSTS) as [string, ...string[]];
    const alive = others.slice(0, 2).toSorted();
    for (const host of HOSTS) await publishers.end(host, "SIGKILL");
    for (const host of alive) await publishers.start(host);
    const hasGaugesOf = async (hosts: readonly string[]) =>
      JSON.stringify(await gaugesOf(metrics)) === JSON.stringify(hosts);
    const timeoutMs = SETTLE_TIMEOUT_MS;
    await waitUntil(() => hasGaugesOf(alive), {
      timeoutMs,
      what: `gauges of ${alive.join()} alone`,
    });

    // A program that was given up goes on where it was: its counts are not new.
    await publishers.start(back);
    const all = [...alive, back].toSorted();
    await waitUntil(() => hasGaugesOf(all), { timeoutMs, what: `the gauge of ${back} to be back` });

    for (const host of all) await publishers.end(host, "SIGTERM");
    await waitUntil(() => hasGaugesOf([]), { timeoutMs, what: "no gauge to be left" });
    const page = await metrics.scrape();
    const totalOf = (name: string) =>
      page
        .flatMap(({ samples }) => samples)
        .filter((sample) => sample.name === name)
        .reduce((sum, { value }) => sum + value, 0);
    expect(totalOf(RECORDS)).toBe(sums.of(RECORDS));
    expect(totalOf("conn_count_total")).toBe(sums.of("packetwatch_syn_seen_total"));
    expect(totalOf("conn_count_total")).toBeGreaterThan(0);
    // It was worth it: captures were started again and again, programs went on.
    expect(sums.instances(RECORDS)).toBeGreaterThan(2 * HOSTS.length);
    expect(sums.instances("packetwatch_syn_seen_total")).toBe(HOSTS.length);

    const { scrapes, backward } = await watch.stop();
    expect(backward).toEqual([]);
    expect(scrapes).toBeGreaterThan(ROUNDS);
  },
);
