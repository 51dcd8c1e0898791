import { type AddressWords, parseAddress } from "@packetwatch/net";
import { type Endianness, parseHexIpv4 } from "./parse-hex-address.ts";

// RTF_UP and RTF_GATEWAY of <linux/route.h>.
const UP_WITH_GATEWAY = 0x0001 | 0x0002;

/**
 * The gateways of default routes in /proc/net/route (fib_route_seq_show() of
 * net/ipv4/fib_trie.c): addresses are words in the byte order of the host.
 */
export function parseIpv4Gateways(table: string, endianness: Endianness): readonly AddressWords[] {
  return rowsOf(table).flatMap(([, destination, gateway = "", flags = "", , , , mask]) => {
    const isDefault = destination === "00000000" && mask === "00000000";
    if (!isDefault || !hasGateway(flags)) return [];
    const address = parseHexIpv4(gateway, endianness);
    return address === undefined ? [] : [address];
  });
}

const ANY_IPV6 = "0".repeat(32);

/** The gateways of default routes in /proc/net/ipv6_route (rt6_info_route() of net/ipv6/route.c): bytes in network order. */
export function parseIpv6Gateways(table: string): readonly AddressWords[] {
  return rowsOf(table).flatMap(([destination, bits, , , gateway = "", , , , flags = ""]) => {
    const isDefault = destination === ANY_IPV6 && bits === "00";
    if (!isDefault || !hasGateway(flags) || !/^[0-9a-f]{32}$/i.test(gateway)) return [];
    return [parseAddress(gateway.replaceAll(/(.{4})(?!$)/g, "$1:"))];
  });
}

function hasGateway(flags: string): boolean {
  return (Number.parseInt(flags, 16) & UP_WITH_GATEWAY) === UP_WITH_GATEWAY;
}

function rowsOf(table: string): readonly string[][] {
  return table.split("\n").map((line) => line.trim().split(/\s+/));
}
