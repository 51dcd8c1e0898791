import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitUntil, within } from "./eventually.ts";
import { freePort } from "./nats.ts";
import { PrometheusApi } from "./prometheus-api.ts";

const DEPLOYED = "deploy/prometheus";
const TARGET = "metrics:9090";
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 20_000;

/** Debian's prometheus with the deployed configuration and rules, at a faster pace, on a target of the test's. */
export class Prometheus extends PrometheusApi {
  readonly #child: ChildProcess;
  readonly #folder: string;
  #log = "";

  private constructor(child: ChildProcess, url: string, folder: string) {
    super(url);
    this.#child = child;
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

  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.pid !== undefined) {
      const exited = once(this.#child, "exit");
      this.#child.kill("SIGTERM");
      await within(exited, { timeoutMs: STOP_TIMEOUT_MS, what: "prometheus to end" });
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #ready(): Promise<void> {
    try {
      await waitUntil(() => this.isReady(), {
        timeoutMs: START_TIMEOUT_MS,
        what: "prometheus to be ready",
      });
    } catch (cause) {
      await this.close();
      throw new Error(`${(cause as Error).message}\n${this.#log}`, { cause });
    }
  }
}

function configFor(target: string): string {
  const deployed = readFileSync(join(DEPLOYED, "prometheus.yml"), "utf8");
  if (!deployed.includes(`"${TARGET}"`)) throw new Error(`${DEPLOYED} has no target ${TARGET}`);
  return deployed
    .replace(`"${TARGET}"`, `"${target}"`)
    .replaceAll(/^( *(?:scrape|evaluation)_(?:interval|timeout)): \w+$/gm, "$1: 1s");
}
