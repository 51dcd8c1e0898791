import { BackgroundCommand } from "../../support/background-command.ts";
import { waitUntil } from "../../support/eventually.ts";
import type { NetworkNamespace } from "../../support/network-namespace.ts";
import type { PinnedPacketwatch } from "../../support/pinned-packetwatch.ts";
import { visit } from "../../support/visit.ts";
import { SITE_PORTS, type Site, type SiteTaps } from "../site.ts";
import type { Scanner } from "./scanners.ts";

/** Ample: a scanner is found in milliseconds, or not at all. */
const FOUND_TIMEOUT_MS = 10_000;
/** How much longer a blocked scanner may go on. */
const BLOCKED_RUN_MS = 500;

/** A watched site, and what is known of it from outside. */
export type ScannedSite = {
  readonly site: Site;
  readonly taps: SiteTaps;
  readonly pinned: PinnedPacketwatch;
};

/** A scanner's run: what came of it is read when all is over. */
export type Scan = {
  readonly scanner: Scanner;
  readonly visitor: NetworkNamespace;
  readonly address: string;
  /** As a verdict names it: the address, or the /64 of an IPv6 address. */
  readonly source: string;
  /** Why it is no success; undefined where it was found, and put into the block map. */
  readonly failure: string | undefined;
};

export type ScanResult = {
  readonly name: string;
  readonly portsReached: number;
  readonly synsReached: number;
  /** From its first attempt until the verdict was stored. */
  readonly verdictMs: number;
  /** From its first attempt to the last one that passed. */
  readonly passedMs: number;
  readonly dropped: number;
  readonly failure: string | undefined;
};

/** Scans the site from a machine of the scanner's own, until it is blocked or the time is over. */
export async function runScan(
  scanned: ScannedSite,
  scanner: Scanner,
  index: number,
): Promise<Scan> {
  const { site } = scanned;
  const ipv4 = `198.19.1.${index + 1}`;
  const ipv6Prefix = `fd00:19:1:${(index + 1).toString(16)}`;
  const addresses = [`${ipv4}/32`, `${ipv6Prefix}::1/128`];
  const visitor = site.fleet.addVisitor(`scanner${index}`, addresses);
  const isIpv4 = scanner.family === 4;
  const address = isIpv4 ? ipv4 : `${ipv6Prefix}::1`;
  const source = isIpv4 ? ipv4 : `${ipv6Prefix}::/64`;
  const mac = site.host.namespace.macAddress("eth0");
  const target = { ipv4: site.address, ipv6: site.ipv6Address, mac, source: ipv4 };
  const command = new BackgroundCommand(visitor, scanner.commandLine(target));
  const failure = await watchUntilBlocked(scanned, source).catch(
    (error: unknown) => `${(error as Error).message}\n${command.output}`,
  );
  await waitForEnd(command);
  return { scanner, visitor, address, source, failure };
}

async function watchUntilBlocked(scanned: ScannedSite, source: string): Promise<undefined> {
  const timeoutMs = FOUND_TIMEOUT_MS;
  const isFound = () => scanned.taps.verdicts.blockOf(source) !== undefined;
  await waitUntil(isFound, { timeoutMs, what: `a verdict on ${source}` });
  const isBlocked = () => droppedOf(scanned, source) !== undefined;
  await waitUntil(isBlocked, { timeoutMs, what: `${source} to be in the block map` });
}

/** What the map counts for a source that it has; it is keyed by the first address of a prefix. */
function droppedOf({ pinned }: ScannedSite, source: string): number | undefined {
  const block = pinned.maps.blockOf(source.split("/")[0] ?? source);
  return block && Number(block.dropped);
}

async function waitForEnd(command: BackgroundCommand): Promise<void> {
  const waitOptions = { timeoutMs: BLOCKED_RUN_MS, what: "the scanner to end" };
  // It mostly goes on: nobody answers it.
  await waitUntil(() => !command.isRunning, waitOptions).catch(() => undefined);
  await command.close();
}

/** Reads what came of a scan, and sees its source's next connection fail. */
export async function concludeScan(scanned: ScannedSite, scan: Scan): Promise<ScanResult> {
  const { site, taps } = scanned;
  const { scanner, visitor, address, source } = scan;
  const activity = taps.syns.of(address);
  const storedUs = taps.verdicts.blockOf(source)?.storedUs ?? Number.NaN;
  const dropped = droppedOf(scanned, source) ?? 0;
  const targetAddress = scanner.family === 4 ? site.address : site.ipv6Address;
  const answer = await visit({ from: visitor, address: targetAddress, port: SITE_PORTS[0] });
  const notBlocked = answer === "timed out" ? undefined : `its next connection: ${answer}`;
  return {
    name: scanner.name,
    portsReached: activity.ports.size,
    synsReached: activity.syns,
    verdictMs: (storedUs - activity.firstUs) / 1000,
    passedMs: (activity.lastUs - activity.firstUs) / 1000,
    dropped,
    failure: scan.failure ?? notBlocked,
  };
}
