/**
 * One frame of every kind that the program meets, by name: what is cut at
 * every length, mutated at random, and sent over real devices.
 */
import { type UnparsedReason } from "@packetwatch/contracts";
import {
  arp,
  authentication,
  destinationOptions,
  ethernet,
  ETHERTYPE_8021AD,
  ETHERTYPE_8021Q,
  fragmentHeader,
  hopByHop,
  hostIdentity,
  IPV4_RECORD_ROUTE,
  ipv4,
  ipv4Fragments,
  ipv4Nops,
  ipv6,
  ipv6Fragments,
  mobility,
  routing,
  shim6,
} from "./packets.ts";
import {
  ACK,
  CWR,
  ECE,
  esp,
  FAST_OPEN_COOKIE,
  icmp,
  icmpv6,
  LINUX_SYN_OPTIONS,
  noNextHeader,
  PSH,
  sctp,
  SYN,
  tcp,
  udp,
} from "./segments.ts";

export type PacketKind = {
  readonly name: string;
  readonly frame: Uint8Array;
  /** How many bytes it takes to understand each header, by the reason that counts a shorter frame. */
  readonly needs: Readonly<Partial<Record<UnparsedReason, number>>>;
};

const linuxSyn = tcp({ options: LINUX_SYN_OPTIONS });
const fastOpenSyn = tcp({ options: FAST_OPEN_COOKIE, data: new TextEncoder().encode("GET /") });
const extensionHeaders = [
  hopByHop(1),
  destinationOptions(),
  routing(2),
  authentication(),
  mobility(),
  hostIdentity(4),
  shim6(),
];

export const synKinds: readonly PacketKind[] = [
  {
    name: "an IPv4 SYN",
    frame: ethernet(ipv4(tcp())),
    needs: { ipv4: 34, tcp: 54 },
  },
  {
    name: "an IPv4 SYN as Linux sends it",
    frame: ethernet(ipv4(linuxSyn)),
    needs: { ipv4: 34, tcp: 54 },
  },
  {
    name: "an IPv4 SYN with ECN",
    frame: ethernet(ipv4(tcp({ flags: SYN | ECE | CWR }))),
    needs: { ipv4: 34, tcp: 54 },
  },
  {
    name: "an IPv4 SYN with Fast Open data",
    frame: ethernet(ipv4(fastOpenSyn)),
    needs: { ipv4: 34, tcp: 54 },
  },
  {
    name: "an IPv4 SYN with 40 bytes of IP options",
    frame: ethernet(ipv4(tcp(), { options: IPV4_RECORD_ROUTE })),
    needs: { ipv4: 74, tcp: 94 },
  },
  {
    name: "an IPv4 SYN with 4 bytes of IP options",
    frame: ethernet(ipv4(tcp(), { options: ipv4Nops(4) })),
    needs: { ipv4: 38, tcp: 58 },
  },
  {
    name: "an IPv4 SYN in an 802.1Q tag",
    frame: ethernet(ipv4(tcp()), { tags: [ETHERTYPE_8021Q] }),
    needs: { vlan: 18, ipv4: 38, tcp: 58 },
  },
  {
    name: "an IPv4 SYN in QinQ",
    frame: ethernet(ipv4(tcp()), { tags: [ETHERTYPE_8021AD, ETHERTYPE_8021Q] }),
    needs: { vlan: 22, ipv4: 42, tcp: 62 },
  },
  {
    name: "the first IPv4 fragment of a SYN, flags included",
    frame: ethernet(ipv4Fragments(linuxSyn, 24)[0]),
    needs: { ipv4: 34, tcp: 38 },
  },
  {
    name: "the first IPv4 fragment of a SYN, flags hidden",
    frame: ethernet(ipv4Fragments(linuxSyn, 8)[0]),
    needs: { ipv4: 34, tcp: 38 },
  },
  {
    name: "an IPv6 SYN",
    frame: ethernet(ipv6(tcp())),
    needs: { ipv6: 54, tcp: 74 },
  },
  {
    name: "an IPv6 SYN as Linux sends it",
    frame: ethernet(ipv6(linuxSyn)),
    needs: { ipv6: 54, tcp: 74 },
  },
  {
    name: "an IPv6 SYN in an 802.1ad tag",
    frame: ethernet(ipv6(tcp()), { tags: [ETHERTYPE_8021AD] }),
    needs: { vlan: 18, ipv6: 58, tcp: 78 },
  },
  {
    name: "an IPv6 SYN behind 7 kinds of extension headers",
    frame: ethernet(ipv6(tcp(), { extensions: extensionHeaders })),
    needs: { ipv6: 54, ipv6_extension: 182, tcp: 202 },
  },
  {
    name: "an IPv6 SYN in an atomic fragment",
    frame: ethernet(ipv6(tcp(), { extensions: [fragmentHeader()] })),
    needs: { ipv6: 54, ipv6_extension: 62, tcp: 82 },
  },
  {
    name: "the first IPv6 fragment of a SYN, flags hidden",
    frame: ethernet(ipv6Fragments(linuxSyn, 8, { extensions: [hopByHop()] })[0]),
    needs: { ipv6: 54, ipv6_extension: 70, tcp: 74 },
  },
];

export const otherKinds: readonly PacketKind[] = [
  {
    name: "an IPv4 SYN-ACK",
    frame: ethernet(ipv4(tcp({ flags: SYN | ACK }))),
    needs: { ipv4: 34, tcp: 54 },
  },
  {
    name: "IPv4 TCP data",
    frame: ethernet(ipv4(tcp({ flags: PSH | ACK, data: new Uint8Array(100) }))),
    needs: { ipv4: 34, tcp: 54 },
  },
  {
    name: "the later IPv4 fragment of a SYN",
    frame: ethernet(ipv4Fragments(linuxSyn, 8)[1]),
    needs: { ipv4: 34 },
  },
  {
    name: "IPv4 UDP",
    frame: ethernet(ipv4(udp({ data: new Uint8Array(20) }))),
    needs: { ipv4: 34 },
  },
  {
    name: "ICMP",
    frame: ethernet(ipv4(icmp())),
    needs: { ipv4: 34 },
  },
  {
    name: "IPv4 SCTP",
    frame: ethernet(ipv4(sctp())),
    needs: { ipv4: 34 },
  },
  {
    name: "IPv4 ESP",
    frame: ethernet(ipv4(esp())),
    needs: { ipv4: 34 },
  },
  {
    name: "an IPv6 SYN-ACK",
    frame: ethernet(ipv6(tcp({ flags: SYN | ACK }))),
    needs: { ipv6: 54, tcp: 74 },
  },
  {
    name: "the later IPv6 fragment of a SYN",
    frame: ethernet(ipv6Fragments(linuxSyn, 8)[1]),
    needs: { ipv6: 54, ipv6_extension: 62 },
  },
  {
    name: "IPv6 UDP",
    frame: ethernet(ipv6(udp({ data: new Uint8Array(20) }))),
    needs: { ipv6: 54 },
  },
  {
    name: "ICMPv6",
    frame: ethernet(ipv6(icmpv6())),
    needs: { ipv6: 54 },
  },
  {
    name: "IPv6 ESP",
    frame: ethernet(ipv6(esp())),
    needs: { ipv6: 54 },
  },
  {
    name: "IPv6 with no next header",
    frame: ethernet(ipv6(noNextHeader())),
    needs: { ipv6: 54 },
  },
  {
    name: "ARP",
    frame: ethernet(arp()),
    needs: {},
  },
];

export const packetKinds: readonly PacketKind[] = [...synKinds, ...otherKinds];
