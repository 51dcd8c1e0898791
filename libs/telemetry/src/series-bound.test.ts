import { describe, expect, it } from "vitest";
import { catalogue } from "./catalogue.ts";
import { counter, gauge, histogram } from "./metric-definition.ts";
import { countSeries, fleetLimits, seriesBound } from "./series-bound.ts";

const common = { services: ["capture"], unit: "1", help: "A" } as const;

describe("a metric's lines", () => {
  it.each([
    ["none for its labels", counter({ ...common, labels: {} }), { fixed: 1 }],
    [
      "the product of its lists",
      counter({ ...common, labels: { rule: ["a", "b"], action: ["c", "d", "e"] } }),
      { fixed: 6 },
    ],
    [
      "buckets, +Inf, sum and count",
      histogram({ ...common, labels: {}, buckets: [1, 2] }),
      { fixed: 5 },
    ],
    [
      "per host",
      gauge({ ...common, labels: { host: "any", rule: ["a", "b"] }, aggregator: "sum" }),
      { perHost: 2 },
    ],
    [
      "per interface, and not per host again",
      counter({ ...common, labels: { host: "any", interface: "any" } }),
      { perInterface: 1 },
    ],
    ["per version", counter({ ...common, labels: { version: "any" } }), { perVersion: 1 }],
  ] as const)("are %s", (_, definition, expected) => {
    const nothing = { fixed: 0, perHost: 0, perInterface: 0, perVersion: 0 };
    expect(countSeries({ it: definition })).toEqual({ ...nothing, ...expected });
  });
});

it("the bound grows with hosts and interfaces by what each of them adds", () => {
  const counts = countSeries(catalogue);
  const one = seriesBound(counts, { hosts: 1, interfaces: 1, versions: 1 });
  const two = seriesBound(counts, { hosts: 2, interfaces: 2, versions: 1 });
  expect(two - one).toBe(counts.perHost + counts.perInterface);
});

it("every interface that PW_IFDEV takes finds room", () => {
  expect(fleetLimits.interfacesPerHost).toBeLessThanOrEqual(fleetLimits.interfaces);
});
