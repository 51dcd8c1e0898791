import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DETECTOR_BUCKET } from "@packetwatch/contracts";
import { catalogue } from "@packetwatch/telemetry";
import { describe, expect, it } from "vitest";
import { DASHBOARD, dashboardExpressions, readDashboard } from "../../support/dashboard.ts";
import { promtool } from "../../support/promtool.ts";

const RULES = "deploy/prometheus/rules.yml";
const rules = readFileSync(RULES, "utf8");
const alerts = [...rules.matchAll(/^ +- alert: (\w+)$/gm)].map(([, name = ""]) => name);

/** Every word of a text that has the form of a metric's name, without the suffixes of a histogram's samples. */
function metricNamesIn(text: string): readonly string[] {
  const words = text.match(/\b(?:packetwatch|process|nodejs|conn_count)_\w+/g) ?? [];
  return [...new Set(words.map((word) => word.replace(/_(bucket|sum|count)$/, "")))];
}

describe("deploy/prometheus", () => {
  it("promtool accepts the configuration and the rules", () => {
    expect(promtool(["check", "config", "deploy/prometheus/prometheus.yml"]).said).toMatch(
      /SUCCESS/,
    );
    expect(promtool(["check", "rules", RULES])).toMatchObject({ status: 0 });
  });

  it("the rules do what rules.test.yml says", () => {
    expect(promtool(["test", "rules", "deploy/prometheus/rules.test.yml"])).toMatchObject({
      status: 0,
    });
  });

  it("rules.test.yml sees a rule that is off", () => {
    const folder = mkdtempSync(join(tmpdir(), "packetwatch-rules-"));
    try {
      const tests = readFileSync("deploy/prometheus/rules.test.yml", "utf8");
      writeFileSync(join(folder, "rules.test.yml"), tests);
      const changes = [
        ["_lag_messages > 200", "_lag_messages > 201"],
        ["block_capacity > 0) > 0.8", "block_capacity > 0) >= 0.8"],
        ['{reason!="breaker"}', ""],
      ] as const;
      for (const [from, to] of changes) {
        expect(rules).toContain(from);
        writeFileSync(join(folder, "rules.yml"), rules.replace(from, to));
        expect(promtool(["test", "rules", join(folder, "rules.test.yml")]).status, from).toBe(1);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("every alert has a test, a severity, and a runbook that exists", () => {
    const tests = readFileSync("deploy/prometheus/rules.test.yml", "utf8");
    const runbooks = readFileSync("docs/alerts.md", "utf8");
    const sections = [...runbooks.matchAll(/^### (\w+)$/gm)].map(([, name = ""]) => name);
    expect(sections.toSorted()).toEqual(alerts.toSorted());
    for (const alert of alerts) {
      expect(tests).toContain(`alertname="${alert}"`);
      expect(rules).toContain(`runbook: docs/alerts.md#${alert.toLowerCase()}\n`);
    }
    const count = (pattern: RegExp) => rules.match(pattern)?.length;
    expect(count(/^ +labels: \{ severity: (critical|warning) \}$/gm)).toBe(alerts.length);
    expect(count(/^ +(summary|description): ./gm)).toBe(2 * alerts.length);
  });
});

describe("the dashboard", () => {
  const { panels, templating } = readDashboard();

  it("answers, from top to bottom, the five questions, and then what it costs", () => {
    const rows = panels.filter(({ type }) => type === "row");
    expect(rows.toSorted((a, b) => a.gridPos.y - b.gridPos.y).map(({ title }) => title)).toEqual([
      "Is it working?",
      "Who is scanning?",
      "What is dropped?",
      "How fast do we react?",
      "Is anything lost?",
      "What does it cost?",
    ]);
  });

  it("has panels that say what they show, with an id of their own and no overlap", () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
    for (const { type, title, description, targets } of panels) {
      if (type === "row" || type === "text") continue;
      expect(description, title).toMatch(/\.$/);
      expect(targets?.length, title).toBeGreaterThan(0);
    }
    expect(templating.list.map(({ name }) => name)).toEqual(["datasource", "host"]);
  });

  it("asks the chosen data source for everything, and can choose the one that is provisioned", () => {
    const asked: unknown[] = [];
    JSON.parse(readFileSync(DASHBOARD, "utf8"), (key, value: unknown) => {
      if (key === "datasource") asked.push(value);
      return value;
    });
    expect(asked.length).toBeGreaterThan(panels.length);
    const chosen = { type: "prometheus", uid: "${datasource}" };
    expect(asked).toEqual(asked.map(() => chosen));
    const provisioned = readFileSync(
      "deploy/grafana/provisioning/datasources/prometheus.yml",
      "utf8",
    );
    const [, type] = /^ +type: (.+)$/m.exec(provisioned) ?? [];
    expect(templating.list[0]?.query).toBe(type);
  });

  it("is provisioned from the folder that it lies in, with the data source that is provisioned", () => {
    const read = (path: string) => readFileSync(`deploy/grafana/provisioning/${path}`, "utf8");
    expect(readdirSync("deploy/grafana/dashboards")).toEqual(["packetwatch.json"]);
    expect(read("dashboards/packetwatch.yml")).toContain("path: /var/lib/grafana/dashboards");
    expect(read("datasources/prometheus.yml")).toContain("url: http://prometheus:9090");
  });
});

it("dashboard, rules and runbooks name only metrics that the catalogue has", () => {
  const texts = [DASHBOARD, RULES, "docs/alerts.md"].map((path) => readFileSync(path, "utf8"));
  const named = metricNamesIn(texts.join("\n"));
  expect(named.length).toBeGreaterThan(40);
  const others = new Set([DETECTOR_BUCKET]);
  const unknown = named.filter((name) => !(name in catalogue) && !others.has(name));
  expect(unknown).toEqual([]);
});

it("no expression looks at addresses", () => {
  for (const { expression } of dashboardExpressions()) {
    expect(expression).not.toMatch(/source|address|destination/);
  }
});
