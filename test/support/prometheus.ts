import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitUntil, within } from "./eventually.ts";
import { freePort } from "./nats.ts";

const DEPLOYED = "deploy/prometheus";
const TARGET = "metrics:9090";
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 20_000;
const REQUEST_TIMEOUT_MS = 10_000;

export type QueryResult = {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [timeS: number, value: string];
};

export type AlertingRule = {
  readonly name: string;
  readonly query: string;
  readonly health: string;
  readonly state: "inactive" | "pending" | "firing";
};

/** Debian's prometheus with the deployed configuration and rules, at a faster pace, on a target of the test's. */
export class Prometheus {
  readonly #child: ChildProcess;
  readonly #url: string;
  readonly #folder: string;
  #log = "";

  private constructor(child: ChildProcess, url: string, folder: string) {
    this.#child = child;
    this.#url = url;
    this.#folder = folder;
    const keep = (chunk: Buffer) => (this.#log += chunk.toString());
    child.stdout?.on("data", keep);
    child.stderr?.on("data", keep);
    child.on("error", (error) => keep(Buffer.from(`${error.message}; run 'make setup-test'`)));
  }

  static async start(target: string): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), "packetwatch-prometheus-"));
    cpSync(join(DEPLOYED, "rules.yml"), join(folder, "rules.yml"));
    writeFileSync(join(folder, "prometheus.yml"), configFor(target));
    const port = await freePort();
    const args = [
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=warn",
    ];
    const child = spawn("prometheus", args, { stdio: ["ignore", "pipe", "pipe"] });
    const prometheus = new Prometheus(child, `http://127.0.0.1:${port}`, folder);
    await prometheus.#ready();
    return prometheus;
  }

  /** An instant query; throws where the expression can't be parsed or evaluated. */
  async query(expression: string): Promise<readonly QueryResult[]> {
    const query = new URLSearchParams({ query: expression });
    const { result } = await this.#get<{ result: QueryResult[] }>(
      `/api/v1/query?${query.toString()}`,
    );
    return result;
  }

  async alertingRules(): Promise<readonly AlertingRule[]> {
    type Groups = { groups: { rules: AlertingRule[] }[] };
    const { groups } = await this.#get<Groups>("/api/v1/rules?type=alert");
    return groups.flatMap(({ rules }) => rules);
  }

  /** Why the last scrapes failed; empty strings where they didn't. */
  async scrapeErrors(): Promise<readonly string[]> {
    type Targets = { activeTargets: { lastError: string }[] };
    const { activeTargets } = await this.#get<Targets>("/api/v1/targets?state=active");
    return activeTargets.map(({ lastError }) => lastError);
  }

  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.pid !== undefined) {
      const exited = once(this.#child, "exit");
      this.#child.kill("SIGTERM");
      await within(exited, { timeoutMs: STOP_TIMEOUT_MS, what: "prometheus to end" });
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #ready(): Promise<void> {
    const isReady = async () => (await fetch(`${this.#url}/-/ready`)).ok;
    try {
      await waitUntil(isReady, { timeoutMs: START_TIMEOUT_MS, what: "prometheus to be ready" });
    } catch (cause) {
      await this.close();
      throw new Error(`${(cause as Error).message}\n${this.#log}`, { cause });
    }
  }

  async #get<T>(path: string): Promise<T> {
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    const response = await fetch(this.#url + path, { signal });
    const answer = (await response.json()) as { status: string; error?: string; data: T };
    if (answer.status !== "success")
      throw new Error(`${decodeURIComponent(path)}: ${answer.error}`);
    return answer.data;
  }
}

function configFor(target: string): string {
  const deployed = readFileSync(join(DEPLOYED, "prometheus.yml"), "utf8");
  if (!deployed.includes(`"${TARGET}"`)) throw new Error(`${DEPLOYED} has no target ${TARGET}`);
  return deployed
    .replace(`"${TARGET}"`, `"${target}"`)
    .replaceAll(/^( *(?:scrape|evaluation)_(?:interval|timeout)): \w+$/gm, "$1: 1s");
}
