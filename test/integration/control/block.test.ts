import { connectBus, StreamReader } from "@packetwatch/bus";
import { decodeVerdict, streamNames, subjects, type Verdict } from "@packetwatch/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cleanup } from "../../support/cleanup.ts";
import { waitUntil } from "../../support/eventually.ts";
import { type Fleet, type FleetHost, startFleet } from "../../support/fleet.ts";
import type { NetworkNamespace } from "../../support/network-namespace.ts";
import { startNginx } from "../../support/nginx.ts";
import { jsonLines, runPacketwatch } from "../../support/packetwatch-command.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { visit } from "../../support/visit.ts";

const PORT = 8086;
const SILENCE_TIMEOUT_MS = 60_000;
const addresses = { a: "198.18.0.1", b: "198.18.0.2", c: "198.18.0.3" } as const;
type HostName = keyof typeof addresses;
const names = Object.keys(addresses) as readonly HostName[];
const allowedSource = "198.19.0.77";
/** One address of an IPv6 source. */
const allowedAddress = "2001:db8:77::7";

const cleanup = new Cleanup();
let fleet: Fleet;
let visitor: NetworkNamespace;
const hosts = new Map<HostName, FleetHost>();

beforeAll(async () => {
  fleet = await startFleet(cleanup);
  const sources = Array.from({ length: 80 }, (_, index) => `198.19.0.${index + 1}/32`);
  visitor = fleet.addVisitor("visitor", sources);
  for (const name of names) {
    const settings = name === "b" ? { PW_ALLOW: `${allowedSource},${allowedAddress}` } : {};
    const host = fleet.addHost(name, { addresses: [`${addresses[name]}/32`], settings });
    cleanup.own(await startNginx({ namespace: host.namespace, ports: [PORT], answer: "pong" }));
    hosts.set(name, host);
  }
  await fleet.start("detector", { PW_VERTICAL_ACTION: "alert" });
  await Promise.all([...hosts.values()].map((host) => host.start("capture", "enforcer")));
  // Each host's enforcer has spoken.
  await waitUntil(async () => (await packetwatch("unblock", "--all")).code === 0, {
    timeoutMs: SILENCE_TIMEOUT_MS,
    what: "the fleet to be known",
  });
  await known(3);
});
afterAll(() => cleanup.run());

function packetwatch(...args: readonly string[]) {
  const settings = { ...fleet.operator, PW_HOST: "desk", SUDO_USER: "alice" };
  return runPacketwatch({ settings, args });
}

/** Waits until so many hosts take part in what a command reports. */
async function known(count: number): Promise<void> {
  const confirmed = async () => {
    const ran = await packetwatch("block", "203.0.113.250", "--json");
    const done = jsonLines(ran)[0]?.["done"] as readonly string[] | undefined;
    return done?.length === count;
  };
  await waitUntil(confirmed, { timeoutMs: SILENCE_TIMEOUT_MS, what: `${count} hosts` });
  await packetwatch("unblock", "203.0.113.250");
}

function answersOf(source: string): Promise<readonly string[]> {
  return Promise.all(
    names.map((name) => visit({ from: visitor, source, address: addresses[name], port: PORT })),
  );
}
const everywhere = (answer: string) => names.map(() => answer);

async function verdicts(): Promise<readonly Verdict[]> {
  const logger = new RecordingLogger();
  const bus = await connectBus({ servers: [fleet.nats.url], name: "test", logger });
  const found: Verdict[] = [];
  let onCaughtUp: () => void = () => undefined;
  const caughtUp = new Promise<void>((resolve) => (onCaughtUp = resolve));
  const reader = new StreamReader({
    bus,
    stream: streamNames.verdict,
    filter: subjects.everyVerdict,
    start: { kind: "last_per_subject" },
    prefetch: 100,
    onMessage: ({ payload, markerReason }) => {
      if (markerReason === undefined) found.push(decodeVerdict(payload));
    },
    onCaughtUp,
    logger,
  });
  await caughtUp;
  await reader.close();
  await bus.close();
  return found;
}

describe("block and unblock", () => {
  it("take effect on every host before the command ends", async () => {
    const [source, other] = ["198.19.0.1", "198.19.0.2"];
    expect(await answersOf(source)).toEqual(everywhere("pong"));

    const blocked = await packetwatch("block", source, "--ttl", "1h", "--reason", "ticket 4711");
    expect(blocked).toMatchObject({ code: 0, errors: "" });
    expect(blocked.out).toMatch(/^blocked on 3\/3 hosts in \d+ ms\n$/);
    console.log(blocked.out.trim());
    expect(await answersOf(source)).toEqual(everywhere("timed out"));
    expect(await answersOf(other)).toEqual(everywhere("pong"));

    const lifted = await packetwatch("unblock", source);
    expect(lifted.out).toMatch(/^lifted on 3\/3 hosts in \d+ ms\n$/);
    console.log(lifted.out.trim());
    expect(await answersOf(source)).toEqual(everywhere("pong"));
  });

  it("leave a verdict that names who decided, why, and until when", async () => {
    await packetwatch("block", "198.19.0.3", "--ttl", "90s", "--reason", "ticket 4711");
    const found = (await verdicts()).find(({ source }) => source === "198.19.0.3");
    expect(found).toMatchObject({
      kind: "block",
      rule: "operator",
      decidedBy: "operator/alice@desk",
      reason: "ticket 4711",
      evidence: null,
    });
    const { issuedUs, expiresUs } = found as Extract<Verdict, { kind: "block" }>;
    expect((expiresUs ?? 0) - issuedUs).toBe(90_000_000);
    await packetwatch("unblock", "198.19.0.3");
  });

  it("a block ends on time by itself", async () => {
    const source = "198.19.0.4";
    await packetwatch("block", source, "--ttl", "10s");
    expect(await answersOf(source)).toEqual(everywhere("timed out"));
    await waitUntil(async () => (await answersOf(source)).join() === everywhere("pong").join(), {
      timeoutMs: 30_000,
      what: "the block to end",
    });
    expect((await packetwatch("unblock", source)).errors).toContain("is not blocked");
  });

  it("a CIDR is blocked source by source, and lifted in one go", async () => {
    const { out, code } = await packetwatch("block", "198.19.0.16/30");
    expect(code).toBe(0);
    expect(out).toMatch(/^4 sources blocked on 3\/3 hosts in \d+ ms\n$/);
    expect(await answersOf("198.19.0.19")).toEqual(everywhere("timed out"));
    expect(await answersOf("198.19.0.20")).toEqual(everywhere("pong"));
    await packetwatch("block", "198.19.0.24");

    const some = await packetwatch("unblock", "198.19.0.18/31");
    expect(some.out).toMatch(/^2 sources lifted on 3\/3 hosts/);
    expect(await answersOf("198.19.0.19")).toEqual(everywhere("pong"));
    expect(await answersOf("198.19.0.17")).toEqual(everywhere("timed out"));
    const all = await packetwatch("unblock", "--all");
    expect(all.out).toMatch(/^3 sources lifted on 3\/3 hosts/);
    expect((await packetwatch("unblock", "--all")).out).toBe("nothing is blocked\n");
    expect(await answersOf("198.19.0.24")).toEqual(everywhere("pong"));
  });

  it("an allow-listed address of an IPv6 source is refused, and its neighbour is not", async () => {
    const refused = await packetwatch("block", allowedAddress);
    expect(refused).toMatchObject({ code: 1, out: "" });
    expect(refused.errors).toContain(`${allowedAddress} is allow-listed on b, where nothing of it`);
    const neighbour = await packetwatch("block", "2001:db8:77::8");
    expect(neighbour.out).toMatch(/^blocked on 3\/3 hosts/);
    const explained = await packetwatch("explain", allowedAddress);
    expect(explained.out).toMatch(/^2001:db8:77::\/64 is blocked on 3\/3 hosts/);
    expect(explained.out).toMatch(/^Address +2001:db8:77::7 itself is allow-listed/m);
    expect((await packetwatch("unblock", allowedAddress)).code).toBe(0);
  });

  it("an allow-listed source is refused, and with --force spared where it is allowed", async () => {
    const refused = await packetwatch("block", allowedSource);
    expect(refused).toMatchObject({ code: 1, out: "" });
    expect(refused.errors).toBe(
      `packetwatch: ${allowedSource} is allow-listed on b, where nothing of it would be dropped; --force blocks it on the other hosts\n`,
    );
    expect((await packetwatch("block", addresses.a)).errors).toContain("is allow-listed on a,");
    const forced = await packetwatch("block", allowedSource, "--force");
    expect(forced.code).toBe(0);
    expect(forced.out).toMatch(/^blocked on 2\/3 hosts in \d+ ms; b spared: allow-listed there\n$/);
    expect(await answersOf(allowedSource)).toEqual(["timed out", "pong", "timed out"]);
    const listed = jsonLines(await packetwatch("blocked", allowedSource, "--json"))[0];
    expect(listed?.["hosts"]).toMatchObject([
      { host: "a", state: "applied" },
      { host: "b", state: "spared" },
      { host: "c", state: "applied" },
    ]);
    await packetwatch("unblock", allowedSource);
  });

  it.each([
    ["198.19.0.50", "198.19.0.50 is not blocked; 'packetwatch blocked' lists what is"],
    ["198.19.0.48/29", "nothing in 198.19.0.48/29 is blocked; 'packetwatch blocked' lists what is"],
  ])("unblock %s, where nothing is blocked, is one line and exit code 1", async (text, message) => {
    const ran = await packetwatch("unblock", text);
    expect(ran).toEqual({ code: 1, out: "", errors: `packetwatch: ${message}\n` });
  });
});

describe("blocked", () => {
  it("tells what each kernel dropped, in order, and filters", async () => {
    const [first, second] = ["198.19.0.31", "198.19.0.30"] as const;
    await packetwatch("block", first);
    await packetwatch("block", second, "--ttl", "1h");
    await visit({ from: visitor, source: first, address: addresses.b, port: PORT });
    const drops = async () => {
      const [row] = jsonLines(await packetwatch("blocked", first, "--json"));
      return row?.["dropped"] as number;
    };
    expect(await drops()).toBeGreaterThanOrEqual(1);
    const [row] = jsonLines(await packetwatch("blocked", first, "--json"));
    expect(row).toMatchObject({
      source: first,
      rule: "operator",
      hosts: [
        { host: "a", state: "applied", dropped: 0, firstDrop: null },
        { host: "b", state: "applied", firstDrop: expect.any(String) },
        { host: "c", state: "applied", dropped: 0, firstDrop: null },
      ],
      unanswered: [],
    });
    const sourcesOf = async (...args: readonly string[]) =>
      jsonLines(await packetwatch("blocked", "--json", ...args)).map(({ source }) => source);
    expect(await sourcesOf()).toEqual([first, second]);
    expect(await sourcesOf("--sort", "source")).toEqual([second, first]);
    expect(await sourcesOf("--sort", "dropped")).toEqual([first, second]);
    expect(await sourcesOf("--sort", "expires", "--limit", "1")).toEqual([second]);
    expect(await sourcesOf("--rule", "vertical")).toEqual([]);
    const table = await packetwatch("blocked");
    expect(table.out).toMatch(/198\.19\.0\.31 +operator .* never +3\/3 +\d+ \(b \d+\)/);
    console.log(table.out);
    await packetwatch("unblock", "--all");
    expect((await packetwatch("blocked")).out).toBe("nothing is blocked\n");
  });

  it("lists thousands, page by page", async () => {
    await packetwatch("block", "203.0.112.0/22");
    await packetwatch("block", "203.0.116.0/22");
    const rows = jsonLines(await packetwatch("blocked", "--json"));
    expect(rows).toHaveLength(2048);
    const states = rows.flatMap(({ hosts }) => hosts as readonly { state: string }[]);
    expect(states.filter(({ state }) => state === "applied")).toHaveLength(3 * 2048);
    expect((await packetwatch("unblock", "--all")).out).toMatch(/^2048 sources lifted on 3\/3/);
  });
});

describe("a host that is stopped", () => {
  it("is named when it has not confirmed, is not waited for once it is silent, and catches up", async () => {
    const source = "198.19.0.40";
    const enforcer = hosts.get("c")?.service("enforcer");
    enforcer?.pause();
    try {
      const late = await packetwatch("block", source, "--wait", "3s", "--force");
      expect(late.code).toBe(1);
      expect(late.out).toMatch(/^blocked on 2\/3 hosts in \d+ ms; c not /);

      const silentSeconds = async () => {
        const [report] = jsonLines(await packetwatch("block", source, "--json", "--force"));
        const silent = report?.["silent"] as readonly { host: string; silentSeconds: number }[];
        return silent[0]?.host === "c" && silent[0].silentSeconds >= 5;
      };
      await waitUntil(silentSeconds, { timeoutMs: SILENCE_TIMEOUT_MS, what: "c to be silent" });
      const silent = await packetwatch("block", source, "--wait", "50s");
      expect(silent.code).toBe(1);
      expect(silent.out).toMatch(/^blocked on 2\/3 hosts in \d+ ms; c not heard for \d+s\n$/);
      console.log(silent.out.trim());
      const listed = await packetwatch("blocked");
      expect(listed.code).toBe(0);
      expect(listed.out).toContain("2/2");
      expect(listed.errors).toMatch(/c not heard for \d+s: what they drop is not counted here/);
    } finally {
      enforcer?.resume();
    }
    const isEverywhere = async () =>
      (await answersOf(source)).join() === everywhere("timed out").join();
    await waitUntil(isEverywhere, { timeoutMs: SILENCE_TIMEOUT_MS, what: "c to catch up" });
    await known(3);
    expect((await packetwatch("unblock", source)).out).toMatch(/^lifted on 3\/3 hosts/);
  });
});
