import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { ExpositionFormat } from "../../services/metrics/src/exposition.ts";
import {
  type ParsedFamily,
  parseExposition,
  valueOf,
} from "../../services/metrics/src/testing/exposition-parser.ts";
import { waitUntil } from "./eventually.ts";
import { bundleService } from "./service-process.ts";

export const METRICS_HOST = "test-host";

let bundled: string | undefined;

function bundle(): string {
  bundled ??= bundleService("services/metrics/src/main.ts", "metrics");
  return bundled;
}

/** The real service, as its own process. */
export class MetricsProcess {
  readonly #child: ChildProcess;
  readonly #url: string;
  #log = "";

  readonly port: number;

  constructor(natsUrl: string, port: number) {
    this.port = port;
    this.#url = `http://127.0.0.1:${port}`;
    this.#child = spawn(process.execPath, [bundle()], {
      env: {
        PATH: process.env["PATH"],
        PW_NATS_URL: natsUrl,
        PW_PROMETHEUS_PORT: String(port),
        PW_PROMETHEUS_ADDRESS: "127.0.0.1",
        PW_HOST: METRICS_HOST,
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#child.stdout?.on("data", (chunk: Buffer) => (this.#log += chunk.toString()));
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
    const { exitCode, signalCode } = this.#child;
    if (exitCode === null && signalCode === null) await once(this.#child, "exit");
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
export class CounterWatch {
  readonly #watching: Promise<void>;
  readonly #last = new Map<string, number>();
  readonly #backward: string[] = [];
  #scrapes = 0;
  #isStopped = false;

  constructor(metrics: MetricsProcess) {
    this.#watching = this.#watch(metrics);
    // Where a test fails before it asks, its own error is the one to show.
    this.#watching.catch(() => undefined);
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
