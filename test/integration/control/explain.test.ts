import { afterAll, beforeAll, expect, it } from "vitest";
import { BackgroundCommand } from "../../support/background-command.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type Fleet, startFleet } from "../../support/fleet.ts";
import type { NetworkNamespace } from "../../support/network-namespace.ts";
import { COMMAND_BUNDLE, jsonLines, runPacketwatch } from "../../support/packetwatch-command.ts";
import { visit } from "../../support/visit.ts";

const TIMEOUT_MS = 60_000;
const HOST = "198.18.0.1";
const [scanner, visitorSource, allowedSource] = ["198.19.0.1", "198.19.0.2", "198.19.0.3"] as const;

const cleanup = new Cleanup();
let fleet: Fleet;
let visitor: NetworkNamespace;

beforeAll(async () => {
  fleet = await startFleet(cleanup);
  visitor = fleet.addVisitor("visitor", ["198.19.0.1/32", "198.19.0.2/32", "198.19.0.3/32"]);
  // The command has none of the rules' variables: it asks the detector.
  await fleet.start("detector", { PW_SPREAD_TARGET_THRESHOLD: "7" });
  const a = fleet.addHost("a", {
    addresses: [`${HOST}/32`],
    settings: { PW_ALLOW: allowedSource },
  });
  const b = fleet.addHost("b", { addresses: ["198.18.0.2/32"] });
  await Promise.all([a, b].map((host) => host.start("capture", "enforcer")));
});
afterAll(() => cleanup.run());

function explain(...args: readonly string[]) {
  return runPacketwatch({
    settings: { ...fleet.operator, PW_HOST: "desk", SUDO_USER: "alice" },
    args: ["explain", ...args],
  });
}

async function knock(source: string, ...ports: readonly number[]): Promise<void> {
  for (const port of ports) await visit({ from: visitor, source, address: HOST, port });
}

/** Waits until the explanation has these members; gives the last one as text. */
async function expectExplained(source: string, members: object): Promise<string> {
  let last: unknown;
  const matches = async () => {
    [last] = jsonLines(await explain(source, "--json"));
    try {
      expect(last).toMatchObject(members);
      return true;
    } catch {
      return false;
    }
  };
  await waitUntil(matches, { timeoutMs: TIMEOUT_MS, what: `${source} to be explained` }).catch(() =>
    expect(last).toMatchObject(members),
  );
  const { out, code, errors } = await explain(source);
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  console.log(out);
  return out;
}

it("a source that nobody saw is told from one that is below the thresholds", async () => {
  await expectExplained("203.0.113.200", { state: "unseen", block: null, history: [] });
  await knock(visitorSource, 21, 22, 22);
  const text = await expectExplained(visitorSource, {
    state: "watched",
    seen: { attempts: 3, ports: 2, destinations: 1, hosts: [{ host: "a", attempts: 3 }] },
    rules: [
      { rule: "vertical", nearest: 2, threshold: 3, reached: false },
      { rule: "horizontal", nearest: 1 },
      { rule: "spread", nearest: 2, threshold: 7 },
    ],
    rulesOf: expect.stringMatching(/^core-/),
  });
  expect(text).toContain("is not blocked: it is below every threshold");
  expect(text).toContain("2 of 3 ports of one address within 1m, 1 short");
});

it("a scanner's block is explained by its evidence, and by what each host did", async () => {
  await knock(scanner, 21, 22, 23, 24);
  const text = await expectExplained(scanner, {
    state: "blocked",
    block: { rule: "vertical", evidence: { ports: [21, 22, 23], hosts: ["a"] } },
    hosts: [
      { host: "a", state: "applied", reactionMs: expect.any(Number) },
      { host: "b", state: "applied", dropped: 0 },
    ],
    history: [{ kind: "block", rule: "vertical" }],
  });
  expect(text).toContain(`${scanner} is blocked on 2/2 hosts`);
  expect(text).toContain(`Port scan detected: ${scanner} -> ${HOST} on ports 21,22,23`);
});

it("after a lift nothing of before counts, and the history has both", async () => {
  const lifted = await runPacketwatch({
    settings: { ...fleet.operator, PW_HOST: "desk", SUDO_USER: "alice" },
    args: ["unblock", scanner, "--reason", "mine"],
  });
  expect(lifted.code).toBe(0);
  await knock(scanner, 25);
  const text = await expectExplained(scanner, {
    state: "watched",
    block: null,
    rules: [{ rule: "vertical", nearest: 1 }, {}, {}],
    history: [{ kind: "block" }, { kind: "unblock", decidedBy: "operator/alice@desk" }],
  });
  expect(text).toContain("lifted by operator/alice@desk (mine)");
});

it("an allow-listed source is explained as such, with what was seen of it", async () => {
  await knock(allowedSource, 21, 22, 23, 24);
  const text = await expectExplained(allowedSource, {
    state: "allowed",
    hosts: [
      { host: "a", allowed: true },
      { host: "b", allowed: false },
    ],
    seen: { attempts: 4, allowed: 4 },
  });
  expect(text).toContain("is allow-listed on a");
});

it.each([
  ["example.com", "is not an IP address"],
  ["192.0.2.0/24", "is not one source"],
])("explain %s is refused in one line", async (text, message) => {
  const { code, out, errors } = await explain(text);
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(errors).toContain(message);
  expect(errors.trimEnd()).not.toContain("\n");
});

it("the console table of a fleet says what is watched, and by which rule its detectors block", async () => {
  const settings = Object.entries(fleet.operator).map(([name, value]) => `${name}=${value}`);
  const command = ["env", ...settings, process.execPath, COMMAND_BUNDLE, "tail"] as const;
  const table = cleanup.own(new BackgroundCommand(fleet.core, command));
  const hasHeader = () => table.output.includes("TIME ");
  await waitUntil(hasHeader, { timeoutMs: TIMEOUT_MS, what: "the table's header" });
  expect(table.output.split("\n").slice(0, 2)).toEqual([
    "Packetwatch is watching 2 hosts: a (eth0), b (eth0)",
    "A source that tries 3 ports of one address within 60 seconds is blocked",
  ]);
});
