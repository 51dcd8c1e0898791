import type { AddressWords } from "@packetwatch/net";
import { type Endianness, parseHexIpv4, parseHexIpv6 } from "./parse-hex-address.ts";

// TCP_ESTABLISHED of <net/tcp_states.h>.
const ESTABLISHED = "01";

/** The far ends of established connections in /proc/net/tcp or tcp6 (get_tcp4_sock() of net/ipv4/tcp_ipv4.c). */
export function parseTcpPeers(table: string, endianness: Endianness): readonly AddressWords[] {
  return table.split("\n").flatMap((line) => {
    const [, , remote = "", state] = line.trim().split(/\s+/);
    if (state !== ESTABLISHED) return [];
    const hex = remote.split(":")[0] ?? "";
    const address =
      hex.length === 8 ? parseHexIpv4(hex, endianness) : parseHexIpv6(hex, endianness);
    return address === undefined ? [] : [address];
  });
}
