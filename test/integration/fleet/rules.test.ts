import { publishAcknowledged } from "@packetwatch/bus";
import {
  type Alert,
  type BlockVerdict,
  decodeAlert,
  type Evidence,
  subjects,
  synSubject,
  type Verdict,
} from "@packetwatch/contracts";
import { parseAddress, shardOf } from "@packetwatch/net";
import { afterEach, describe, expect, it } from "vitest";
import { type Attempt, synBatch } from "../../../cli/src/testing/payloads.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { DetectorGroup } from "../../support/detector-group.ts";
import { waitUntil } from "../../support/eventually.ts";
import { startNats } from "../../support/nats.ts";

const HOSTS = 30;
const SOURCE = "203.0.113.9";
/** Of the same shard as SOURCE: what it does is judged behind what SOURCE has done. */
const CLOSING_SOURCE = Array.from({ length: 254 }, (_, index) => `198.51.100.${index + 1}`).find(
  (address) => shardOfAddress(address) === shardOfAddress(SOURCE),
) as string;
const DETECT_TIMEOUT_MS = 10_000;
/** Only `vertical` is as it is by default. */
const others = { PW_HORIZONTAL_ACTION: "off", PW_SPREAD_ACTION: "off" } as const;

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

type Variables = Readonly<Record<string, string>>;

/** What a fleet's detectors say of what they are shown, in order. */
class Judged {
  readonly alerts: Alert[] = [];
  readonly #group: DetectorGroup;

  constructor(group: DetectorGroup) {
    this.#group = group;
    group.bus.connection.subscribe(subjects.everyAlert, {
      callback: (_error, { data }) => void this.alerts.push(decodeAlert(data)),
    });
  }

  /** Of SOURCE. */
  get verdicts(): readonly Verdict[] {
    return this.#group.verdicts.filter(({ source }) => source === SOURCE);
  }

  /** Shows one attempt on each host, `stepSeconds` apart, the last one now. */
  async touchEveryHost(portOf: (host: number) => number, stepSeconds = 0.01): Promise<void> {
    const startUs = (Date.now() - (HOSTS - 1) * stepSeconds * 1000) * 1000;
    for (let host = 1; host <= HOSTS; host++) {
      const timeUs = Math.round(startUs + (host - 1) * stepSeconds * 1e6);
      const destination = `10.0.${host}.5`;
      await this.#show(host, [{ source: SOURCE, timeUs, destination, port: portOf(host) }]);
    }
  }

  /** Shows three ports of host 1. */
  async scanVertically(source: string): Promise<void> {
    const [timeUs, destination] = [Date.now() * 1000, "10.0.1.5"];
    const attempts = [1, 2, 3].map((port) => ({ source, timeUs, destination, port }));
    await this.#show(1, attempts);
  }

  /** Waits until all that was shown so far has been judged. */
  async close(): Promise<void> {
    await this.scanVertically(CLOSING_SOURCE);
    await waitUntil(() => this.#group.verdicts.find(({ source }) => source === CLOSING_SOURCE), {
      timeoutMs: DETECT_TIMEOUT_MS,
      what: "the end of what was shown to be judged",
    });
  }

  alertBy(rule: string): Promise<Alert> {
    return waitUntil(() => this.alerts.find((alert) => alert.rule === rule), {
      timeoutMs: DETECT_TIMEOUT_MS,
      what: `an alert by ${rule}`,
    });
  }

  verdictBy(rule: string): Promise<Verdict> {
    const isBy = (verdict: Verdict) => verdict.kind === "block" && verdict.rule === rule;
    return waitUntil(() => this.verdicts.find(isBy), {
      timeoutMs: DETECT_TIMEOUT_MS,
      what: `a verdict by ${rule}`,
    });
  }

  get rules(): readonly string[] {
    const blocks = this.verdicts.map((verdict) => (verdict.kind === "block" ? verdict.rule : ""));
    return [...this.alerts.map(({ rule }) => rule), ...blocks].toSorted();
  }

  async #show(host: number, attempts: readonly Attempt[]): Promise<void> {
    const payload = synBatch(attempts, { host: `host-${host}` });
    const subject = synSubject(shardOfAddress(SOURCE));
    await publishAcknowledged(this.#group.bus, subject, payload);
  }
}

/** Two detectors: the one that owns the source's shard judges. */
async function startJudging(variables: Variables = {}): Promise<Judged> {
  const nats = await startNats();
  cleanup.defer(() => nats.stop());
  const group = cleanup.own(await DetectorGroup.connect(nats.url, variables));
  await group.join();
  await group.join();
  return new Judged(group);
}

function shardOfAddress(address: string): number {
  return shardOf(...parseAddress(address));
}

const destinationsOf = ({ evidence }: { evidence: Evidence | null }) =>
  new Set(evidence?.destinations);

describe("a source that touches one port on each of 30 hosts", () => {
  it("is found by horizontal and by spread, which alert by default", async () => {
    const judged = await startJudging();
    await judged.touchEveryHost(() => 22);
    const horizontal = await judged.alertBy("horizontal");
    const spread = await judged.alertBy("spread");
    expect(horizontal).toMatchObject({ source: SOURCE, evidence: { count: 25, ports: [22] } });
    expect(spread).toMatchObject({ source: SOURCE, evidence: { count: 25 } });
    expect(destinationsOf(horizontal).size).toBe(25);
    // The host whose sensor saw the attempt that decided.
    expect(horizontal.evidence).toMatchObject({ hosts: ["host-25"], windowSeconds: 300 });
    expect(judged.verdicts).toEqual([]);
  });

  it("is blocked by horizontal where that is its action", async () => {
    const judged = await startJudging({ ...others, PW_HORIZONTAL_ACTION: "block" });
    await judged.touchEveryHost(() => 22);
    const verdict = await judged.verdictBy("horizontal");
    expect(verdict).toMatchObject({ source: SOURCE, evidence: { count: 25, ports: [22] } });
    expect(judged.rules).toEqual(["horizontal"]);
  });

  it("is blocked by spread where that is its action", async () => {
    const judged = await startJudging({ ...others, PW_SPREAD_ACTION: "block" });
    await judged.touchEveryHost(() => 22);
    const verdict = await judged.verdictBy("spread");
    expect(verdict).toMatchObject({ source: SOURCE, evidence: { count: 25, hosts: ["host-25"] } });
    expect(judged.rules).toEqual(["spread"]);
  });

  it("is nobody's business where both rules are off", async () => {
    const judged = await startJudging(others);
    await judged.touchEveryHost(() => 22);
    await judged.close();
    expect(judged.rules).toEqual([]);
  });
});

it("another port on each host is a spread and not a horizontal scan", async () => {
  const judged = await startJudging();
  await judged.touchEveryHost((host) => 1000 + host);
  await judged.alertBy("spread");
  await judged.close();
  expect(judged.rules).toEqual(["spread"]);
});

describe("three ports of one host", () => {
  it("are blocked by vertical", async () => {
    const judged = await startJudging();
    await judged.scanVertically(SOURCE);
    const { evidence } = (await judged.verdictBy("vertical")) as BlockVerdict;
    expect(evidence).toMatchObject({ ports: [1, 2, 3], hosts: ["host-1"], count: 3 });
    expect(judged.rules).toEqual(["vertical"]);
  });

  it("are alerted by vertical where that is its action", async () => {
    const judged = await startJudging({ PW_VERTICAL_ACTION: "alert" });
    await judged.scanVertically(SOURCE);
    const { evidence } = await judged.alertBy("vertical");
    expect(evidence).toMatchObject({ ports: [1, 2, 3], hosts: ["host-1"], count: 3 });
    expect(judged.rules).toEqual(["vertical"]);
  });

  it("are nobody's business where vertical is off", async () => {
    const judged = await startJudging({ PW_VERTICAL_ACTION: "off" });
    await judged.scanVertically(SOURCE);
    await judged.touchEveryHost(() => 22);
    await judged.alertBy("horizontal");
    expect(judged.rules.filter((rule) => rule === "vertical")).toEqual([]);
  });
});

describe("thresholds and windows come from variables", () => {
  const horizontal = { ...others, PW_HORIZONTAL_ACTION: "alert" };
  const spread = { ...others, PW_SPREAD_ACTION: "alert" };
  const cases: readonly [string, Variables, number, readonly string[]][] = [
    [
      "30 hosts fire a horizontal threshold of 30",
      { ...horizontal, PW_HORIZONTAL_ADDRESS_THRESHOLD: "30" },
      0.01,
      ["horizontal"],
    ],
    [
      "30 hosts don't fire one of 31",
      { ...horizontal, PW_HORIZONTAL_ADDRESS_THRESHOLD: "31" },
      0.01,
      [],
    ],
    [
      "30 targets fire a spread threshold of 30",
      { ...spread, PW_SPREAD_TARGET_THRESHOLD: "30" },
      0.01,
      ["spread"],
    ],
    ["30 targets don't fire one of 31", { ...spread, PW_SPREAD_TARGET_THRESHOLD: "31" }, 0.01, []],
    [
      "25 hosts in 24 s fire in a window of 24 s",
      { ...horizontal, PW_HORIZONTAL_TIME_THRESHOLD: "24" },
      1,
      ["horizontal"],
    ],
    [
      "25 hosts in 24 s don't in one of 23.9 s",
      { ...horizontal, PW_HORIZONTAL_TIME_THRESHOLD: "23.9" },
      1,
      [],
    ],
    [
      "25 targets in 24 s fire in a window of 24 s",
      { ...spread, PW_SPREAD_TIME_THRESHOLD: "24" },
      1,
      ["spread"],
    ],
    [
      "25 targets in 24 s don't in one of 23.9 s",
      { ...spread, PW_SPREAD_TIME_THRESHOLD: "23.9" },
      1,
      [],
    ],
  ];

  it.each(cases)("%s", async (_, variables, stepSeconds, fired) => {
    const judged = await startJudging(variables);
    await judged.touchEveryHost(() => 22, stepSeconds);
    await judged.close();
    for (const rule of fired) await judged.alertBy(rule);
    expect(judged.rules).toEqual(fired);
  });
});
