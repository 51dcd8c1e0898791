import type { HostState } from "@packetwatch/contracts";

/** The hosts of these that only pretend to drop. */
export function dryHostsOf(hosts: readonly HostState[]): readonly string[] {
  return hosts.filter(({ enforcing }) => enforcing === "off").map(({ host }) => host);
}
