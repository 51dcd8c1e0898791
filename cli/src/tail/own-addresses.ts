import type { NetworkInterfaceInfo } from "node:os";
import { formatAddress, parseAddress } from "@packetwatch/net";

/** What os.networkInterfaces() returns. */
export type NetworkInterfaces = Readonly<NodeJS.Dict<readonly NetworkInterfaceInfo[]>>;

/** The addresses of the named interfaces, canonical, each once. */
export function ownAddresses(all: NetworkInterfaces, names: readonly string[]): readonly string[] {
  const infos = Object.entries(all)
    .filter(([name]) => names.includes(withoutLabel(name)))
    .flatMap(([, addresses]) => addresses ?? []);
  return [...new Set(infos.map(({ address }) => canonical(address)))];
}

/** An IPv4 address can have a label of its own, `eth0:1`; its interface is eth0. */
function withoutLabel(name: string): string {
  return name.split(":")[0] ?? name;
}

function canonical(address: string): string {
  const [withoutZone = address] = address.split("%");
  return formatAddress(parseAddress(withoutZone));
}
