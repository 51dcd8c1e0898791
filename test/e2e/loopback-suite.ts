import { setTimeout as delay } from "node:timers/promises";
import { connectBus } from "@packetwatch/bus";
import type { Cleanup } from "../support/cleanup.ts";
import { waitUntil } from "../support/eventually.ts";
import { metricTotal, readMetrics } from "../support/metrics-page.ts";
import { startNginx } from "../support/nginx.ts";
import { RecordingLogger } from "../support/recording-logger.ts";
import { runSuite } from "../support/run-suite.ts";
import { StepReport } from "../support/step-report.ts";
import { VerdictTap } from "../support/taps.ts";
import { visit } from "../support/visit.ts";
import { joinStack, type LoopbackHost, startLoopbackHost } from "./loopback-host.ts";

export type LoopbackSuite = {
  readonly name: string;
  readonly whitelistSelf: "True" | "False";
  /** What becomes of the first connection after a fast scan. */
  readonly afterScan: "pong" | "timed out";
  /** The sources that are judged scanners in the end. */
  readonly scanners: "127.0.0.1" | "nobody";
};

const PORTS = [8086, 8087, 8088] as const;
const ONE_PORT = PORTS[0];
const WINDOW_SECONDS = 1;
/** Longer than the window: what came before no longer counts. */
const PAUSE_MS = 1500;
const HAMMER_CONNECTIONS = 50;
/** Kernel counters are published once a second, and the detector's too. */
const TELEMETRY_TIMEOUT_MS = 5000;
const BLOCK_TIMEOUT_MS = 5000;

/** What the ported tool's two suites did: nginx and Packetwatch on one loopback, whose own address scans. */
export function runLoopbackSuite(suite: LoopbackSuite): Promise<void> {
  return runSuite(suite.name, async (cleanup) => {
    console.log(`${suite.name}: PW_IFDEV=lo PW_WHITELIST_SELF=${suite.whitelistSelf}`);
    const site = await startSite(suite, cleanup);
    const report = new StepReport();
    await runSteps(suite, site, report);
    report.conclude(suite.name);
    if (report.hasFailed) console.log(site.host.tails);
    return report.hasFailed ? "failed" : "passed";
  });
}

async function startSite(suite: LoopbackSuite, cleanup: Cleanup): Promise<Site> {
  const host = process.env["STACK_METRICS_URL"]
    ? await joinStack(cleanup)
    : await startLoopbackHost(cleanup, {
        PW_WHITELIST_SELF: suite.whitelistSelf,
        PW_PORTSCAN_TIME_THRESHOLD: String(WINDOW_SECONDS),
      });
  cleanup.own(await startNginx({ namespace: host.place, ports: PORTS, answer: "pong" }));
  const { natsUrl, access } = host;
  const options = { servers: [natsUrl], access, name: "test", logger: new RecordingLogger() };
  const verdicts = cleanup.own(new VerdictTap(cleanup.own(await connectBus(options))));
  return new Site(host, verdicts);
}

async function runSteps(suite: LoopbackSuite, site: Site, report: StepReport): Promise<void> {
  const each = PORTS.join(", ");
  await report.step(
    { does: `connect to ports ${each}, ${PAUSE_MS / 1000} s apart`, expects: "pong, pong, pong" },
    () => site.visitSlowly(),
  );
  await report.step(
    {
      does: `scan ports ${each} slowly, ${PAUSE_MS / 1000} s apart, and connect again`,
      expects: "pong, scanners: nobody",
    },
    async () => {
      await site.visitSlowly();
      return `${await site.visit(ONE_PORT)}, ${await site.judged()}`;
    },
  );
  await report.step(
    {
      does: `connect to port ${ONE_PORT} ${HAMMER_CONNECTIONS} times, and connect again`,
      expects: "pong, scanners: nobody",
    },
    async () => {
      await delay(PAUSE_MS);
      await site.hammer();
      return `${await site.visit(ONE_PORT)}, ${await site.judged()}`;
    },
  );
  await report.step(
    { does: `scan ports ${each} fast`, expects: `pong, pong, pong, scanners: ${suite.scanners}` },
    async () => {
      await delay(PAUSE_MS);
      const answers = await site.visitFast();
      if (suite.scanners !== "nobody") await site.blocked(suite.scanners);
      return `${answers}, ${await site.judged()}`;
    },
  );
  await report.step({ does: `connect to port ${ONE_PORT}`, expects: suite.afterScan }, () =>
    site.visit(ONE_PORT),
  );
  await report.step(
    {
      does: `read conn_count_total from ${site.host.metricsUrl}`,
      expects: String(site.connections),
    },
    async () => String(await site.connectionCount()),
  );
}

/** The host under test, and the count of the connections that were made to it. */
class Site {
  readonly host: LoopbackHost;
  readonly #verdicts: VerdictTap;
  #connections = 0;

  constructor(host: LoopbackHost, verdicts: VerdictTap) {
    this.host = host;
    this.#verdicts = verdicts;
  }

  get connections(): number {
    return this.#connections;
  }

  visit(port: number): Promise<string> {
    this.#connections++;
    return visit({ from: this.host.place, address: "127.0.0.1", port });
  }

  /** At once, so that a busy machine has no part in how fast: nothing is decided before the last attempt. */
  async visitFast(): Promise<string> {
    const answers = await Promise.all(PORTS.map((port) => this.visit(port)));
    return answers.join(", ");
  }

  /** Each port after a pause. */
  async visitSlowly(): Promise<string> {
    const answers: string[] = [];
    for (const port of PORTS) {
      await delay(PAUSE_MS);
      answers.push(await this.visit(port));
    }
    return answers.join(", ");
  }

  async hammer(): Promise<void> {
    this.#connections += HAMMER_CONNECTIONS;
    const target = { address: "127.0.0.1", port: ONE_PORT, times: HAMMER_CONNECTIONS };
    const answers = await visit({ from: this.host.place, ...target });
    if (answers !== "pong".repeat(HAMMER_CONNECTIONS)) throw new Error(`got ${answers}`);
  }

  async blocked(source: string): Promise<void> {
    const waitOptions = { timeoutMs: BLOCK_TIMEOUT_MS, what: `${source} to be blocked` };
    await waitUntil(() => this.host.hasBlocked(source), waitOptions);
  }

  /** Who is a scanner, asked when the detector has seen every connection. */
  async judged(): Promise<string> {
    await this.#waitForMetric("packetwatch_detector_events_total", this.#connections);
    const sources = this.#verdicts.verdicts.map(({ verdict }) => verdict.source);
    return `scanners: ${sources.length === 0 ? "nobody" : sources.join(", ")}`;
  }

  /** conn_count_total, when it is what it should be or has had time to become it. */
  async connectionCount(): Promise<number | undefined> {
    await this.#waitForMetric("conn_count_total", this.#connections).catch(() => undefined);
    return metricTotal(await readMetrics(this.host.metricsUrl), "conn_count_total");
  }

  async #waitForMetric(name: string, expected: number): Promise<void> {
    const total = async () => metricTotal(await readMetrics(this.host.metricsUrl), name);
    await waitUntil(async () => (await total()) === expected, {
      timeoutMs: TELEMETRY_TIMEOUT_MS,
      what: `${name} to be ${expected}`,
    });
  }
}
