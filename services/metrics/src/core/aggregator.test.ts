import {
  catalogue as realCatalogue,
  countSeries,
  fleetLimits,
  seriesBound,
} from "@packetwatch/telemetry";
import { describe, expect, it } from "vitest";
import {
  delay,
  metric,
  seen,
  telemetry,
  testCatalogue as catalogue,
  totalOf,
  work,
} from "../testing/telemetry.ts";
import { type AggregatorLimits, aggregatorLimits, TelemetryAggregator } from "./aggregator.ts";
import { DEPARTED_AFTER_MS } from "./instance-table.ts";

function create(limits: Partial<AggregatorLimits> = {}) {
  return new TelemetryAggregator({
    catalogue,
    startMs: 0,
    limits: { ...aggregatorLimits, ...limits },
  });
}

function gaugesOf(aggregator: TelemetryAggregator, nowMs: number) {
  const [, ...live] = aggregator.registries(nowMs);
  return live.flat().map(({ name, values }) => [name, values[0]?.value]);
}

const GONE_MS = DEPARTED_AFTER_MS + 1;

describe("totals", () => {
  it("are the sum over all instances", () => {
    const aggregator = create();
    aggregator.ingest(telemetry("one", [work(5)]), 0);
    aggregator.ingest(telemetry("two", [work(7)]), 0);
    aggregator.ingest(telemetry("one", [work(6)]), 1000);
    expect(totalOf(aggregator, "work_total")).toBe(13);
  });

  it("keep what a departed instance had counted, and add what its successor counts", () => {
    const aggregator = create();
    aggregator.ingest(telemetry("first-start", [work(100)]), 0);
    aggregator.ingest(telemetry("second-start", [work(3)]), GONE_MS);
    expect(totalOf(aggregator, "work_total")).toBe(103);
  });

  it("take an instance that returns from where it was", () => {
    const aggregator = create();
    aggregator.ingest(telemetry("cut-off", [work(100)]), 0);
    aggregator.registries(GONE_MS);
    aggregator.ingest(telemetry("cut-off", [work(140)]), 60 * GONE_MS);
    expect(totalOf(aggregator, "work_total")).toBe(140);
  });

  it("don't go back with a value that does, and count it", () => {
    const aggregator = create();
    for (const value of [100, 40, 90, 110]) aggregator.ingest(telemetry("odd", [work(value)]), 0);
    expect(totalOf(aggregator, "work_total")).toBe(110);
    expect(aggregator.backwardSeries).toBe(2);
  });

  it("keep a series that an instance no longer sends", () => {
    const aggregator = create();
    aggregator.ingest(telemetry("one", [work(5)]), 0);
    aggregator.ingest(telemetry("one", []), 1000);
    aggregator.ingest(telemetry("one", [work(6)]), 2000);
    expect(totalOf(aggregator, "work_total")).toBe(6);
  });

  it("keep label sets apart", () => {
    const aggregator = create();
    aggregator.ingest(telemetry("one", [work(5, "a")]), 0);
    aggregator.ingest(telemetry("two", [work(7, "b")]), 0);
    const [totals] = aggregator.registries(0);
    const values = totals?.find(({ name }) => name === "work_total")?.values;
    expect(values).toMatchObject([
      { value: 5, labels: { interface: "a" } },
      { metricName: "work_created" },
      { value: 7, labels: { interface: "b" } },
      { metricName: "work_created" },
    ]);
  });

  it("fold histograms sample by sample", () => {
    const aggregator = create();
    aggregator.ingest(telemetry("one", [delay([1, 2, 4], 9)]), 0);
    aggregator.ingest(telemetry("two", [delay([10, 10, 10], 1)]), GONE_MS);
    aggregator.ingest(telemetry("one", [delay([1, 3, 6], 19)]), 2 * GONE_MS);
    const [totals] = aggregator.registries(0);
    const values = totals?.find(({ name }) => name === "delay_seconds")?.values;
    expect(values?.map(({ metricName, value }) => [metricName, value])).toEqual([
      ["delay_seconds_bucket", 11],
      ["delay_seconds_bucket", 13],
      ["delay_seconds_bucket", 16],
      ["delay_seconds_sum", 20],
      ["delay_seconds_count", 16],
      ["delay_seconds_created", 0],
    ]);
  });
});

describe("conn_count_total", () => {
  it("is there, at zero, before any telemetry", () => {
    expect(totalOf(create(), "conn_count_total")).toBe(0);
  });

  it("counts each SYN once over all kernel instances, through a restart of capture", () => {
    const aggregator = create();
    const kernel = (instance: string, value: number, host: string) =>
      aggregator.ingest(telemetry(instance, [seen(value, host)], "kernel"), 0);
    kernel("a-eth0-1", 5_000_000, "a");
    kernel("b-eth0-1", 10, "b");
    kernel("a-eth0-1", 5_000_001, "a");
    kernel("a-eth0-2", 3, "a");
    expect(totalOf(aggregator, "conn_count_total")).toBe(5_000_014);
  });

  it("can't be set by a publisher", () => {
    const aggregator = create();
    const claim = metric("conn_count_total", "counter", [{ value: 1e9, labels: {} }]);
    aggregator.ingest(telemetry("liar", [claim, seen(1e9)]), 0);
    expect(totalOf(aggregator, "conn_count_total")).toBe(0);
    expect(aggregator.rejectedSeries).toEqual(new Map([["wrong_service", 2]]));
  });
});

describe("gauges", () => {
  const depth = (value: number) =>
    metric("depth", "gauge", [{ value, labels: { interface: "a" } }]);

  it("are those of the last message", () => {
    const aggregator = create();
    aggregator.ingest(telemetry("one", [depth(5)]), 0);
    aggregator.ingest(telemetry("one", [depth(3)]), 1000);
    expect(gaugesOf(aggregator, 1000)).toEqual([["depth", 3]]);
    aggregator.ingest(telemetry("one", []), 2000);
    expect(gaugesOf(aggregator, 2000)).toEqual([]);
  });

  it("vanish with their instance after ten seconds of silence, and come back with it", () => {
    const aggregator = create();
    aggregator.ingest(telemetry("one", [depth(5), work(1)]), 0);
    expect(gaugesOf(aggregator, DEPARTED_AFTER_MS)).toEqual([["depth", 5]]);
    expect(gaugesOf(aggregator, GONE_MS)).toEqual([]);
    expect(totalOf(aggregator, "work_total")).toBe(1);
    aggregator.ingest(telemetry("one", [depth(6)]), 2 * GONE_MS);
    expect(gaugesOf(aggregator, 2 * GONE_MS)).toEqual([["depth", 6]]);
  });

  it("of one instance outlive those of another", () => {
    const aggregator = create();
    aggregator.ingest(telemetry("one", [depth(1)]), 0);
    aggregator.ingest(telemetry("two", [depth(2)]), GONE_MS - 1);
    expect(gaugesOf(aggregator, GONE_MS)).toEqual([["depth", 2]]);
    expect(aggregator.countInstances(GONE_MS)).toEqual([
      { service: "capture", host: "a", live: 1, departed: 1 },
    ]);
  });
});

describe("bounds", () => {
  it("merge the instance that departed first, and don't count it twice when it returns", () => {
    const aggregator = create({ maxInstances: 2 });
    aggregator.ingest(telemetry("old", [work(100)]), 0);
    aggregator.ingest(telemetry("older", [work(10)]), -1);
    aggregator.ingest(telemetry("old", [work(101)]), 1);
    aggregator.ingest(telemetry("new", [work(1)]), GONE_MS);
    expect(aggregator.mergedInstances).toBe(1);

    aggregator.ingest(telemetry("older", [work(15)]), 2 * GONE_MS);
    expect(totalOf(aggregator, "work_total")).toBe(112);
    aggregator.ingest(telemetry("older", [work(17), work(4, "b")]), 2 * GONE_MS);
    expect(totalOf(aggregator, "work_total")).toBe(118);
  });

  it("turn a new instance away when all others live", () => {
    const aggregator = create({ maxInstances: 1 });
    aggregator.ingest(telemetry("one", [work(1)]), 0);
    expect(aggregator.ingest(telemetry("two", [work(1)]), DEPARTED_AFTER_MS)).toBe("no_room");
    expect(aggregator.ingest(telemetry("one", [work(2)]), DEPARTED_AFTER_MS)).toBe("accepted");
    expect(totalOf(aggregator, "work_total")).toBe(2);
  });

  it("forget the names of merged instances, and count that a return would count twice", () => {
    const aggregator = create({ maxInstances: 1, maxMergedNames: 1 });
    for (const index of [0, 1, 2]) {
      aggregator.ingest(telemetry(`start-${index}`, [work(1)]), index * GONE_MS);
    }
    expect([aggregator.mergedInstances, aggregator.forgottenInstances]).toEqual([2, 1]);
    aggregator.ingest(telemetry("start-0", [work(1)]), 3 * GONE_MS);
    expect(totalOf(aggregator, "work_total")).toBe(4);
  });

  it("count gauges once, and no longer when they are gone", () => {
    const aggregator = create();
    const gauge = metric("worst", "gauge", [{ value: 1, labels: {} }]);
    for (const nowMs of [0, 1000, 2000]) aggregator.ingest(telemetry("one", [gauge]), nowMs);
    aggregator.ingest(telemetry("two", [gauge, gauge]), 0);
    expect(aggregator.samples).toBe(2);
    aggregator.registries(GONE_MS + 2000);
    expect(aggregator.samples).toBe(0);
  });

  it("turn series away when there is no room, and go on with those that are there", () => {
    const aggregator = create({ maxSamples: 4 });
    const all = (value: number) => ["a", "b", "c"].map((host) => work(value, host));
    aggregator.ingest(telemetry("one", all(1)), 0);
    aggregator.ingest(telemetry("one", all(2)), 1000);
    expect(totalOf(aggregator, "work_total")).toBe(4);
    expect(aggregator.rejectedSeries).toEqual(new Map([["no_room", 2]]));
    expect(aggregator.samples).toBe(4);
  });

  it("turn away the host that is one too many, and count on for the others", () => {
    const aggregator = create({ fleet: { ...fleetLimits, hosts: 2 } });
    const publish = (host: string, value: number) => {
      const labels = { service: "capture", host, version: "1" };
      const running = metric("running", "gauge", [{ value, labels }]);
      aggregator.ingest(telemetry(host, [work(value), running], "capture", host), 0);
    };
    for (const host of ["a", "b", "c"]) publish(host, 1);
    publish("a", 5);
    expect(totalOf(aggregator, "work_total")).toBe(6);
    expect(gaugesOf(aggregator, 0)).toEqual([
      ["running", 1],
      ["running", 5],
    ]);
    expect(aggregator.rejectedSeries).toEqual(new Map([["no_room", 2]]));
    expect(aggregator.labelValues.hosts).toBe(2);
  });

  it("keep the interfaces of one host from taking the room of another's", () => {
    const fleet = { ...fleetLimits, interfacesPerHost: 2, interfaces: 3 };
    const aggregator = create({ fleet });
    const names = ["eth0", "eth1", "eth2"];
    const all = names.map((name) => work(1, name));
    aggregator.ingest(telemetry("greedy", all, "capture", "a"), 0);
    aggregator.ingest(telemetry("modest", [work(1, "eth0")], "capture", "b"), 0);
    aggregator.ingest(telemetry("late", [work(1, "eth9")], "capture", "c"), 0);
    expect(aggregator.labelValues.interfaces).toBe(3);
    expect(aggregator.rejectedSeries).toEqual(new Map([["no_room", 2]]));
  });

  it("hold the number of versions", () => {
    const aggregator = create({ fleet: { ...fleetLimits, versions: 1 } });
    for (const version of ["1", "2"]) {
      const labels = { service: "capture", host: "a", version };
      const running = metric("running", "gauge", [{ value: 1, labels }]);
      aggregator.ingest(telemetry(`start-${version}`, [running]), 0);
    }
    expect(aggregator.rejectedSeries).toEqual(new Map([["no_room", 1]]));
  });

  it("have room for every series that the catalogue allows, and for a copy by who sent it", () => {
    const bound = seriesBound(countSeries(realCatalogue), fleetLimits);
    expect(bound * 2).toBeLessThanOrEqual(aggregatorLimits.maxSamples);
  });

  it("make room by merging what has departed", () => {
    const aggregator = create({ maxSamples: 3 });
    for (const index of [0, 1, 2, 3]) {
      aggregator.ingest(telemetry(`start-${index}`, [work(1)]), index * GONE_MS);
    }
    expect(totalOf(aggregator, "work_total")).toBe(4);
    expect(aggregator.samples).toBeLessThanOrEqual(3);
    expect(aggregator.rejectedSeries.size).toBe(0);
  });
});

describe("hostile telemetry", () => {
  const label = (host: string) =>
    metric("work_total", "counter", [{ value: 1, labels: { interface: host } }]);
  it.each([
    ["an undeclared metric", metric("evil_total", "counter", []), "undeclared"],
    ["a name of Object.prototype", metric("constructor", "counter", []), "undeclared"],
    ["another type", metric("work_total", "gauge", []), "wrong_type"],
    ["a summary", metric("work_total", "summary", []), "wrong_type"],
    ["a missing label", metric("work_total", "counter", [{ value: 1, labels: {} }]), "bad_labels"],
    [
      "a label too many",
      metric("worst", "gauge", [{ value: 1, labels: { source: "192.0.2.1" } }]),
      "bad_labels",
    ],
    [
      "a value that the catalogue doesn't list",
      metric("faults_total", "counter", [{ value: 1, labels: { reason: "made up" } }]),
      "bad_labels",
    ],
    [
      "a series of another host",
      metric("running", "gauge", [
        { value: 1, labels: { service: "capture", host: "another", version: "1" } },
      ]),
      "bad_labels",
    ],
    [
      "a series of another service",
      metric("running", "gauge", [
        { value: 1, labels: { service: "detector", host: "a", version: "1" } },
      ]),
      "bad_labels",
    ],
    ["a comma in a label", label("a,b"), "bad_labels"],
    ["a line feed in a label", label("a\nb"), "bad_labels"],
    ["half a surrogate pair", label("\ud800"), "bad_labels"],
    ["an empty label", label(""), "bad_labels"],
    ["a negative count", work(-1), "bad_value"],
    ["a count beyond exact integers", work(Number.MAX_SAFE_INTEGER + 1), "bad_value"],
    ["buckets that fall", delay([3, 2, 4], 1), "bad_value"],
    ["buckets that don't end at the count", delay([1, 2, Number.NaN], 1), "bad_value"],
    [
      "a histogram without samples",
      metric("delay_seconds", "histogram", work(1).values),
      "bad_labels",
    ],
  ] as const)("%s is turned away and counted", (_, one, reason) => {
    const aggregator = create();
    aggregator.ingest(telemetry("evil", [one]), 0);
    expect(aggregator.rejectedSeries.get(reason)).toBe(1);
    expect(aggregator.samples).toBe(0);
  });

  it("doesn't cost the good series of the same message", () => {
    const aggregator = create();
    aggregator.ingest(telemetry("half", [work(-1, "b"), work(5), metric("x", "gauge", [])]), 0);
    expect(totalOf(aggregator, "work_total")).toBe(5);
  });
});
