import { rmSync } from "node:fs";
import { type Bus, connectBus, provisionStreams } from "@packetwatch/bus";
import { pinPaths } from "@packetwatch/contracts";
import { afterAll, beforeAll, expect, it } from "vitest";
import { AppliedTap } from "../../support/applied-tap.ts";
import { BackgroundCommand } from "../../support/background-command.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type Fleet, type FleetHost, startFleet } from "../../support/fleet.ts";
import type { NetworkNamespace } from "../../support/network-namespace.ts";
import { startNginx } from "../../support/nginx.ts";
import { OperatorDesk } from "../../support/operator-desk.ts";
import { COMMAND_BUNDLE, jsonLines } from "../../support/packetwatch-command.ts";
import type { PinnedPacketwatch } from "../../support/pinned-packetwatch.ts";
import { blockVerdict, publishVerdict } from "../../support/published-verdicts.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { testStreams } from "../../support/streams.ts";
import { visit } from "../../support/visit.ts";

const TIMEOUT_MS = 20_000;
const PORT = 8086;
const SOURCE = "198.19.0.1";
const names = ["a", "b"] as const;
type HostName = (typeof names)[number];
const addressOf = { a: "198.18.0.1", b: "198.18.0.2" } as const;

const cleanup = new Cleanup();
const hosts = new Map<HostName, FleetHost>();
const pins = new Map<HostName, PinnedPacketwatch>();
let fleet: Fleet;
let visitor: NetworkNamespace;
let command: OperatorDesk;

// One source is blocked on two hosts from the beginning; `b` has PW_ENFORCE=False.
beforeAll(async () => {
  fleet = await startFleet(cleanup);
  visitor = fleet.addVisitor("visitor", [`${SOURCE}/32`]);
  const logger = new RecordingLogger();
  const bus: Bus = cleanup.own(
    await connectBus({ servers: [fleet.nats.url], name: "test", logger }),
  );
  await provisionStreams(bus, testStreams());
  for (const name of names) {
    const settings = name === "b" ? { PW_ENFORCE: "False" } : {};
    const host = fleet.addHost(name, { addresses: [`${addressOf[name]}/32`], settings });
    cleanup.own(await startNginx({ namespace: host.namespace, ports: [PORT], answer: "pong" }));
    await host.start("capture");
    await host.start("enforcer");
    hosts.set(name, host);
    pins.set(name, cleanup.own(host.pinned("eth0")));
  }
  const applied = cleanup.own(new AppliedTap(bus));
  const verdict = blockVerdict(SOURCE);
  await publishVerdict(bus, verdict);
  for (const name of names) await applied.of(name, verdict.id);
  command = new OperatorDesk(fleet.nats.url);
  // They say it once a second, and until then no command knows of them.
  await waitUntil(async () => (await shownHosts()).length === names.length, {
    timeoutMs: TIMEOUT_MS,
    what: "both hosts to say what they do",
  });
});
afterAll(() => cleanup.run());

async function shownHosts(): Promise<readonly unknown[]> {
  return await command.json("enforce", "show");
}

/** What the blocked source gets from each host. */
function answers(): Promise<readonly string[]> {
  return Promise.all(
    names.map((name) => {
      return visit({ from: visitor, source: SOURCE, address: addressOf[name], port: PORT });
    }),
  );
}

const hostOf = (name: HostName) => hosts.get(name) as FleetHost;
const countersOf = (name: HostName) => (pins.get(name) as PinnedPacketwatch).maps.counters();

it("without a setting each host does what its PW_ENFORCE says", async () => {
  expect(await answers()).toEqual(["timed out", "pong"]);
  const show = await command.json("enforce", "show");
  expect(show).toMatchObject([
    { host: "a", enforcing: "on", enforcedBy: "variable" },
    { host: "b", enforcing: "off", enforcedBy: "variable" },
  ]);
});

it("off is a dry run on all hosts, and would-drops are counted", async () => {
  const { code, out } = await command.run("enforce", "off");
  expect(out).toMatch(/^dry run on 2\/2 hosts in \d+ ms\n$/);
  expect(code).toBe(0);
  const before = countersOf("a");
  expect(await answers()).toEqual(["pong", "pong"]);
  const after = countersOf("a");
  expect(after.wouldDrop - before.wouldDrop).toBe(1);
  expect(after.dropped).toBe(before.dropped);
});

it("the list of blocks and the console say which hosts are in a dry run", async () => {
  const list = await command.run("blocked");
  expect(list.out).toMatch(/^198\.19\.0\.1 .* 0\/2 \(2 in a dry run\) /m);
  const notice = "packetwatch: dry run: nothing is dropped on a, b ('packetwatch enforce show')";
  expect(list.errors).toBe(`${notice}; DROPPED counts what would have been\n`);
  expect((await command.json("blocked"))[0]).toMatchObject({
    hosts: [
      { host: "a", state: "dry_run" },
      { host: "b", state: "dry_run" },
    ],
  });

  const tail = cleanup.own(
    new BackgroundCommand(fleet.core, [
      "env",
      `PW_NATS_URL=${fleet.nats.url}`,
      process.execPath,
      COMMAND_BUNDLE,
      "tail",
      "--format",
      "line",
    ]),
  );
  await waitUntil(() => tail.output.includes(notice), {
    timeoutMs: TIMEOUT_MS,
    what: "the notice",
  });
  await answers();
  const row = new RegExp(`: New connection \\(would be dropped\\): ${SOURCE}:\\d+ -> `);
  await waitUntil(() => row.test(tail.output), { timeoutMs: TIMEOUT_MS, what: "a row" });
});

it("what is set outlives restarts of capture and enforcer, without a moment of the other", async () => {
  const host = hostOf("a");
  const before = countersOf("a").dropped;
  await host.kill("capture", "enforcer");
  await host.start("capture");
  expect(await answers()).toEqual(["pong", "pong"]);
  await host.start("enforcer");
  await host.service("enforcer").logged("block map reconciled");
  expect(await answers()).toEqual(["pong", "pong"]);
  expect(countersOf("a").dropped).toBe(before);
});

it("a host that was made anew takes the setting over before it blocks anybody", async () => {
  const host = hostOf("a");
  await host.kill("capture", "enforcer");
  const detached = await command.runFor(host, "detach");
  expect(detached.code).toBe(0);
  await host.start("capture", "enforcer");
  await host.service("enforcer").logged("block map reconciled");
  pins.set("a", cleanup.own(host.pinned("eth0")));
  expect(await answers()).toEqual(["pong", "pong"]);
  expect(countersOf("a")).toMatchObject({ dropped: 0, wouldDrop: 1 });
});

it("one host can be switched alone", async () => {
  const { out } = await command.run("enforce", "on", "--host", "b");
  expect(out).toMatch(/^dropping on 1\/1 host in \d+ ms\n$/);
  expect(await answers()).toEqual(["pong", "timed out"]);
  const show = await command.run("enforce", "show");
  expect(show.out).toMatch(/^a +dry run +set for the fleet\nb +dropping +set for the host\n$/m);
});

it("a trial goes back to what each host had, with its enforcer dead and NATS frozen", async () => {
  const { out } = await command.run("enforce", "on", "--confirm", "12s");
  expect(out).toMatch(/^dropping on 2\/2 hosts in \d+ ms; goes back in 12 s unless/);
  expect(await answers()).toEqual(["timed out", "timed out"]);
  for (const name of names) hostOf(name).service("enforcer").pause();
  await fleet.nats.pause();
  const isBack = async () => (await answers()).join() === "pong,timed out";
  await waitUntil(isBack, { timeoutMs: TIMEOUT_MS, what: "the trial to end" });
  await fleet.nats.resume();
  for (const name of names) hostOf(name).service("enforcer").resume();
  const areHeard = async () => (await shownHosts()).length === names.length;
  await waitUntil(areHeard, { timeoutMs: TIMEOUT_MS, what: "both hosts to be heard again" });
});

it("a trial that is over can't be confirmed", async () => {
  const said = await command.run("enforce", "confirm");
  expect(said).toMatchObject({ code: 1, out: "" });
  expect(said.errors).toContain("nothing is on trial for the fleet");
});

it("a trial that is confirmed stays", async () => {
  const tried = await command.run("enforce", "on", "--confirm", "60s", "--json");
  const [{ until, untilUs } = {}] = jsonLines(tried);
  expect(until).toBe(new Date(Number(untilUs) / 1000).toISOString());
  const [shown] = jsonLines(await command.run("enforce", "show", "--json"));
  expect(shown).toMatchObject({ trialUntil: until, trialUntilUs: untilUs });
  const confirmed = await command.run("enforce", "confirm");
  expect(confirmed.out).toMatch(/^confirmed 'on' on 2\/2 hosts in \d+ ms\n$/);
  const live = () => names.map((name) => pins.get(name)?.maps.live());
  expect(live()).toMatchObject([
    { set: "on", untilNs: 0n },
    { set: "on", untilNs: 0n },
  ]);
  expect(await answers()).toEqual(["timed out", "timed out"]);
});

it("default gives the decision back to PW_ENFORCE", async () => {
  const { out } = await command.run("enforce", "default");
  expect(out).toMatch(/^back to PW_ENFORCE on 2\/2 hosts/);
  expect(await answers()).toEqual(["timed out", "pong"]);
});

it("a host that nobody knows is refused, and the known ones are named", async () => {
  const said = await command.run("enforce", "off", "--host", "c");
  expect(said.code).toBe(1);
  expect(said.errors).toBe("packetwatch: no host c was heard; known: a, b\n");
});

it("a host without a program says that, and not that it is in a dry run", async () => {
  const host = hostOf("b");
  await host.kill("capture");
  rmSync(pinPaths(host.settings["PW_PIN_DIR"] ?? "", "eth0").link);
  const isSaid = async () => {
    const { out } = await command.run("enforce", "show");
    return /^b +no XDP program yet/m.test(out);
  };
  await waitUntil(isSaid, { timeoutMs: TIMEOUT_MS, what: "the host to say so" });
  const isNoted = async () => (await command.run("status")).out.includes("dry run");
  const what = "its last word of a dry run to be over";
  await waitUntil(async () => !(await isNoted()), { timeoutMs: TIMEOUT_MS, what });
  const nothing = "b: nothing is enforced on 1 interface: is capture running?";
  expect((await command.run("status")).out).toContain(nothing);
  expect(await command.json("enforce", "show")).toContainEqual(
    expect.objectContaining({ host: "b", enforcing: null }),
  );
});
