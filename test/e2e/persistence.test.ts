import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { BackgroundCommand } from "../support/background-command.ts";
import { Cleanup } from "../support/cleanup.ts";
import { waitUntil } from "../support/eventually.ts";
import type { ServiceName } from "../support/fleet-service.ts";
import type { PinnedPacketwatch } from "../support/pinned-packetwatch.ts";
import { pipeline, reconnected, type Site, type SiteKind, startSite } from "./site.ts";

type Setting = { readonly kind: SiteKind; readonly mode: string; readonly shown: RegExp };

const settings: readonly Setting[] = [
  { kind: "veth", mode: "native", shown: / xdp / },
  { kind: "lo", mode: "skb", shown: / xdpgeneric / },
];
const crashes: readonly { readonly what: string; readonly killed: readonly ServiceName[] }[] = [
  ...pipeline.map((name) => ({ what: name, killed: [name] })),
  { what: "all of them at once", killed: pipeline },
];

/** Enough for the retries of services that found NATS away. */
const RECOVERY_TIMEOUT_MS = 10_000;

describe.each(settings)("on $kind", ({ kind, mode, shown }) => {
  const ofSite = new Cleanup();
  const ofTest = new Cleanup();
  let site: Site;
  let pinned: PinnedPacketwatch;

  beforeAll(async () => {
    site = await startSite(ofSite, { kind });
  });
  afterAll(() => ofSite.run());
  beforeEach(() => {
    pinned = ofTest.own(site.openPins());
  });
  afterEach(() => ofTest.run());

  /** A source that is blocked, and goes on to attempt without pause. */
  async function addStubbornSource(): Promise<string> {
    const source = await site.addBlockedSource();
    const flood = ["hping3", "-q", "-S", "-a", source, "-p", "8086", "-i", "u2000"] as const;
    const target = [...flood, site.address] as const;
    ofTest.own(new BackgroundCommand(site.visitor, target));
    await droppedOf(source, 1);
    return source;
  }

  /** Waits until so many more of its attempts were dropped. */
  async function droppedOf(source: string, more: number): Promise<void> {
    const dropped = () => Number(pinned.maps.blockOf(source)?.dropped ?? 0n);
    const from = dropped();
    const waitOptions = { timeoutMs: RECOVERY_TIMEOUT_MS, what: `${source} to be dropped` };
    await waitUntil(() => dropped() >= from + more, waitOptions);
  }

  it(`a first start attaches the program, pins its link and maps, and reports mode ${mode}`, async () => {
    const watching = await site.host.service("capture").logged("watching");
    expect(watching).toMatchObject({ mode, attachment: "attached", interface: site.interfaceName });
    expect(site.host.namespace.ip("link", "show", site.interfaceName)).toMatch(shown);
    const folder = join(site.host.pinDir, site.interfaceName);
    const pins = ["link", "events", "blocked", "allowed", "counters", "live"];
    expect(pins.filter((name) => !existsSync(join(folder, name)))).toEqual([]);
  });

  it.each(crashes)(
    "kill -9 of $what leaves blocks in force, and a restart loses none",
    async ({ killed }) => {
      const blocked = await addStubbornSource();
      const passedBefore = pinned.maps.counters();
      const before = pinned.maps.blockOf(blocked);

      await site.host.kill(...killed);
      expect(await site.visit(blocked)).toBe("timed out");
      expect(await site.visit(site.newSource())).toBe("pong");
      await droppedOf(blocked, 50);

      await site.host.start(...killed);
      expect(await site.visit(blocked)).toBe("timed out");
      await droppedOf(blocked, 50);
      const after = pinned.maps.blockOf(blocked);
      expect(after?.dropped).toBeGreaterThan(before?.dropped ?? 0n);
      expect(after?.firstDropNs).toBe(before?.firstDropNs);

      // What passed meanwhile is the one visit from elsewhere.
      expect(pinned.maps.counters().reported - passedBefore.reported).toBe(1);
      const watching = await site.host.service("capture").logged("watching");
      if (killed.includes("capture"))
        expect(watching).toMatchObject({ mode, attachment: "replaced" });
      expect(await site.visit(await site.addBlockedSource())).toBe("timed out");
    },
  );

  it("a NATS that crashes and comes back lifts no block, and new scanners are found again", async () => {
    const blocked = await addStubbornSource();
    await site.fleet.nats.kill();
    expect(await site.visit(blocked)).toBe("timed out");

    await site.fleet.nats.start();
    await reconnected(site);
    expect(await site.visit(await site.addBlockedSource())).toBe("timed out");
    expect(await site.visit(blocked)).toBe("timed out");
    expect(await site.visit(site.newSource())).toBe("pong");
  });

  it("a host on which everything crashed, NATS too, comes back with its blocks", async () => {
    const blocked = await addStubbornSource();
    const { firstDropNs } = pinned.maps.blockOf(blocked) ?? {};
    await Promise.all([site.host.kill(...pipeline), site.fleet.nats.kill()]);
    expect(await site.visit(blocked)).toBe("timed out");

    await site.fleet.nats.start();
    await site.host.start(...pipeline);
    await site.host.service("enforcer").logged("block map reconciled");
    expect(await site.visit(blocked)).toBe("timed out");
    expect(pinned.maps.blockOf(blocked)?.firstDropNs).toBe(firstDropNs);
    expect(await site.visit(await site.addBlockedSource())).toBe("timed out");
  });

  it("a NATS that has lost its disk lifts no block", async () => {
    const blocked = await addStubbornSource();
    await site.host.kill(...pipeline);
    await site.fleet.nats.restart({ store: "lost" });
    await site.host.start(...pipeline);
    expect(await site.visit(await site.addBlockedSource())).toBe("timed out");
    expect(await site.visit(blocked)).toBe("timed out");
  });
});
