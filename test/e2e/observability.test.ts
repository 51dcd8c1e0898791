import { readFileSync } from "node:fs";
import { catalogue } from "@packetwatch/telemetry";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cleanup } from "../support/cleanup.ts";
import { dashboardExpressions } from "../support/dashboard.ts";
import { waitUntil } from "../support/eventually.ts";
import { readMetrics } from "../support/metrics-page.ts";
import { freePort } from "../support/nats.ts";
import { Prometheus } from "../support/prometheus.ts";
import { checkMetrics, loadOpenMetrics } from "../support/promtool.ts";
import { type Site, startSite } from "./site.ts";

const TIMEOUT_MS = 60_000;

const cleanup = new Cleanup();
let site: Site;
let metricsUrl: string;
let prometheus: Prometheus;

/** A whole Packetwatch that has blocked somebody and dropped something, scraped by a real Prometheus. */
beforeAll(async () => {
  site = await startSite(cleanup);
  const port = String(await freePort());
  metricsUrl = `http://127.0.0.1:${port}/metrics`;
  await site.fleet.start("metrics", { PW_PROMETHEUS_PORT: port });
  prometheus = cleanup.own(await Prometheus.start(`127.0.0.1:${port}`));
  await seesAtLeast("packetwatch_syn_seen_total", 0);
  const source = await site.addBlockedSource();
  await site.visit(source);
  await seesAtLeast("packetwatch_syn_dropped_total", 1);
  // rate() wants two samples.
  await seesAtLeast("rate(packetwatch_metrics_messages_total[1m])", 0.01);
});
afterAll(() => cleanup.run());

async function seesAtLeast(expression: string, value: number): Promise<void> {
  const isThere = async () => {
    const [first] = await prometheus.query(expression);
    return first !== undefined && Number(first.value[1]) >= value;
  };
  const what = `Prometheus to see ${expression} at ${value}`;
  await waitUntil(isThere, { timeoutMs: TIMEOUT_MS, what });
}

/** What an alert compares with a number. */
function quantityOf(query: string): string {
  const [, quantity = ""] = /^(.+) (?:==|<|>) [\d.]+$/s.exec(query) ?? [];
  return quantity;
}

/** A rate needs two scrapes of what it is of, and a busy machine may miss one. */
async function holdsSoon(assertion: () => Promise<void>): Promise<void> {
  const holds = async () => {
    await assertion();
    return true;
  };
  await waitUntil(holds, { timeoutMs: TIMEOUT_MS, what: "it to hold" });
}

describe("a running Packetwatch", () => {
  it("serves every metric of the catalogue", async () => {
    const expected = Object.entries(catalogue).map(([name, { type }]) =>
      type === "histogram" ? `${name}_count` : name,
    );
    await holdsSoon(async () => {
      const page = await readMetrics(metricsUrl);
      const served = new Set([...page.keys()].map((series) => series.split("{")[0] ?? ""));
      expect(expected.filter((name) => !served.has(name))).toEqual([]);
    });
  });

  it("serves pages that promtool accepts", async () => {
    const page = async (accept: string) =>
      (await fetch(metricsUrl, { headers: { accept } })).text();
    expect(checkMetrics(await page("text/plain"))).toEqual({ status: 0, said: "" });
    const open = loadOpenMetrics(await page("application/openmetrics-text"));
    expect(open).toMatchObject({ status: 0 });
  });

  it("has no address and no free text in a label", async () => {
    const page = await readMetrics(metricsUrl);
    const labels = [...page.keys()].flatMap((series) => series.match(/"[^"]*"/g) ?? []);
    expect(labels.filter((value) => /\d+\.\d+\.\d+\.\d+|:/.test(value))).toEqual([]);
  });
});

describe("Prometheus", () => {
  it("scrapes it without an error", async () => {
    await holdsSoon(async () => {
      expect(await prometheus.scrapeErrors()).toEqual([""]);
      expect((await prometheus.query("up"))[0]?.value[1]).toBe("1");
    });
  });

  it("has data for every expression of the dashboard", async () => {
    await holdsSoon(async () => {
      const empty: string[] = [];
      for (const { panel, expression } of dashboardExpressions()) {
        const results = await prometheus.query(expression);
        if (results.length === 0) empty.push(`${panel}: ${expression}`);
      }
      expect(empty).toEqual([]);
    });
  });

  it("has data for the quantity of every alert, and none fires", async () => {
    const alerts = await prometheus.alertingRules();
    expect(alerts).toHaveLength(
      readFileSync("deploy/prometheus/rules.yml", "utf8").match(/- alert:/g)?.length ?? 0,
    );
    await holdsSoon(async () => {
      for (const { name, health, state } of await prometheus.alertingRules()) {
        expect([name, health, state]).toEqual([name, "ok", "inactive"]);
      }
    });
    for (const { name, query } of alerts) {
      const results = await prometheus.query(quantityOf(query));
      expect(results.length, `${name}: ${query}`).toBeGreaterThan(0);
    }
  });

  it("notices a capture that was killed, by host", async () => {
    await site.host.kill("capture");
    const isNoticed = async () =>
      (await prometheus.alertingRules()).some(
        ({ name, state }) => name === "PacketwatchCaptureDown" && state !== "inactive",
      );
    await waitUntil(isNoticed, { timeoutMs: TIMEOUT_MS, what: "the alert to be pending" });
    const [down] = await prometheus.query('ALERTS{alertname="PacketwatchCaptureDown"}');
    expect(down?.metric).toMatchObject({ host: "host", severity: "critical" });
  });
});
