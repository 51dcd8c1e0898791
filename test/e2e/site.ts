import { connectBus } from "@packetwatch/bus";
import type { Cleanup } from "../support/cleanup.ts";
import { waitUntil } from "../support/eventually.ts";
import type { ServiceName, Settings } from "../support/fleet-service.ts";
import { type Fleet, type FleetHost, startFleet } from "../support/fleet.ts";
import type { NetworkNamespace } from "../support/network-namespace.ts";
import { startNginx } from "../support/nginx.ts";
import type { PinnedPacketwatch } from "../support/pinned-packetwatch.ts";
import { RecordingLogger } from "../support/recording-logger.ts";
import { SynTap, VerdictTap } from "../support/taps.ts";
import { type Answer, visit } from "../support/visit.ts";

export const SITE_PORTS = [8086, 8087, 8088] as const;
export const SITE_ANSWER = "pong";
/** Nobody listens on these, so that a scan of them leaves no connection. */
const CLOSED_PORTS = [1, 2, 3] as const;

/** A detector that crashed is replaced when its membership has ended (PW_DETECTOR_TTL). */
const BLOCK_TIMEOUT_MS = 20_000;
const SETTLE_TIMEOUT_MS = 5000;
const RECONNECT_TIMEOUT_MS = 15_000;

/** The interface that is watched: `eth0`, visited from another machine, or `lo`. */
export type SiteKind = "veth" | "lo";

const kinds = {
  veth: {
    interfaceName: "eth0",
    address: "198.18.0.1",
    ipv6Address: "fd00:18::1",
    sources: "198.19.0",
  },
  lo: { interfaceName: "lo", address: "127.0.0.1", ipv6Address: "::1", sources: "127.0.1" },
} as const;

/** Sources that a site's visitors can have. */
const MAX_SOURCES = 40;

export type SiteOptions = {
  readonly kind?: SiteKind;
  readonly settings?: Settings;
};

type SiteParts = {
  readonly fleet: Fleet;
  readonly host: FleetHost;
  readonly visitor: NetworkNamespace;
  readonly kind: SiteKind;
  readonly cleanup: Cleanup;
};

/** The services of a host that has all but `metrics`. */
export const pipeline = ["capture", "detector", "enforcer"] as const satisfies ServiceName[];

/** A web server, watched, and those who visit it from as many addresses as they need. */
export class Site {
  readonly fleet: Fleet;
  readonly host: FleetHost;
  readonly interfaceName: string;
  readonly address: string;
  readonly ipv6Address: string;
  readonly visitor: NetworkNamespace;
  readonly #sources: string;
  readonly #cleanup: Cleanup;
  #used = 0;

  constructor(parts: SiteParts) {
    const { interfaceName, address, ipv6Address, sources } = kinds[parts.kind];
    this.fleet = parts.fleet;
    this.host = parts.host;
    this.visitor = parts.visitor;
    this.interfaceName = interfaceName;
    this.address = address;
    this.ipv6Address = ipv6Address;
    this.#sources = sources;
    this.#cleanup = parts.cleanup;
  }

  /** An address that nobody has visited from. */
  newSource(): string {
    this.#used++;
    if (this.#used > MAX_SOURCES) throw new Error(`a site has ${MAX_SOURCES} sources`);
    return `${this.#sources}.${this.#used}`;
  }

  /** What `source` gets from a port that is open. */
  visit(source: string, port: number = SITE_PORTS[0]): Promise<Answer> {
    return visit({ from: this.visitor, source, address: this.address, port });
  }

  /** Attempts on closed ports, by default as many as make a scanner; each is refused. */
  async scan(source: string, ports: readonly number[] = CLOSED_PORTS): Promise<void> {
    for (const port of ports) {
      const answer = await this.visit(source, port);
      if (answer !== "refused") throw new Error(`scanning port ${port} from ${source}: ${answer}`);
    }
  }

  /** Scans from an address of its own, and waits until that is blocked. */
  async addBlockedSource(): Promise<string> {
    const source = this.newSource();
    await this.scan(source);
    await this.blocked(source);
    return source;
  }

  async blocked(source: string): Promise<void> {
    const pinned = this.openPins();
    const what = `${source} to be blocked\n${this.host.tails}`;
    try {
      await waitUntil(() => pinned.maps.blockOf(source), { timeoutMs: BLOCK_TIMEOUT_MS, what });
    } finally {
      pinned.close();
    }
  }

  /** The caller closes it. */
  openPins(): PinnedPacketwatch {
    return this.host.pinned(this.interfaceName);
  }

  /** Taps of their own connection, which outlives a NATS that comes back. */
  async tap(): Promise<SiteTaps> {
    const options = { servers: [this.fleet.nats.url], name: "test", logger: new RecordingLogger() };
    const bus = this.#cleanup.own(await connectBus(options));
    return {
      syns: this.#cleanup.own(new SynTap(bus)),
      verdicts: this.#cleanup.own(new VerdictTap(bus)),
    };
  }
}

export type SiteTaps = { readonly syns: SynTap; readonly verdicts: VerdictTap };

/** Makes the network, NATS and the web server; the services are the caller's to start. */
export async function createSite(
  cleanup: Cleanup,
  { kind = "veth", settings = {} }: SiteOptions = {},
): Promise<Site> {
  const fleet = await startFleet(cleanup);
  const isVeth = kind === "veth";
  const host = fleet.addHost("host", {
    settings,
    ...(isVeth ? { addresses: [`${kinds.veth.address}/32`, `${kinds.veth.ipv6Address}/128`] } : {}),
  });
  const { namespace } = host;
  const visitor = isVeth ? fleet.addVisitor("visitor", vethSources()) : namespace;
  cleanup.own(await startNginx({ namespace, ports: SITE_PORTS, answer: SITE_ANSWER }));
  return new Site({ fleet, host, visitor, kind, cleanup });
}

/** A site with its pipeline running. */
export async function startSite(cleanup: Cleanup, options: SiteOptions = {}): Promise<Site> {
  const site = await createSite(cleanup, options);
  await site.host.start(...pipeline);
  return site;
}

function vethSources(): readonly string[] {
  const { sources } = kinds.veth;
  return Array.from({ length: MAX_SOURCES }, (_, index) => `${sources}.${index + 1}/32`);
}

/** Waits until the stream has what the sensor reported, and holds the kernel's books against it. */
export async function balanceBooks(pinned: PinnedPacketwatch, syns: SynTap): Promise<void> {
  await waitUntil(() => syns.total === pinned.maps.counters().reported, {
    timeoutMs: SETTLE_TIMEOUT_MS,
    what: "everything that was reported to be in the stream",
  });
  const { synIpv4, synIpv6, reported, dropped, ringFull, thinned } = pinned.maps.counters();
  const seen = synIpv4 + synIpv6;
  const accounted = reported + dropped + ringFull + thinned;
  if (seen !== accounted) throw new Error(`${seen} SYNs seen, ${accounted} accounted for`);
}

/** Waits until all services have their connection to NATS again. */
export async function reconnected(site: Site): Promise<void> {
  for (const name of pipeline) {
    await site.host.service(name).logged("NATS is back", RECONNECT_TIMEOUT_MS);
  }
}
