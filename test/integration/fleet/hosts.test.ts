import { connectBus } from "@packetwatch/bus";
import type { BlockVerdict } from "@packetwatch/contracts";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { AppliedTap } from "../../support/applied-tap.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type Fleet, type FleetHost, startFleet } from "../../support/fleet.ts";
import type { Settings } from "../../support/fleet-service.ts";
import type { NetworkNamespace } from "../../support/network-namespace.ts";
import { startNginx } from "../../support/nginx.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { VerdictTap } from "../../support/taps.ts";
import { visit } from "../../support/visit.ts";

const OPEN_PORTS = [8086, 8087, 8088] as const;
const CLOSED_PORTS = [1, 2, 3] as const;
const BLOCK_TIMEOUT_MS = 15_000;
/** Rules that must not be in another's way. */
const off = { PW_HORIZONTAL_ACTION: "off", PW_SPREAD_ACTION: "off" } as const;

const addresses = { a: "198.18.0.1", b: "198.18.0.2", c: "198.18.0.3" } as const;
type HostName = keyof typeof addresses;
const names = Object.keys(addresses) as readonly HostName[];

const ofFile = new Cleanup();
const ofTest = new Cleanup();
let fleet: Fleet;
let visitor: NetworkNamespace;
let verdicts: VerdictTap;
let applied: AppliedTap;
const hosts = new Map<HostName, FleetHost>();
let used = 0;

beforeAll(async () => {
  fleet = await startFleet(ofFile);
  const sources = Array.from({ length: 40 }, (_, index) => `198.19.0.${index + 1}/32`);
  visitor = fleet.addVisitor("visitor", sources);
  for (const name of names) {
    const host = fleet.addHost(name, { addresses: [`${addresses[name]}/32`] });
    const { namespace } = host;
    ofFile.own(await startNginx({ namespace, ports: OPEN_PORTS, answer: "pong" }));
    hosts.set(name, host);
  }
  await Promise.all([...hosts.values()].map((host) => host.start("capture", "enforcer")));
  const logger = new RecordingLogger();
  const bus = ofFile.own(await connectBus({ servers: [fleet.nats.url], name: "test", logger }));
  verdicts = ofFile.own(new VerdictTap(bus));
  applied = ofFile.own(new AppliedTap(bus));
});
afterAll(() => ofFile.run());
afterEach(() => ofTest.run());

/** For one test: the next one judges by other rules. */
async function startDetector(settings: Settings): Promise<void> {
  const detector = await fleet.start("detector", settings);
  ofTest.defer(() => detector.stop());
}

function newSource(): string {
  used++;
  return `198.19.0.${used}`;
}

function knock(source: string, host: HostName, port: number): Promise<string> {
  return visit({ from: visitor, source, address: addresses[host], port });
}

/** What a source gets from an open port of each host. */
function answersOf(source: string): Promise<readonly string[]> {
  return Promise.all(names.map((name) => knock(source, name, OPEN_PORTS[0])));
}

async function verdictOn(source: string): Promise<BlockVerdict> {
  const { verdict } = await waitUntil(() => verdicts.blockOf(source), {
    timeoutMs: BLOCK_TIMEOUT_MS,
    what: `a verdict on ${source}`,
  });
  return verdict as BlockVerdict;
}

/** Waits for the word of every host; gives the times from the deciding attempt, in ms. */
async function appliedEverywhere({ id }: BlockVerdict): Promise<readonly number[]> {
  const words = await Promise.all(names.map((name) => applied.of(name, id)));
  expect(words.map(({ action }) => action)).toEqual(["blocked", "blocked", "blocked"]);
  return words.map(({ reactionUs }) => (reactionUs ?? Number.NaN) / 1000);
}

const everywhere = <T>(answer: T) => names.map(() => answer);

it("who scans one host is dropped on all hosts, and nobody else is", async () => {
  await startDetector(off);
  const [scanner, client] = [newSource(), newSource()];
  expect(await answersOf(client)).toEqual(everywhere("pong"));
  for (const port of CLOSED_PORTS) expect(await knock(scanner, "a", port)).toBe("refused");

  const verdict = await verdictOn(scanner);
  const reactionsMs = await appliedEverywhere(verdict);
  console.log(
    `from the deciding SYN on a to the map write on a, b, c: ${reactionsMs.join(", ")} ms`,
  );
  expect(reactionsMs.every((ms) => ms > 0 && ms < BLOCK_TIMEOUT_MS)).toBe(true);
  expect(await answersOf(scanner)).toEqual(everywhere("timed out"));
  expect(await answersOf(client)).toEqual(everywhere("pong"));
  expect(verdict).toMatchObject({
    rule: "vertical",
    evidence: { hosts: ["a"], destinations: [addresses.a] },
  });
});

it("each host drops the source by its own program, and counts what it dropped", async () => {
  await startDetector(off);
  const scanner = newSource();
  for (const port of CLOSED_PORTS) await knock(scanner, "b", port);
  await appliedEverywhere(await verdictOn(scanner));
  expect(await answersOf(scanner)).toEqual(everywhere("timed out"));
  for (const host of hosts.values()) {
    const pinned = ofTest.own(host.pinned("eth0"));
    // One or, where the visitor gives up late, its repetition too.
    expect(pinned.maps.blockOf(scanner)?.dropped).toBeGreaterThanOrEqual(1n);
  }
});

it("one port on each of three hosts is a horizontal scan of the fleet", async () => {
  await startDetector({
    ...off,
    PW_HORIZONTAL_ACTION: "block",
    PW_HORIZONTAL_ADDRESS_THRESHOLD: "3",
  });
  const [scanner, client] = [newSource(), newSource()];
  for (const name of names) expect(await knock(scanner, name, OPEN_PORTS[0])).toBe("pong");
  for (const port of OPEN_PORTS) expect(await knock(client, "a", port)).toBe("pong");

  const verdict = await verdictOn(scanner);
  await appliedEverywhere(verdict);
  expect(await answersOf(scanner)).toEqual(everywhere("timed out"));
  expect(verdict).toMatchObject({ rule: "horizontal", evidence: { count: 3 } });
  expect(names).toContain(verdict.evidence?.hosts[0]);
  expect(verdict.evidence?.destinations.toSorted()).toEqual(Object.values(addresses));
  expect(verdict.evidence?.ports).toEqual([OPEN_PORTS[0]]);
});

it("another port on each of three hosts is a spread over the fleet", async () => {
  await startDetector({ ...off, PW_SPREAD_ACTION: "block", PW_SPREAD_TARGET_THRESHOLD: "3" });
  const [scanner, client] = [newSource(), newSource()];
  for (const [index, name] of names.entries()) {
    expect(await knock(scanner, name, OPEN_PORTS[index] ?? 0)).toBe("pong");
  }
  for (const name of ["a", "b"] as const) expect(await knock(client, name, 8086)).toBe("pong");

  const verdict = await verdictOn(scanner);
  await appliedEverywhere(verdict);
  expect(await answersOf(scanner)).toEqual(everywhere("timed out"));
  expect(verdict).toMatchObject({ rule: "spread", evidence: { count: 3 } });
  expect(await knock(client, "a", 8086)).toBe("pong");
  expect(verdicts.blockOf(client)).toBeUndefined();
});
