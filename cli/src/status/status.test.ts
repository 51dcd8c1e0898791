import { closedBreaker, streamNames } from "@packetwatch/contracts";
import { describe, expect, it } from "vitest";
import { describeBreaker } from "../breaker/breaker-text.ts";
import {
  allShards,
  detector,
  healthyFacts,
  hostOf,
  instanceOf,
  openBreaker,
  streamOf,
} from "../testing/facts.ts";
import { TIME_US } from "../testing/payloads.ts";
import { diagnose, ranges } from "./diagnose.ts";
import type { FleetFacts } from "./fleet-facts.ts";
import { fleetStatus } from "./fleet-status.ts";
import { renderStatus, sizeText, statusJson } from "./render-status.ts";

const plain = { good: (text: string) => text, bad: (text: string) => text };

function reportOf(facts: FleetFacts) {
  const status = fleetStatus(facts);
  return { facts, status, diagnosis: diagnose(facts, status) };
}

/** The healthy fleet with its streams changed. */
function withStream(name: string, changes: Parameters<typeof streamOf>[1]): FleetFacts {
  const { streams } = healthyFacts();
  return healthyFacts({ streams: new Map([...streams, [name, streamOf(name, changes)]]) });
}

function withInstances(...instances: FleetFacts["instances"]): FleetFacts {
  return healthyFacts({ instances });
}

const metrics = instanceOf({ service: "metrics", host: "core" });
const enforcerThat = (gauge: string, value: number) => {
  const [capture, enforcer, kernel] = hostOf("host-a");
  const series = enforcer?.telemetry.metrics.map((metric) =>
    metric.name === gauge ? { ...metric, values: [{ labels: {}, value }] } : metric,
  );
  return [
    capture,
    { ...enforcer, telemetry: { ...enforcer?.telemetry, metrics: series } },
    kernel,
  ] as FleetFacts["instances"];
};

describe("a fleet", () => {
  it("in which nothing is amiss is healthy", () => {
    expect(reportOf(healthyFacts()).diagnosis).toEqual({ reasons: [], notes: [] });
  });

  const someShards = allShards.filter(([{ shard }]) => !["3", "7"].includes(shard ?? ""));
  const degraded: readonly (readonly [reason: string, facts: FleetFacts])[] = [
    [
      "host-b not heard for 12s",
      withInstances(...hostOf("host-a"), ...hostOf("host-b", 12), detector(), metrics),
    ],
    [
      "capture on host-a was never heard: its attempts are not reported",
      withInstances(...hostOf("host-a").slice(1), detector(), metrics),
    ],
    [
      "enforcer on host-a not heard for 1m 30s: it takes no new verdicts",
      withInstances(
        ...hostOf("host-a").filter(({ telemetry }) => telemetry.service !== "enforcer"),
        ...hostOf("host-a", 90).filter(({ telemetry }) => telemetry.service === "enforcer"),
        detector(),
        metrics,
      ),
    ],
    [
      "host-a: nothing is enforced on 1 interface: is capture running?",
      withInstances(
        ...enforcerThat("packetwatch_enforcer_waiting_interfaces", 1),
        detector(),
        metrics,
      ),
    ],
    [
      "host-a: the block map is 95% full (PW_BLOCKED_ENTRIES)",
      withInstances(...enforcerThat("packetwatch_enforcer_blocks", 95), detector(), metrics),
    ],
    [
      "host-a: the allow map is full and lacks 3 (PW_ALLOWED_ENTRIES)",
      withInstances(
        ...enforcerThat("packetwatch_enforcer_allowed_refused", 3),
        detector(),
        metrics,
      ),
    ],
    [
      "host-a: 5000 verdicts behind",
      withInstances(
        ...enforcerThat("packetwatch_enforcer_behind_messages", 5000),
        detector(),
        metrics,
      ),
    ],
    [
      "no detector is heard: blocks hold, but nobody new is judged",
      withInstances(...hostOf("host-a"), detector({ silentSeconds: 20 }), metrics),
    ],
    [
      "no detector reads shards 3,7",
      withInstances(
        ...hostOf("host-a"),
        detector({ metrics: { packetwatch_detector_shard_lag_messages: someShards } }),
        metrics,
      ),
    ],
    [
      "detectors are 4000 batches behind: start another one",
      withInstances(
        ...hostOf("host-a"),
        detector({
          metrics: {
            packetwatch_detector_shard_lag_messages: allShards,
            packetwatch_detector_lag_messages: [[{}, 4000]],
          },
        }),
        metrics,
      ),
    ],
    ["no host is heard: is capture running anywhere?", withInstances(detector(), metrics)],
    [
      `the breaker is ${describeBreaker(openBreaker)}; detectors block nobody ('packetwatch breaker close')`,
      healthyFacts({ breaker: openBreaker }),
    ],
    [
      "PACKETWATCH_VERDICT is 95% full: a full list refuses verdicts (PW_MAX_VERDICTS)",
      withStream(streamNames.verdict, { messages: 95, maxMessages: 100 }),
    ],
    [
      "PACKETWATCH_SYN is full and reaches back 40s of 6m (PW_SYN_STREAM_BYTES)",
      withStream(streamNames.syn, { bytes: 1000, maxBytes: 1010, oldestSeconds: 40 }),
    ],
    [
      "PACKETWATCH_HISTORY has no current copy on nats-3",
      withStream(streamNames.history, { cluster: { leader: "nats-1", laggards: ["nats-3"] } }),
    ],
    [
      "PACKETWATCH_HISTORY missing: a detector makes the streams when it starts",
      healthyFacts({
        streams: new Map([...healthyFacts().streams, [streamNames.history, undefined]]),
      }),
    ],
  ];
  it.each(degraded)("is degraded: %s", (reason, facts) => {
    const report = reportOf(facts);
    expect(report.diagnosis.reasons).toEqual([reason]);
    const [head, first] = renderStatus(report, plain).split("\n");
    expect([head, first]).toEqual(["degraded", `  - ${reason}`]);
    expect(statusJson(report)).toMatchObject({ status: "degraded", reasons: [reason] });
  });

  it("whose breaker was closed is healthy, and says since when and why", () => {
    const change = { reason: "operator", changedBy: "operator/a", changedUs: TIME_US } as const;
    const report = reportOf(healthyFacts({ breaker: closedBreaker(openBreaker, change) }));
    expect(report.diagnosis).toEqual({ reasons: [], notes: [] });
    const text = renderStatus(report, plain);
    expect(text).toMatch(/^breaker +closed since .* \(operator\/a\): an operator closed it$/m);
    expect(statusJson(report)).toMatchObject({ breaker: { state: "closed", reason: "operator" } });
  });

  it("what others wrote moves no cursor", () => {
    const hostile = "versions differ: 1.0.0, \u001b[2Jhealthy";
    const diagnosis = { reasons: [hostile], notes: [hostile] };
    const text = renderStatus({ ...reportOf(healthyFacts()), diagnosis }, plain);
    expect(text.split("\n").slice(0, 3)).toEqual([
      "degraded",
      "  - versions differ: 1.0.0, ?[2Jhealthy",
      "  note: versions differ: 1.0.0, ?[2Jhealthy",
    ]);
  });

  const noted: readonly (readonly [note: string, facts: FleetFacts])[] = [
    [
      "of a list that was lost, blocked still: 3 sources on host-a; 'packetwatch unblock ADDRESS' lifts one, and the log of its enforcer names them",
      withInstances(
        ...enforcerThat("packetwatch_enforcer_leftover_blocks", 3),
        detector(),
        metrics,
      ),
    ],
    [
      "dry run, nothing is dropped on host-a ('packetwatch enforce show')",
      withInstances(...enforcerThat("packetwatch_enforcer_enforcing", 0), detector(), metrics),
    ],
    [
      "metrics is not heard: Prometheus finds nothing",
      withInstances(...hostOf("host-a"), detector()),
    ],
    [
      "1 detector of the last day not heard; others have its shards",
      withInstances(
        ...hostOf("host-a"),
        detector(),
        detector({ instance: "gone", silentSeconds: 60 }),
        metrics,
      ),
    ],
    [
      "read by two detectors at the moment: shards 0-63",
      withInstances(...hostOf("host-a"), detector(), detector({ instance: "other" }), metrics),
    ],
  ];
  it.each(noted)("is healthy, with a note: %s", (note, facts) => {
    expect(reportOf(facts).diagnosis).toEqual({ reasons: [], notes: [note] });
  });

  it("a service that was started anew counts by its newest process", () => {
    const before = hostOf("host-a", 40).map(({ telemetry, silentSeconds }) => ({
      telemetry: { ...telemetry, instance: `${telemetry.instance}-before` },
      silentSeconds,
    }));
    const facts = withInstances(...before, ...hostOf("host-a"), detector(), metrics);
    expect(reportOf(facts).diagnosis.reasons).toEqual([]);
    expect(reportOf(facts).status.hosts).toHaveLength(1);
  });
});

describe("status as text", () => {
  it("has the hosts with their interfaces, the detectors, the streams and NATS", () => {
    const text = renderStatus(reportOf(healthyFacts()), plain);
    expect(text).toMatch(/^healthy\n\nHOST +CAPTURE/);
    expect(text).toMatch(/host-a +0\.1\.0 +0\.1\.0 +eth0 native +120 +12 +0 +7 +2 +0/);
    expect(text).toMatch(/core-detector +0\.1\.0 +64: 0-63 +0/);
    expect(text).toMatch(/PACKETWATCH_SYN +10 +1 KiB +1 MiB, 6m +30s +1 in files/);
    expect(text).toContain("nats      nats-1 2.15.1 at 127.0.0.1:4222; answers in 0.3 ms");
    expect(text).toContain("blocks    2 in force");
    expect(text).toContain("breaker   closed; it was never open");
  });

  it("has no control characters of others", () => {
    const facts = withInstances(...hostOf("\u001b[2J"), detector(), metrics);
    expect(renderStatus(reportOf(facts), plain)).not.toContain("\u001b");
  });

  it.each([
    [[0, 1, 2, 5, 7, 8], "0-2,5,7-8"],
    [[], ""],
  ])("%j is written %s", (numbers, text) => {
    expect(ranges(numbers)).toBe(text);
  });

  it.each([
    [0, "0 B"],
    [1536, "1.5 KiB"],
    [64 * 1024 ** 2, "64 MiB"],
  ])("%d bytes are written %s", (bytes, text) => {
    expect(sizeText(bytes)).toBe(text);
  });
});
