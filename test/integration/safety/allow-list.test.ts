import { type Bus, connectBus, provisionStreams } from "@packetwatch/bus";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { AppliedTap } from "../../support/applied-tap.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type Fleet, type FleetHost, startFleet } from "../../support/fleet.ts";
import type { NetworkNamespace } from "../../support/network-namespace.ts";
import { startNginx } from "../../support/nginx.ts";
import { OperatorDesk } from "../../support/operator-desk.ts";
import { blockVerdict, publishVerdict, unblockVerdict } from "../../support/published-verdicts.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { testStreams } from "../../support/streams.ts";
import { visit } from "../../support/visit.ts";

const TIMEOUT_MS = 20_000;
const PORT = 8086;
const names = ["a", "b", "c"] as const;
type HostName = (typeof names)[number];
const addressOf = { a: "198.18.0.1", b: "198.18.0.2", c: "198.18.0.3" } as const;

const ofFile = new Cleanup();
const ofTest = new Cleanup();
const hosts = new Map<HostName, FleetHost>();
let fleet: Fleet;
let visitor: NetworkNamespace;
let bus: Bus;
let applied: AppliedTap;
let command: OperatorDesk;
let used = 0;

beforeAll(async () => {
  fleet = await startFleet(ofFile);
  const sources = Array.from({ length: 40 }, (_, index) => `198.19.0.${index + 1}/32`);
  visitor = fleet.addVisitor("visitor", sources);
  const logger = new RecordingLogger();
  bus = ofFile.own(await connectBus({ servers: [fleet.nats.url], name: "test", logger }));
  await provisionStreams(bus, testStreams());
  for (const name of names) {
    const host = fleet.addHost(name, {
      addresses: [`${addressOf[name]}/32`],
      settings: name === "a" ? { PW_ALLOW: "192.0.2.77" } : {},
    });
    ofFile.own(await startNginx({ namespace: host.namespace, ports: [PORT], answer: "pong" }));
    hosts.set(name, host);
  }
  await Promise.all([...hosts.values()].map((host) => host.start("capture")));
  await Promise.all([...hosts.values()].map((host) => host.start("enforcer")));
  applied = ofFile.own(new AppliedTap(bus));
  command = new OperatorDesk(fleet.nats.url);
});
afterEach(() => ofTest.run());
afterAll(() => ofFile.run());

const hostOf = (name: HostName) => hosts.get(name) as FleetHost;

function newSource(): string {
  used++;
  return `198.19.0.${used}`;
}

/** What a source gets from an open port of each host. */
function answersOf(source: string): Promise<readonly string[]> {
  return Promise.all(
    names.map((name) => visit({ from: visitor, source, address: addressOf[name], port: PORT })),
  );
}

const everywhere = <T>(answer: T) => names.map(() => answer);

async function blockEverywhere(source: string): Promise<void> {
  const verdict = blockVerdict(source);
  await publishVerdict(bus, verdict);
  for (const name of names) await applied.of(name, verdict.id);
}

it("an entry is in every kernel when the command says so, and a block passes it from then on", async () => {
  const source = newSource();
  await blockEverywhere(source);
  expect(await answersOf(source)).toEqual(everywhere("timed out"));
  const changes = () =>
    names.map((name) => ofTest.own(hostOf(name).pinned("eth0")).maps.live().allowChanges);
  const before = changes();

  const { code, out } = await command.run("allow", "add", source, "--comment", "a partner");
  expect(out).toMatch(/^198\.19\.0\.\d+: allowed on 3\/3 hosts in \d+ ms\n$/);
  expect(code).toBe(0);
  // Told to the program, which remembers for a tick whom the list didn't hold.
  expect(changes()).toEqual(before.map((count) => count + 1));
  for (const name of names) {
    expect(ofTest.own(hostOf(name).pinned("eth0")).maps.allowed()).toContain(source);
  }
  expect(await answersOf(source)).toEqual(everywhere("pong"));
  for (const name of names) {
    expect(ofTest.own(hostOf(name).pinned("eth0")).maps.counters().spared).toBeGreaterThan(0);
  }

  const removed = await command.run("allow", "remove", source);
  expect(removed.out).toMatch(/: removed on 3\/3 hosts in \d+ ms\n$/);
  expect(await answersOf(source)).toEqual(everywhere("timed out"));
});

it("a verdict that hits an entry is spared on every host, and the log says so", async () => {
  const source = newSource();
  await command.run("allow", "add", `${source}/32`);
  const verdict = blockVerdict(source);
  await publishVerdict(bus, verdict);
  for (const name of names) {
    expect(await applied.of(name, verdict.id)).toMatchObject({ action: "spared" });
  }
  await hostOf("a").service("enforcer").logged("a verdict was spared: its source is allowed");
});

it("an entry with an end ends on time on every host, NATS alive or not", async () => {
  const source = newSource();
  await blockEverywhere(source);
  await command.run("allow", "add", source, "--ttl", "12s");
  expect(await answersOf(source)).toEqual(everywhere("pong"));
  await fleet.nats.pause();
  ofTest.defer(async () => {
    await fleet.nats.resume();
    // A line for each host between the header and the end.
    const lines = async () => (await command.run("enforce", "show")).out.split("\n");
    const areHeard = async () => (await lines()).length === names.length + 2;
    await waitUntil(areHeard, { timeoutMs: TIMEOUT_MS, what: "all hosts to be heard again" });
  });
  const isOver = (name: HostName) => {
    const pinned = hostOf(name).pinned("eth0");
    try {
      return !pinned.maps.allowed().includes(source);
    } finally {
      pinned.close();
    }
  };
  for (const name of names) {
    await waitUntil(() => isOver(name), { timeoutMs: TIMEOUT_MS, what: `the end on ${name}` });
  }
  expect(await answersOf(source)).toEqual(everywhere("timed out"));
});

it("the list says why each prefix is allowed, on which hosts and until when", async () => {
  const args = ["allow", "add", "203.0.113.0/24", "--comment", "audit", "--ttl", "2h"] as const;
  expect((await command.run(...args)).out).toContain("allowed on 3/3 hosts");
  const rows = await command.json("allow", "list");
  const row = (prefix: string) => rows.find((each) => each["prefix"] === prefix);
  expect(row("203.0.113.0/24")).toMatchObject({
    reasons: ["operator"],
    hosts: ["a", "b", "c"],
    comment: "audit",
    addedBy: "operator/alice@desk",
    expires: expect.stringMatching(/^20/),
  });
  expect(row("192.0.2.77")).toEqual({ prefix: "192.0.2.77", reasons: ["variable"], hosts: ["a"] });
  expect(row(addressOf.b)).toEqual({ prefix: addressOf.b, reasons: ["own_address"], hosts: ["b"] });
  const table = await command.run("allow", "list");
  expect(table.out).toMatch(/^PREFIX +WHY +HOSTS +EXPIRES IN +COMMENT\n/);
  expect(table.out).toMatch(/203\.0\.113\.0\/24 +operator alice@desk +all 3 +(2h|1h 59m) +audit/);
  expect(table.out).toMatch(/192\.0\.2\.77 +PW_ALLOW +a\n/);
});

it("check names the entries that cover an address, and fails where a host doesn't allow it", async () => {
  await command.run("allow", "add", "203.0.113.0/24", "--comment", "audit");
  const covered = await command.run("allow", "check", "203.0.113.9");
  expect(covered).toMatchObject({ code: 0, errors: "" });
  expect(covered.out).toBe(
    "203.0.113.9 is allowed on 3/3 hosts by\n" +
      "  203.0.113.0/24 (operator alice@desk: audit) on all 3\n",
  );
  const partly = await command.run("allow", "check", "192.0.2.77");
  expect(partly.code).toBe(1);
  expect(partly.errors).toBe(
    "packetwatch: 192.0.2.77 is allowed only on 1 of 3 hosts that is heard\n",
  );
  const nowhere = await command.run("allow", "check", "192.0.2.78");
  expect(nowhere).toMatchObject({ code: 1, out: "" });
});

it.each([
  [["allow", "add", "::/0"], 2, "IPv4"],
  [["allow", "add", "somewhere"], 2, "is not an IP address"],
  [["allow", "add", "0.0.0.0/0"], 1, "--force"],
  [["allow", "add", "2000::/3"], 1, "--force"],
  [["allow", "remove", "192.0.2.200"], 1, "no operator allows 192.0.2.200"],
] as const)("%j is refused in one line with exit code %d", async (args, code, text) => {
  const said = await command.run(...args);
  expect(said.code).toBe(code);
  expect(said.errors).toContain(text);
  expect(said.out).toBe("");
});

it("all of global IPv6 can be allowed by force, and IPv4 is blocked as before", async () => {
  const source = newSource();
  await blockEverywhere(source);
  const { code } = await command.run("allow", "add", "2000::/3", "--force");
  ofTest.defer(async () => void (await command.run("allow", "remove", "2000::/3")));
  expect(code).toBe(0);
  expect(await answersOf(source)).toEqual(everywhere("timed out"));
});

it("an enforcer that starts while NATS is away takes nothing from the list that is in the kernel", async () => {
  const source = newSource();
  await blockEverywhere(source);
  await command.run("allow", "add", source);
  const host = hostOf("a");
  await host.kill("enforcer");
  const starting = host.launch("enforcer", { PW_NATS_URL: "nats://10.255.0.1:9" });
  await starting.logged("NATS isn't reachable yet; waiting for it (PW_NATS_URL)");
  expect(ofTest.own(host.pinned("eth0")).maps.allowed()).toContain(source);
  await starting.kill();
  await host.start("enforcer");
  await host.service("enforcer").logged("block map reconciled");
  expect(ofTest.own(host.pinned("eth0")).maps.allowed()).toContain(source);
  expect(await answersOf(source)).toEqual(everywhere("pong"));
  await publishVerdict(bus, unblockVerdict(source));
});

it("an entry counts at once where capture has just made the lists anew", async () => {
  const source = newSource();
  await blockEverywhere(source);
  const host = hostOf("a");
  const old = ofTest.own(host.pinned("eth0")).maps.live().allowChanges;
  await host.kill("capture");
  await host.launch("capture", { PW_ALLOWED_ENTRIES: "2048" }).ready();
  const isOpen = () => host.service("enforcer").records.some(({ reason }) => reason === "new_maps");
  await waitUntil(isOpen, { timeoutMs: TIMEOUT_MS, what: "the enforcer to open the new maps" });
  expect(await answersOf(source)).toEqual(everywhere("timed out"));
  const { code } = await command.run("allow", "add", source);
  expect(code).toBe(0);
  expect(await answersOf(source)).toEqual(everywhere("pong"));
  const { maps } = ofTest.own(host.pinned("eth0"));
  expect(maps.allowed()).toContain(source);
  expect(maps.live().allowChanges).toBeGreaterThan(old);
});

it("a host that is not heard is named, and takes the entry in when it is back", async () => {
  const source = newSource();
  const host = hostOf("c");
  host.service("enforcer").pause();
  ofTest.defer(() => host.service("enforcer").resume());
  await waitUntil(async () => (await command.run("enforce", "show")).out.split("\n").length === 4, {
    timeoutMs: TIMEOUT_MS,
    what: "c to be silent",
  });
  const said = await command.run("allow", "add", source);
  expect(said.out).toMatch(/: allowed on 2\/3 hosts in \d+ ms; c not heard for \d+s\n$/);
  expect(said.code).toBe(1);
  host.service("enforcer").resume();
  const pinned = ofTest.own(host.pinned("eth0"));
  await waitUntil(() => pinned.maps.allowed().includes(source), {
    timeoutMs: TIMEOUT_MS,
    what: "c to take the entry in",
  });
});
