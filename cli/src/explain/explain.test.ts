import { createSynEvent, type SynEvent, synFlags } from "@packetwatch/contracts";
import { defaultRules, type RulesConfig } from "@packetwatch/detection";
import { parseAddress } from "@packetwatch/net";
import { describe, expect, it } from "vitest";
import { describeBreaker } from "../breaker/breaker-text.ts";
import { openBreaker } from "../testing/facts.ts";
import { Rejections } from "../tail/rejections.ts";
import { alertOf, blockOf, synBatch, TIME_US, unblockOf } from "../testing/payloads.ts";
import { createExplanation, type ExplanationParts } from "./explanation.ts";
import { jsonExplanation } from "./json-explanation.ts";
import { renderExplanation } from "./render-explanation.ts";
import { ruleDistances } from "./rule-distance.ts";
import { SourceAttempts } from "./source-attempts.ts";

const SECOND_US = 1_000_000;
const source = parseAddress("192.0.2.56");

/** An attempt on a port of 10.0.0.<destination>, so many seconds after the first. */
function attempt(seconds: number, port: number, destination: number = 5): SynEvent {
  const [s0, s1, s2, s3] = source;
  const [d0, d1, d2, d3] = parseAddress(`10.0.0.${destination}`);
  const timeUs = TIME_US + seconds * SECOND_US;
  const words = { s0, s1, s2, s3, d0, d1, d2, d3 };
  return { ...createSynEvent(), ...words, timeUs, destinationPort: port };
}

const rules: RulesConfig = {
  ...defaultRules,
  vertical: { threshold: 5, windowUs: 60 * SECOND_US, action: "block" },
};

function nearest(
  attempts: readonly SynEvent[],
  options: Partial<Parameters<typeof ruleDistances>[0]> = {},
) {
  const distances = ruleDistances({ attempts, rules, capacity: 1024, mark: undefined, ...options });
  return distances.map(({ nearest }) => nearest?.count ?? 0);
}

describe("the distance to the thresholds", () => {
  it("is all of it where nothing was seen", () => {
    expect(nearest([])).toEqual([0, 0, 0]);
  });

  it("counts distinct ports of one address, addresses on one port, and targets", () => {
    const attempts = [attempt(0, 22), attempt(1, 22), attempt(2, 23), attempt(3, 22, 6)];
    expect(nearest(attempts)).toEqual([2, 2, 3]);
  });

  it.each([1, 2, 3, 4, 5])("%d ports within the window are so many of 5", (ports) => {
    const attempts = Array.from({ length: ports }, (_, index) => attempt(index, 100 + index));
    expect(nearest(attempts)[0]).toBe(ports);
  });

  it("goes no further than the threshold", () => {
    const attempts = Array.from({ length: 50 }, (_, index) => attempt(0, 100 + index));
    expect(nearest(attempts)[0]).toBe(5);
  });

  it("is that of the busiest window, not of the whole time", () => {
    const slow = Array.from({ length: 20 }, (_, index) => attempt(index * 40, 100 + index));
    expect(nearest(slow)[0]).toBe(2);
    expect(nearest([...slow, attempt(900, 1), attempt(901, 2), attempt(902, 3)])[0]).toBe(3);
  });

  it("leaves out what came before an unblock, and what is allow-listed", () => {
    const attempts = [attempt(0, 1), attempt(1, 2), attempt(2, 3)];
    const mark = { kind: "unblock", sourceKey: source, issuedUs: TIME_US + SECOND_US } as const;
    expect(nearest(attempts, { mark })[0]).toBe(1);
    const allowed = attempts.map((event) => Object.assign(event, { flags: synFlags.allowed }));
    expect(nearest(allowed)).toEqual([0, 0, 0]);
  });

  it("of a rule that is off is not looked for", () => {
    const off = { ...rules, vertical: { ...rules.vertical, action: "off" as const } };
    expect(nearest([attempt(0, 1)], { rules: off })[0]).toBe(0);
  });
});

describe("the attempts of a source", () => {
  it("are told apart from those of others in its shard, and added up", () => {
    const rejections = new Rejections();
    const attempts = new SourceAttempts(source, rejections);
    const batch = [
      { port: 22 },
      { port: 23, destination: "10.0.0.6", flags: synFlags.allowed },
      { source: "192.0.2.57", port: 24 },
    ];
    attempts.take(synBatch(batch, { host: "host-a" }));
    attempts.take(synBatch([{ port: 22, timeUs: TIME_US + 5 }], { host: "host-b" }));
    attempts.take(Uint8Array.of(9));
    expect(attempts.summary).toEqual({
      attempts: 3,
      allowed: 1,
      wouldDrop: 0,
      firstUs: TIME_US,
      lastUs: TIME_US + 5,
      hosts: [
        { host: "host-a", attempts: 2 },
        { host: "host-b", attempts: 1 },
      ],
      destinations: 2,
      ports: 2,
    });
    expect(attempts.kept).toHaveLength(3);
    expect(rejections.total).toBe(1);
  });

  it("of an IPv6 source are those of its whole prefix", () => {
    const attempts = new SourceAttempts(parseAddress("2001:db8::"), new Rejections());
    const from = (source: string) => ({ source, destination: "2001:db8:1::1" });
    const batch = [from("2001:db8::7"), from("2001:db8::8"), from("2001:db8:0:1::7")];
    attempts.take(synBatch(batch, { family: 6 }));
    expect(attempts.summary.attempts).toBe(2);
  });
});

const nothing = { verdicts: [], alerts: [], applied: [], isComplete: true, reachSeconds: 600 };
const unseen = new SourceAttempts(source, new Rejections()).summary;
const seen = {
  ...unseen,
  attempts: 3,
  firstUs: TIME_US,
  lastUs: TIME_US,
  ports: 2,
  destinations: 1,
  hosts: [{ host: "host-a", attempts: 3 }],
};
const onHost = (host: string, isAllowed: boolean) =>
  ({ host, state: "applied", dropped: 12, firstDropUs: TIME_US, isAllowed }) as const;

function explanationOf(changes: Partial<ExplanationParts> = {}) {
  return createExplanation({
    source: "192.0.2.56",
    address: undefined,
    nowUs: TIME_US + 60 * SECOND_US,
    block: undefined,
    onHosts: [onHost("host-a", false)],
    silent: [],
    unanswered: [],
    seen: unseen,
    retainedSeconds: 360,
    rules: ruleDistances({ attempts: [], rules, capacity: 1024, mark: undefined }),
    rulesOf: "d1",
    breaker: undefined,
    past: nothing,
    ...changes,
  });
}

describe("an explanation", () => {
  const block = blockOf();

  it("of one address of a source says what allows that address, whatever becomes of the source", () => {
    const source = "2001:db8::/64";
    const row = { prefix: "2001:db8::7", reasons: ["variable"], hosts: ["host-a"] } as const;
    const address = { address: "2001:db8::7", allowedBy: [row], hosts: 1 };
    const explanation = explanationOf({ source, block: { ...block, source }, address });
    const text = renderExplanation(explanation);
    expect(text).toMatch(/^2001:db8::\/64 is blocked on 1\/1 host/);
    expect(text).toMatch(
      /^Address +2001:db8::7 itself is allow-listed.*\n +2001:db8::7 \(PW_ALLOW\) on all 1$/m,
    );
    expect(jsonExplanation(explanation)).toMatchObject({
      address: { address: "2001:db8::7", entries: [{ prefix: "2001:db8::7" }] },
    });
    const nobody = { ...address, allowedBy: [] };
    expect(renderExplanation(explanationOf({ source, address: nobody }))).not.toContain("Address");
  });

  it("of a blocked source says by which rule, on what evidence, and what hosts did", () => {
    const applied = {
      version: 1 as const,
      host: "host-a",
      interfaces: ["eth0"],
      verdictId: block.id,
      source: block.source,
      action: "blocked" as const,
      streamSequence: 1,
      appliedUs: TIME_US + 3000,
      reactionUs: 3000,
    };
    const silent = [{ host: "host-c", silentSeconds: 12 }];
    const past = { ...nothing, verdicts: [block], applied: [applied] };
    const text = renderExplanation(explanationOf({ block, past, seen, silent }));
    expect(text).toMatch(
      /^192\.0\.2\.56 is blocked on 1\/1 host since .*, until it is unblocked\n/,
    );
    expect(text).toContain("Port scan detected: 192.0.2.56 -> 10.0.0.5 on ports 80,81,82,83");
    expect(text).toContain("rule vertical: 4 ports within 60 seconds, decided by detector/d1");
    expect(text).toContain("host-a  applied 3 ms after the deciding attempt, 12 dropped");
    expect(text).toContain("host-c not heard for 12s");
    expect(text).toContain("packetwatch unblock 192.0.2.56");
  });

  it("of a source below the thresholds says how far below", () => {
    const distances = ruleDistances({
      attempts: [attempt(0, 22), attempt(1, 23)],
      rules: { ...rules, spread: { ...rules.spread, action: "off" } },
      capacity: 1024,
      mark: undefined,
    });
    const text = renderExplanation(explanationOf({ seen, rules: distances }));
    expect(text).toMatch(/^192\.0\.2\.56 is not blocked: it is below every threshold\n/);
    expect(text).toContain("vertical    2 of 5 ports of one address within 1m, 3 short");
    expect(text).toMatch(/horizontal {2}1 of 25 addresses .*, 24 short, .*; it alerts, and blocks/);
    expect(text).toMatch(/spread +off/);
    expect(text).toContain("3 attempts on 2 ports of 1 address");
    expect(text).toContain("as d1 has them");
  });

  it("says when the rules are not those of a detector", () => {
    const explanation = explanationOf({ seen, rulesOf: undefined });
    expect(renderExplanation(explanation)).toContain("no detector is heard: these are the rules");
    expect(jsonExplanation(explanation)).toMatchObject({ rulesOf: null });
  });

  it("of a scanner that the open breaker spares says so", () => {
    const explanation = explanationOf({ seen, breaker: openBreaker });
    const text = renderExplanation(explanation);
    expect(text).toContain(`Breaker  ${describeBreaker(openBreaker)}; detectors block nobody`);
    expect(jsonExplanation(explanation)).toMatchObject({ breaker: { state: "open" } });
    expect(renderExplanation(explanationOf({ seen, block, breaker: openBreaker }))).not.toContain(
      "Breaker",
    );
    expect(renderExplanation(explanationOf({ seen }))).not.toContain("Breaker");
  });

  it("of a host in a dry run says that nothing is dropped there", () => {
    const onHosts = [{ ...onHost("host-a", false), state: "dry_run" as const }];
    const text = renderExplanation(explanationOf({ block, onHosts, seen }));
    expect(text).toMatch(/^192\.0\.2\.56 is blocked on 0\/1 host \(1 in a dry run\) since/);
    expect(text).toContain("host-a  in a dry run: 12 would have been dropped");
  });

  it("of a source that nobody saw says so, and where to look", () => {
    const text = renderExplanation(explanationOf());
    expect(text).toMatch(/^192\.0\.2\.56 is not blocked: no attempt of it within the 6m that/);
    expect(text).toContain("'packetwatch status'");
    expect(text).toContain("nothing in 10m");
  });

  it("of an allow-listed source says where", () => {
    const onHosts = [onHost("host-a", true), onHost("host-b", false)];
    const explanation = explanationOf({ onHosts, seen: { ...seen, allowed: 3 } });
    const text = renderExplanation(explanation);
    expect(text).toMatch(
      /^192\.0\.2\.56 is allow-listed on host-a: there, nothing of it is dropped/,
    );
    expect(text).toContain("host-b  not allow-listed");
    expect(text).toContain("3 made while it was allow-listed");
    expect(jsonExplanation(explanation)).toMatchObject({ state: "allowed" });
  });

  it("tells the history in order: blocks, their ends, lifts and alerts", () => {
    const first = blockOf({ id: "first", expiresUs: TIME_US + 10 * SECOND_US });
    const second = blockOf({ id: "second", issuedUs: TIME_US + 20 * SECOND_US });
    const lift = unblockOf({ issuedUs: TIME_US + 30 * SECOND_US, reason: "mine\u001b[2J" });
    const alerts = [alertOf({ issuedUs: TIME_US + 5 * SECOND_US })];
    const past = { ...nothing, verdicts: [first, second, lift], alerts };
    const explanation = explanationOf({ seen, past });
    expect(explanation.history.map(({ kind }) => kind)).toEqual([
      "verdict",
      "alert",
      "expired",
      "verdict",
      "verdict",
    ]);
    const text = renderExplanation(explanation);
    expect(text).toContain("lifted by operator/alice (mine?[2J)");
    expect(text).not.toContain("\u001b");
    const { history } = jsonExplanation(explanation) as { history: { kind: string }[] };
    expect(history.map(({ kind }) => kind)).toEqual([
      "block",
      "alert",
      "expired",
      "block",
      "unblock",
    ]);
  });

  it("a block that was replaced before its end did not expire", () => {
    const first = blockOf({ id: "first", expiresUs: TIME_US + 30 * SECOND_US });
    const lift = unblockOf({ issuedUs: TIME_US + 20 * SECOND_US });
    const { history } = explanationOf({ past: { ...nothing, verdicts: [first, lift] } });
    expect(history.map(({ kind }) => kind)).toEqual(["verdict", "verdict"]);
  });
});
