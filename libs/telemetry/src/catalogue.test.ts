import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  catalogue,
  type MetricDefinition,
  PACKETWATCH_VERSION,
  renderMetricsPage,
} from "./index.ts";

const file = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
const all = Object.entries<MetricDefinition>(catalogue);

describe.each(all)("%s", (name, { type, unit, labels, help }) => {
  it("has a name that says what it is", () => {
    expect(name).toMatch(/^(conn_count_total|(packetwatch|process|nodejs)_[a-z0-9_]+)$/);
    expect(name.endsWith("_total")).toBe(type === "counter");
    expect(name).not.toMatch(/_(bucket|sum|count|created)$/);
  });

  it("ends in its base unit where that is seconds or bytes", () => {
    const base = name.replace(/_total$/, "");
    expect(base.endsWith(`_${unit}`) || !["seconds", "bytes"].includes(unit)).toBe(true);
  });

  it("has labels that the fleet bounds, and a help text on one line", () => {
    const bounded = new Set(["host", "interface", "service", "version"]);
    for (const [label, values] of Object.entries(labels)) {
      expect(values !== "any" || bounded.has(label)).toBe(true);
      expect(label).toMatch(/^[a-z]+$/);
    }
    expect(help).toMatch(/^\S.*[^.\s]$/);
  });
});

it("conn_count_total keeps the help that it had in the ported tool", () => {
  expect(catalogue.conn_count_total.help).toBe("number of new connections");
});

it("histogram bounds ascend", () => {
  for (const [, definition] of all) {
    if (definition.type !== "histogram") continue;
    expect([...definition.buckets].sort((a, b) => a - b)).toEqual(definition.buckets);
  }
});

it("docs/metrics.md is what the catalogue renders: `make docs`", () => {
  expect(file("docs/metrics.md")).toBe(renderMetricsPage());
});

it("the version is that of package.json", () => {
  expect((JSON.parse(file("package.json")) as { version: string }).version).toBe(
    PACKETWATCH_VERSION,
  );
});
