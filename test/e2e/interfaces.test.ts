import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cleanup } from "../support/cleanup.ts";
import { waitUntil } from "../support/eventually.ts";
import { type FleetHost, startFleet } from "../support/fleet.ts";
import { connectNamespaces, type NetworkNamespace } from "../support/network-namespace.ts";
import { startNginx } from "../support/nginx.ts";
import type { PinnedPacketwatch } from "../support/pinned-packetwatch.ts";
import { visit } from "../support/visit.ts";

const PORT = 8086;
const BLOCK_TIMEOUT_MS = 5000;
/** Two cables between the same machines; the second one's name has a dot, which bpffs refuses. */
const cables = [
  { device: "a0", host: "198.18.1.1", visitor: ["198.18.1.2", "198.18.1.3", "198.18.1.4"] },
  { device: "b.0", host: "198.18.2.1", visitor: [] },
] as const;
const [cableA, cableB] = cables;
const [SCANNER, CLIENT, SECOND_SCANNER] = cableA.visitor;

describe("with PW_IFDEV of two interfaces", () => {
  const cleanup = new Cleanup();
  let host: FleetHost;
  let visitor: NetworkNamespace;
  let pinned: readonly PinnedPacketwatch[];

  beforeAll(async () => {
    const fleet = await startFleet(cleanup);
    host = fleet.addHost("host", { settings: { PW_IFDEV: "a0,b.0" } });
    visitor = fleet.addNamespace("visitor");
    for (const cable of cables) plug(cable);
    cleanup.own(await startNginx({ namespace: host.namespace, ports: [PORT], answer: "pong" }));
    await host.start("capture", "detector", "enforcer");
    pinned = cables.map(({ device }) => cleanup.own(host.pinned(device)));
  });
  afterAll(() => cleanup.run());

  function plug(cable: (typeof cables)[number]): void {
    const { device } = cable;
    const addresses = cable.visitor.map((address) => `${address}/24`);
    connectNamespaces(
      { namespace: host.namespace, interfaceName: device, addresses: [`${cable.host}/24`] },
      { namespace: visitor, interfaceName: device, addresses },
    );
    // The second cable has no address of the visitor's: whoever uses it comes from one of the first's.
    if (addresses.length === 0) visitor.ip("route", "add", `${cable.host}/32`, "dev", device);
  }

  function attempt(cable: (typeof cables)[number], source: string, port = PORT): Promise<string> {
    return visit({ from: visitor, source, address: cable.host, port });
  }

  const seenOn = (index: number) => pinned[index]?.maps.counters().synIpv4;

  async function blockedOnBoth(source: string): Promise<void> {
    const isBlocked = ({ maps }: PinnedPacketwatch) => maps.blockOf(source) !== undefined;
    const what = `${source} to be blocked on both\n${host.tails}`;
    await waitUntil(() => pinned.every(isBlocked), { timeoutMs: BLOCK_TIMEOUT_MS, what });
  }

  it("each has a program and pins of its own", () => {
    const watching = host.service("capture").records.filter(({ msg }) => msg === "watching");
    expect(watching).toMatchObject([
      { interface: "a0", mode: "native", attachment: "attached" },
      { interface: "b.0", mode: "native", attachment: "attached" },
    ]);
    const links = ["a0", "b%2e0"].map((folder) => join(host.pinDir, folder, "link"));
    expect(links.filter((link) => !existsSync(link))).toEqual([]);
  });

  it("each counts what comes through it, and nothing else", async () => {
    expect([seenOn(0), seenOn(1)]).toEqual([0, 0]);
    expect(await attempt(cableA, CLIENT)).toBe("pong");
    expect([seenOn(0), seenOn(1)]).toEqual([1, 0]);
    expect(await attempt(cableB, CLIENT)).toBe("pong");
    expect([seenOn(0), seenOn(1)]).toEqual([1, 1]);
  });

  it("a scan through one is dropped on both", async () => {
    for (const port of [1, 2, 3]) expect(await attempt(cableA, SCANNER, port)).toBe("refused");
    await blockedOnBoth(SCANNER);
    expect(await attempt(cableA, SCANNER)).toBe("timed out");
    expect(await attempt(cableB, SCANNER)).toBe("timed out");
    // One or, where the visitor gives up late, its repetition too.
    for (const { maps } of pinned) {
      expect(maps.blockOf(SCANNER)?.dropped).toBeGreaterThanOrEqual(1n);
    }
    expect(await attempt(cableA, CLIENT)).toBe("pong");
    expect(await attempt(cableB, CLIENT)).toBe("pong");
  });

  it("a scan of one address through both is one scan, and dropped on both", async () => {
    const viaSecond = () =>
      visit({ from: visitor, source: SECOND_SCANNER, address: cableA.host, port: 3 });
    for (const port of [1, 2]) expect(await attempt(cableA, SECOND_SCANNER, port)).toBe("refused");
    visitor.ip("route", "add", `${cableA.host}/32`, "dev", cableB.device);
    cleanup.defer(() => visitor.ip("route", "del", `${cableA.host}/32`, "dev", cableB.device));
    const before = seenOn(1) ?? 0;
    expect(await viaSecond()).toBe("refused");
    expect(seenOn(1)).toBe(before + 1);
    await blockedOnBoth(SECOND_SCANNER);
  });
});
