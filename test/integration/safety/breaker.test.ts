import { type Bus, connectBus } from "@packetwatch/bus";
import { decodeAlert, subjects } from "@packetwatch/contracts";
import { afterAll, beforeAll, expect, it } from "vitest";
import { AppliedTap } from "../../support/applied-tap.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { holdsFor, waitUntil } from "../../support/eventually.ts";
import { type Fleet, type FleetHost, startFleet } from "../../support/fleet.ts";
import type { FleetService } from "../../support/fleet-service.ts";
import type { NetworkNamespace } from "../../support/network-namespace.ts";
import { OperatorDesk } from "../../support/operator-desk.ts";
import type { PinnedPacketwatch } from "../../support/pinned-packetwatch.ts";
import { blockVerdict, publishVerdict } from "../../support/published-verdicts.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { visit } from "../../support/visit.ts";

const TIMEOUT_MS = 60_000;
const ADDRESS = "198.18.0.1";
const LIMIT = 5;
const SCANNERS = 12;
const OPENED =
  "the breaker is open: too many blocks; detectors alert and block nobody until it closes (packetwatch breaker close, PW_MAX_BLOCKS_PER_MINUTE, PW_MAX_BLOCKED)";
const settings = {
  PW_MAX_BLOCKS_PER_MINUTE: String(LIMIT),
  PW_BREAKER_QUIET: "3600",
  PW_HORIZONTAL_ACTION: "off",
  PW_SPREAD_ACTION: "off",
};

const cleanup = new Cleanup();
const alerts = new Set<string>();
let fleet: Fleet;
let host: FleetHost;
let visitor: NetworkNamespace;
let bus: Bus;
let applied: AppliedTap;
let pinned: PinnedPacketwatch;
let desk: OperatorDesk;
let detectors: FleetService[];
let used = 0;

// Two detectors, which judge different shards, and a host that enforces.
beforeAll(async () => {
  fleet = await startFleet(cleanup);
  const sources = Array.from({ length: 40 }, (_, index) => `198.19.0.${index + 1}/32`);
  visitor = fleet.addVisitor("visitor", sources);
  host = fleet.addHost("host", { addresses: [`${ADDRESS}/32`] });
  detectors = [fleet.launch("detector", settings), fleet.launch("detector", settings)];
  for (const detector of detectors) await detector.ready();
  await host.start("capture");
  await host.start("enforcer");
  pinned = cleanup.own(host.pinned("eth0"));
  const logger = new RecordingLogger();
  bus = cleanup.own(await connectBus({ servers: [fleet.nats.url], name: "test", logger }));
  bus.connection.subscribe(subjects.everyAlert, {
    callback: (_error, { data }) => void alerts.add(decodeAlert(data).source),
  });
  applied = cleanup.own(new AppliedTap(bus));
  desk = new OperatorDesk(fleet.nats.url);
});
afterAll(() => cleanup.run());

function newSources(count: number): readonly string[] {
  return Array.from({ length: count }, () => `198.19.0.${++used}`);
}

async function scan(source: string): Promise<void> {
  for (const port of [1, 2, 3]) await visit({ from: visitor, source, address: ADDRESS, port });
}

const blockedOf = (sources: readonly string[]) =>
  sources.filter((source) => pinned.maps.blockOf(source) !== undefined);

const tails = () => [...detectors.map(({ tail }) => tail), host.tails].join("\n");

function expectEventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
): Promise<unknown> {
  return waitUntil(condition, { timeoutMs: TIMEOUT_MS, what }).catch((error: Error) => {
    throw new Error(`${error.message}\n${tails()}`, { cause: error });
  });
}

const first = newSources(SCANNERS);

it("over two detectors exactly as many are blocked as a minute allows; the others are alerted about", async () => {
  await Promise.all(first.map(scan));
  await expectEventually("every scanner to be blocked or alerted about", () => {
    const known = new Set([...alerts, ...blockedOf(first)]);
    return known.size === SCANNERS && blockedOf(first).length === LIMIT;
  });
  const settled = () => blockedOf(first).length === LIMIT;
  await holdsFor(settled, { timeoutMs: 2000, what: "the limit" });
  for (const detector of detectors) {
    await detector.logged(OPENED);
  }
  const { out } = await desk.run("breaker", "show");
  expect(out).toMatch(/^open since .*: more than PW_MAX_BLOCKS_PER_MINUTE blocks in a minute\n$/);
  const status = await desk.run("status");
  expect(status.code).toBe(1);
  expect(status.out).toMatch(
    /^ {2}- the breaker is open since .* a minute; detectors block nobody/m,
  );
  expect(status.out).toMatch(/^breaker +open since .* a minute$/m);
});

it("while it is open operators block, and detectors go on alerting", async () => {
  const [byHand = "", scanner = ""] = newSources(2);
  const verdict = blockVerdict(byHand, { rule: "operator", decidedBy: "operator/test" });
  await publishVerdict(bus, verdict);
  expect(await applied.of("host", verdict.id)).toMatchObject({ action: "blocked" });
  await scan(scanner);
  await expectEventually("an alert", () => alerts.has(scanner));
  expect(blockedOf([byHand, scanner])).toEqual([byHand]);
});

it("closed by hand, new scanners are blocked, and those that were held back are not", async () => {
  const closed = await desk.run("breaker", "close");
  expect(closed.out).toMatch(/^closed; known to 2\/2 detectors after \d+ ms\n$/);
  expect(closed.code).toBe(0);
  for (const detector of detectors) {
    await detector.logged("the breaker is closed; detectors block again");
  }
  const status = await desk.run("status");
  expect(status.out).not.toContain("the breaker is open");
  expect(status.out).toMatch(/^breaker +closed since .*: an operator closed it$/m);
  const [scanner = ""] = newSources(1);
  await scan(scanner);
  await expectEventually("a block", () => blockedOf([scanner]).length === 1);
  expect(blockedOf(first)).toHaveLength(LIMIT);
  const again = await desk.run("breaker", "close");
  expect(again).toMatchObject({ code: 1, errors: "packetwatch: the breaker is not open\n" });
});

it("a detector that replays the time in which it was open blocks nobody for it", async () => {
  for (const detector of detectors) await detector.kill();
  detectors = [fleet.launch("detector", { ...settings, PW_BREAKER_QUIET: "2" })];
  await detectors[0]?.ready();
  const [scanner = ""] = newSources(1);
  await scan(scanner);
  await expectEventually("a block, by the replay's end", () => blockedOf([scanner]).length === 1);
  await holdsFor(() => blockedOf(first).length === LIMIT, { timeoutMs: 2000, what: "the limit" });
});

it("closes by itself after a quiet time, and blocks again", async () => {
  const many = newSources(LIMIT + 3);
  await Promise.all(many.map(scan));
  await detectors[0]?.logged(OPENED);
  await detectors[0]?.logged("the breaker is closed; detectors block again");
  const { out } = await desk.run("breaker", "show");
  expect(out).toContain("nobody was to be blocked for PW_BREAKER_QUIET seconds");
  const [scanner = ""] = newSources(1);
  await scan(scanner);
  await expectEventually("a block", () => blockedOf([scanner]).length === 1);
});
