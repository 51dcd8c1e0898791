import type { Bus } from "@packetwatch/bus";
import type { HostState } from "@packetwatch/contracts";
import { HostWatch } from "./host-watch.ts";

/** The hosts of these that only pretend to drop. */
export function dryHostsOf(hosts: readonly HostState[]): readonly string[] {
  return hosts.filter(({ enforcing }) => enforcing === "off").map(({ host }) => host);
}

/** The hosts that are heard and in a dry run. Throws BusError. */
export async function readDryHosts(bus: Bus, timeoutMs: number): Promise<readonly string[]> {
  const watch = await HostWatch.open(bus, timeoutMs);
  try {
    return dryHostsOf(watch.live);
  } finally {
    watch.close();
  }
}
