import { type AddressWords, formatAddress, parseAddress } from "@packetwatch/net";
import { describe, expect, it } from "vitest";
import { connectedLogins } from "./login-peers.ts";
import { parseHexIpv4, parseHexIpv6 } from "./parse-hex-address.ts";
import { parseLogindSession, parseUtmp } from "./parse-logins.ts";
import { parseResolvers } from "./parse-resolvers.ts";
import { parseIpv4Gateways, parseIpv6Gateways } from "./parse-routes.ts";
import { parseTcpPeers } from "./parse-tcp-peers.ts";

const texts = (addresses: readonly AddressWords[]) => addresses.map(formatAddress);

// As the kernel prints it, blanks at the end included; two default routes, one without a gateway.
const routes = (
  gateway: string,
  other: string,
) => `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT                                                       
eth0	00000000	${gateway}	0003	0	0	0	00000000	0	0	0                                                                               
wg0	00000000	00000000	0001	0	0	50	00000000	0	0	0                                                                               
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0                                                                               
eth1	0000000A	${other}	0003	0	0	0	000000FF	0	0	0                                                                               
eth1	00000000	${other}	0002	0	0	0	00000000	0	0	0                                                                               
`;

describe("default gateways", () => {
  it("of IPv4, where the host's words are little-endian", () => {
    expect(texts(parseIpv4Gateways(routes("010200C0", "0100000A"), "LE"))).toEqual(["192.0.2.1"]);
  });

  it("of IPv4, where they are big-endian", () => {
    expect(texts(parseIpv4Gateways(routes("C0000201", "0A000001"), "BE"))).toEqual(["192.0.2.1"]);
  });

  it("of IPv6, a route to a network and one without a gateway left out", () => {
    const table = `fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0
20010db8000000000000000000000000 20 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000002 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
`;
    expect(texts(parseIpv6Gateways(table))).toEqual(["fd00::1"]);
  });

  it.each(["", "nonsense\n\n", "eth0 00000000 XYZ 0003 0 0 0 00000000"])("%j has none", (table) => {
    expect([...parseIpv4Gateways(table, "LE"), ...parseIpv6Gateways(table)]).toEqual([]);
  });
});

describe("an address in hexadecimal", () => {
  it.each([
    ["0100007F", "LE", "127.0.0.1"],
    ["7F000001", "BE", "127.0.0.1"],
    ["FFFFFFFF", "LE", "255.255.255.255"],
  ] as const)("%s on a %s host is %s", (hex, endianness, text) => {
    expect(formatAddress(parseHexIpv4(hex, endianness) as AddressWords)).toBe(text);
  });

  it.each([
    ["B80D0120000000000000000001000000", "LE", "2001:db8::1"],
    ["20010DB8000000000000000000000001", "BE", "2001:db8::1"],
    ["0000000000000000FFFF0000010200C0", "LE", "192.0.2.1"],
  ] as const)("%s on a %s host is %s", (hex, endianness, text) => {
    expect(formatAddress(parseHexIpv6(hex, endianness) as AddressWords)).toBe(text);
  });

  it.each(["", "0100007", "0100007G", "0100007F0"])("%j is none", (hex) => {
    expect(parseHexIpv4(hex, "LE")).toBeUndefined();
    expect(parseHexIpv6(hex, "LE")).toBeUndefined();
  });
});

it("resolvers are the name servers of resolv.conf, without comments, zones and nonsense", () => {
  const text = `# nameserver 198.51.100.1
search example.com
nameserver 192.0.2.53
nameserver	2001:db8::53
nameserver fe80::1%eth0
nameserver dns.example
options edns0
nameserver 127.0.0.53 ; the stub
`;
  expect(texts(parseResolvers(text))).toEqual([
    "192.0.2.53",
    "2001:db8::53",
    "fe80::1",
    "127.0.0.53",
  ]);
});

const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1147 1 000000004b35e5ce 100 0 0 10 0                      
   1: 010200C0:0016 076433C6:C001 01 00000000:00000000 02:000A7E2E 00000000     0        0 9021 4 0000000050b0c5fd 20 4 29 10 -1                     
   2: 010200C0:0016 086433C6:C002 06 00000000:00000000 03:00001770 00000000     0        0 0 3 0000000050b0c5fe                                      
`;
const tcp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0000000000000000FFFF0000010200C0:0016 0000000000000000FFFF0000096433C6:C003 01 00000000:00000000 02:000A7E2E 00000000     0        0 9021 4 0000000050b0c5fd 20 4 29 10 -1
   1: B80D0120000000000000000001000000:0016 B80D0120000000000000000007000000:C004 01 00000000:00000000 02:000A7E2E 00000000     0        0 9021 4 0000000050b0c5fd 20 4 29 10 -1
`;

it("peers are the far ends of established connections, IPv4 on an IPv6 socket too", () => {
  expect(texts(parseTcpPeers(tcp, "LE"))).toEqual(["198.51.100.7"]);
  expect(texts(parseTcpPeers(tcp6, "LE"))).toEqual(["198.51.100.9", "2001:db8::7"]);
});

describe("a login", () => {
  /** struct utmp of x86-64, in which an IPv4 address stands in the first word. */
  function utmpRecord(type: number, address: readonly number[]): Buffer {
    const record = Buffer.alloc(384);
    record.writeInt16LE(type, 0);
    record.set(address, 348);
    return record;
  }
  const system = { arch: "x64", endianness: "LE" } as const;

  it("is a utmp record of a user who came from elsewhere", () => {
    const file = Buffer.concat([
      utmpRecord(2, []),
      utmpRecord(7, [198, 51, 100, 7]),
      utmpRecord(8, [198, 51, 100, 8]),
      utmpRecord(7, []),
      utmpRecord(7, [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]),
      utmpRecord(7, [198, 51, 100, 9]).subarray(0, 383),
    ]);
    expect(texts(parseUtmp(file, system))).toEqual(["198.51.100.7", "2001:db8::7"]);
    expect(parseUtmp(file, { ...system, arch: "unheard-of" })).toEqual([]);
  });

  const session = (changes: string) => `# This is private data. Do not parse.
UID=0
USER=root
ACTIVE=1
STATE=active
REMOTE=1
TYPE=tty
CLASS=user
REMOTE_HOST=198.51.100.7
SERVICE=sshd
LEADER=4711
${changes}`;

  it.each([
    ["", "198.51.100.7"],
    ["REMOTE_HOST=2001:db8::7\n", "2001:db8::7"],
    ["REMOTE_HOST=fe80::7%eth0\n", "fe80::7"],
    ["REMOTE=0\n", undefined],
    ["STATE=closing\n", undefined],
    ["REMOTE_HOST=desk.example\n", undefined],
  ])("is a session of logind with %j: %s", (changes, expected) => {
    const address = parseLogindSession(session(changes));
    expect(address && formatAddress(address)).toBe(expected);
  });

  it("counts while its connection is open", () => {
    const logins = ["198.51.100.7", "198.51.100.8", "2001:db8::7"].map(parseAddress);
    expect(texts(connectedLogins(logins, [tcp, tcp6]))).toEqual(["198.51.100.7", "2001:db8::7"]);
    expect(connectedLogins(logins, [tcp, undefined])).toEqual(logins);
  });
});
