import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bus, connectBus, provisionStreams } from "@packetwatch/bus";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { AppliedTap } from "../../support/applied-tap.ts";
import { ChildProgram, type TalkingChild } from "../../support/child-program.ts";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type Fleet, type FleetHost, MANAGEMENT_ADDRESS, startFleet } from "../../support/fleet.ts";
import { FleetService, type Settings } from "../../support/fleet-service.ts";
import type { NetworkNamespace } from "../../support/network-namespace.ts";
import { startNginx } from "../../support/nginx.ts";
import { blockVerdict, publishVerdict, unblockVerdict } from "../../support/published-verdicts.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { testStreams } from "../../support/streams.ts";
import { visit } from "../../support/visit.ts";

const TIMEOUT_MS = 20_000;
const ADDRESS = "198.18.0.1";
const GATEWAY = "198.18.0.254";
const RESOLVER = "198.18.0.53";
const UPSTREAM = "198.18.0.54";
const ADMIN = "198.18.0.7";
const STRANGER = "198.18.0.8";
const PORT = 8086;
const LOGIN_PORT = 2222;

const ofFile = new Cleanup();
const ofTest = new Cleanup();
const echoServer = new ChildProgram("echo-server");
const talker = new ChildProgram("talker");
let fleet: Fleet;
let host: FleetHost;
let visitor: NetworkNamespace;
let bus: Bus;
let applied: AppliedTap;
let files: string;

// The host's own files, as the enforcer sees them in a mount namespace of its own.
beforeAll(async () => {
  fleet = await startFleet(ofFile);
  files = mkdtempSync(join(tmpdir(), "packetwatch-host-"));
  ofFile.defer(() => rmSync(files, { recursive: true, force: true }));
  mkdirSync(join(files, "sessions"));
  const sources = [GATEWAY, RESOLVER, UPSTREAM, ADMIN, STRANGER];
  visitor = fleet.addVisitor(
    "visitor",
    sources.map((source) => `${source}/24`),
  );
  host = fleet.addHost("host", { addresses: [`${ADDRESS}/24`] });
  const { namespace } = host;
  namespace.ip("route", "replace", "default", "via", GATEWAY);
  ofFile.own(await startNginx({ namespace, ports: [PORT], answer: "pong" }));
  ofFile.own(await echoServer.start(namespace, [ADDRESS, String(LOGIN_PORT)]));
  const logger = new RecordingLogger();
  bus = ofFile.own(await connectBus({ servers: [fleet.nats.url], name: "test", logger }));
  await provisionStreams(bus, testStreams());
  // A stream that never held a verdict is no list to wait for.
  await publishVerdict(bus, unblockVerdict("192.0.2.99"));
  applied = ofFile.own(new AppliedTap(bus));
  await host.start("capture");
});
afterEach(() => ofTest.run());
afterAll(() => ofFile.run());

function writeHostFiles(logins: readonly string[]): void {
  writeFileSync(join(files, "resolv.conf"), `search example.com\nnameserver ${RESOLVER}\n`);
  writeFileSync(join(files, "upstreams"), `nameserver ${UPSTREAM}\n`);
  const record = (address: string) =>
    `[7] [04711] [ts/0] [alice   ] [pts/0       ] [${address}] [${address}] [2026-11-22T07:00:00,000000+00:00]\n`;
  // util-linux's own writer of the format.
  const input = logins.map(record).join("");
  const utmp = execFileSync("utmpdump", ["-r"], { input, stdio: ["pipe", "pipe", "ignore"] });
  writeFileSync(join(files, "utmp"), utmp);
}

/** As logind notes it when sshd opens a session through PAM. */
function writeSessionOf(login: string): void {
  const session = `UID=1000\nUSER=alice\nSTATE=active\nREMOTE=1\nREMOTE_HOST=${login}\n`;
  writeFileSync(join(files, "sessions", "1"), session);
  ofTest.defer(() => rmSync(join(files, "sessions", "1")));
}

/** An enforcer that finds these files in the places of the host's. */
async function startEnforcer(settings: Settings = {}): Promise<FleetService> {
  const script = [
    "mount -t tmpfs tmpfs /run",
    "mkdir -p /run/systemd/resolve /run/systemd/sessions",
    `cp ${files}/upstreams /run/systemd/resolve/resolv.conf`,
    `touch /run/utmp && mount --bind ${files}/utmp /run/utmp`,
    `mount --bind -o ro ${files}/sessions /run/systemd/sessions`,
    `mount --bind ${files}/resolv.conf "$(readlink -f /etc/resolv.conf)"`,
    'exec "$@"',
  ];
  const wrapper = ["unshare", "--mount", "sh", "-ec", script.join("\n"), "sh"];
  const { namespace } = host;
  const own = { ...host.settings, ...settings };
  const enforcer = new FleetService({ service: "enforcer", namespace, settings: own, wrapper });
  ofTest.own(enforcer);
  await enforcer.ready();
  await enforcer.logged("block map reconciled");
  return enforcer;
}

function answerTo(source: string): Promise<string> {
  return visit({ from: visitor, source, address: ADDRESS, port: PORT });
}

/** Publishes a verdict on a source, and gives what the host did with it. */
async function judge(source: string): Promise<string> {
  const verdict = blockVerdict(source);
  await publishVerdict(bus, verdict);
  ofTest.defer(() => publishVerdict(bus, unblockVerdict(source)));
  return (await applied.of("host", verdict.id)).action;
}

async function connectAs(source: string): Promise<TalkingChild> {
  const child = await talker.start(visitor, [ADDRESS, String(LOGIN_PORT), source]);
  ofTest.own(child);
  expect(await child.ask("open")).toBe("connected");
  return child;
}

function allowed(): readonly string[] {
  const pinned = host.pinned("eth0");
  try {
    return pinned.maps.allowed();
  } finally {
    pinned.close();
  }
}

describe("by default", () => {
  it.each([
    ["default gateway", GATEWAY],
    ["resolver", RESOLVER],
    ["server that the resolver's stub asks", UPSTREAM],
  ])("the %s is never blocked, and its verdict is spared", async (_what, source) => {
    writeHostFiles([]);
    const enforcer = await startEnforcer();
    expect(await judge(source)).toBe("spared");
    expect(await answerTo(source)).toBe("pong");
    await enforcer.logged("a verdict was spared: its source is allowed");
  });

  it("the NATS server is never blocked", async () => {
    writeHostFiles([]);
    await startEnforcer();
    await waitUntil(() => allowed().includes(MANAGEMENT_ADDRESS), {
      timeoutMs: TIMEOUT_MS,
      what: "the NATS server in the allow map",
    });
    expect(await judge(MANAGEMENT_ADDRESS)).toBe("spared");
  });

  it("somebody who is logged in is never blocked, and who only connects to sshd is", async () => {
    writeHostFiles([ADMIN]);
    await Promise.all([connectAs(ADMIN), connectAs(STRANGER)]);
    await startEnforcer();
    expect(await judge(ADMIN)).toBe("spared");
    expect(await judge(STRANGER)).toBe("blocked");
    expect(await answerTo(ADMIN)).toBe("pong");
    expect(await answerTo(STRANGER)).toBe("timed out");
  });

  it("so is who is logged in by logind alone, which is all that a container shows", async () => {
    writeHostFiles([]);
    // First, so that no block of the test before is left in the kernel.
    await startEnforcer();
    await Promise.all([connectAs(ADMIN), connectAs(STRANGER)]);
    writeSessionOf(ADMIN);
    await waitUntil(() => allowed().includes(ADMIN), {
      timeoutMs: TIMEOUT_MS,
      what: "the login in the allow map",
    });
    expect(await judge(ADMIN)).toBe("spared");
    expect(await judge(STRANGER)).toBe("blocked");
  });

  it("a session that ends takes its address from the list, and the block holds", async () => {
    writeHostFiles([ADMIN]);
    const session = await connectAs(ADMIN);
    await startEnforcer();
    expect(await judge(ADMIN)).toBe("spared");
    await session.close();
    await waitUntil(() => !allowed().includes(ADMIN), {
      timeoutMs: TIMEOUT_MS,
      what: "the address to leave the allow map",
    });
    expect(await answerTo(ADMIN)).toBe("timed out");
  });

  it("a gateway that changes is followed", async () => {
    writeHostFiles([]);
    await startEnforcer();
    expect(allowed()).toContain(GATEWAY);
    host.namespace.ip("route", "replace", "default", "via", "198.18.0.253");
    ofTest.defer(() => host.namespace.ip("route", "replace", "default", "via", GATEWAY));
    await waitUntil(() => allowed().includes("198.18.0.253") && !allowed().includes(GATEWAY), {
      timeoutMs: TIMEOUT_MS,
      what: "the new gateway in the place of the old",
    });
  });
});

it.each([
  ["PW_ALLOW_GATEWAYS", GATEWAY],
  ["PW_ALLOW_RESOLVERS", RESOLVER],
  ["PW_ALLOW_SSH_PEERS", ADMIN],
])("with %s=False that address is blocked as any other", async (variable, source) => {
  writeHostFiles([ADMIN]);
  await connectAs(ADMIN);
  await startEnforcer({ [variable]: "False" });
  expect(await judge(source)).toBe("blocked");
  expect(await answerTo(source)).toBe("timed out");
});

it("with PW_ALLOW_NATS_SERVERS=False the NATS server is no exception", async () => {
  writeHostFiles([]);
  await startEnforcer({ PW_ALLOW_NATS_SERVERS: "False" });
  expect(await judge(MANAGEMENT_ADDRESS)).toBe("blocked");
});
