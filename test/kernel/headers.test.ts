import { BPF_F_XDP_HAS_FRAGS } from "@packetwatch/bpf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type LoadedPacketwatch,
  loadPacketwatch,
  passed,
  sightingOf,
} from "../support/loaded-packetwatch.ts";
import {
  authentication,
  type Datagram,
  destinationOptions,
  ethernet,
  ETHERTYPE_8021AD,
  ETHERTYPE_8021Q,
  type Extension,
  fragmentHeader,
  hopByHop,
  hostIdentity,
  IPV4_RECORD_ROUTE,
  ipv4,
  ipv4Nops,
  ipv6,
  mobility,
  routing,
  shim6,
  withEtherType,
} from "../support/packets.ts";
import { ACK, esp, noNextHeader, SYN, tcp, udp } from "../support/segments.ts";
import { ipv4SynRecord, ipv6SynRecord } from "../support/syn-record.ts";

let packetwatch: LoadedPacketwatch;
beforeAll(() => {
  packetwatch = loadPacketwatch();
});
afterAll(() => packetwatch.close());

const sight = (frame: Uint8Array) => sightingOf(packetwatch.send(frame));

const reportedIpv4 = {
  action: "XDP_PASS",
  records: [ipv4SynRecord],
  counted: { synIpv4: 1, reported: 1 },
};
const reportedIpv6 = {
  action: "XDP_PASS",
  records: [ipv6SynRecord],
  counted: { synIpv6: 1, reported: 1 },
};

describe("IPv4 options", () => {
  it.each([0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40])("of %i bytes are skipped", (bytes) => {
    const options = ipv4Nops(bytes);
    expect(sight(ethernet(ipv4(tcp(), { options })))).toEqual(reportedIpv4);
    expect(sight(ethernet(ipv4(tcp({ flags: ACK }), { options })))).toEqual(passed);
  });

  it("that could be read as a TCP header are not", () => {
    const looksLikeSyn = tcp({ sourcePort: 1, destinationPort: 2 }).bytes;
    const looksLikeAck = tcp({ flags: ACK }).bytes;
    const hiding = ethernet(ipv4(tcp(), { options: looksLikeAck }));
    expect(sight(hiding)).toEqual(reportedIpv4);
    const pretending = ethernet(ipv4(tcp({ flags: ACK }), { options: looksLikeSyn }));
    expect(sight(pretending)).toEqual(passed);
  });

  it("as real stacks send them are skipped", () => {
    const frame = ethernet(ipv4(tcp(), { options: IPV4_RECORD_ROUTE }));
    expect(sight(frame)).toEqual(reportedIpv4);
  });
});

const Q = ETHERTYPE_8021Q;
const AD = ETHERTYPE_8021AD;
const named = (tags: readonly number[]) => ({
  tags,
  names: tags.map((tag) => (tag === Q ? "802.1Q" : "802.1ad")).join(" and "),
});
const syns = [
  { family: "IPv4", datagram: ipv4(tcp()), reported: reportedIpv4 },
  { family: "IPv6", datagram: ipv6(tcp()), reported: reportedIpv6 },
];

describe.each(syns)("VLAN tags before $family", ({ datagram, reported }) => {
  const tagged = { ...reported, records: [{ ...reported.records[0], flags: ["vlan"] }] };

  it.each([[Q], [AD], [Q, Q], [Q, AD], [AD, Q], [AD, AD]].map(named))(
    "$names are skipped, and the record says so",
    ({ tags }) => {
      expect(sight(ethernet(datagram, { tags }))).toEqual(tagged);
    },
  );

  it.each(
    [
      [Q, Q, Q],
      [AD, AD, AD],
      [AD, Q, Q],
      [Q, Q, Q, Q],
    ].map(named),
  )("$names are too many: the frame is passed and counted", ({ tags }) => {
    const unparsed = { ...passed, counted: { "unparsed.vlan": 1 } };
    expect(sight(ethernet(datagram, { tags }))).toEqual(unparsed);
  });
});

describe("the EtherType", () => {
  const notIp = [
    { name: "an 802.3 length", etherType: 0x0028 },
    { name: "MPLS", etherType: 0x8847 },
    { name: "PPPoE", etherType: 0x8864 },
    { name: "the old QinQ of 0x9100", etherType: 0x9100 },
    { name: "a protocol number of IP, 6", etherType: 6 },
    { name: "the highest", etherType: 0xffff },
  ];
  it.each(notIp)("decides what is parsed: $name in front of a SYN is passed", ({ etherType }) => {
    const datagram = withEtherType(etherType, ipv4(tcp()));
    expect(sight(ethernet(datagram))).toEqual(passed);
    expect(sight(ethernet(datagram, { tags: [Q] }))).toEqual(passed);
  });

  const lies: readonly { name: string; datagram: Datagram; counted: Record<string, number> }[] = [
    {
      name: "IPv4 in front of IPv6",
      datagram: withEtherType(0x0800, ipv6(tcp())),
      counted: { "unparsed.ipv4": 1 },
    },
    {
      name: "IPv6 in front of IPv4",
      datagram: withEtherType(0x86dd, ipv4(tcp(), { options: ipv4Nops(40) })),
      counted: { "unparsed.ipv6": 1 },
    },
  ];
  it.each(lies)("that lies about the version is counted: $name", ({ datagram, counted }) => {
    expect(sight(ethernet(datagram))).toEqual({ ...passed, counted });
  });
});

const everyExtension: readonly { name: string; make: (extraUnits: number) => Extension }[] = [
  { name: "hop-by-hop options", make: hopByHop },
  { name: "routing", make: routing },
  { name: "destination options", make: destinationOptions },
  { name: "mobility", make: mobility },
  { name: "host identity", make: hostIdentity },
  { name: "shim6", make: shim6 },
  { name: "authentication", make: (extraUnits) => authentication(12 + extraUnits * 4) },
  { name: "an atomic fragment", make: () => fragmentHeader() },
];

/** Longer ones than this do not fit into a packet of the usual MTU. */
const LARGE_EXTENSION_UNITS = 170;

describe("IPv6 extension headers", () => {
  const sendChain = (extensions: readonly Extension[], segment = tcp()) =>
    sight(ethernet(ipv6(segment, { extensions })));

  describe.each(everyExtension)("of type $name", ({ make }) => {
    it.each([0, 1, 2, 7, 15, LARGE_EXTENSION_UNITS])("and %i units more are skipped", (units) => {
      expect(sendChain([make(units)])).toEqual(reportedIpv6);
      expect(sendChain([make(units)], tcp({ flags: SYN | ACK }))).toEqual(passed);
      expect(sendChain([make(units)], udp())).toEqual(passed);
    });

    it.each([1, 2, 3, 4, 5, 6, 7, 8])("are skipped %i in a row", (count) => {
      const chain = Array.from({ length: count }, () => make(1));
      expect(sendChain(chain)).toEqual(reportedIpv6);
    });

    it.each([9, 10, 20])("are passed and counted %i in a row", (count) => {
      const chain = Array.from({ length: count }, () => make(0));
      const unparsed = { ...passed, counted: { "unparsed.ipv6_extension": 1 } };
      expect(sendChain(chain)).toEqual(unparsed);
      expect(sendChain(chain, udp())).toEqual(unparsed);
    });
  });

  it("of the longest that their length can say are skipped", () => {
    const frame = ethernet(ipv6(tcp(), { extensions: [destinationOptions(255)] }));
    expect(sight(frame)).toEqual(reportedIpv6);
    const authenticated = ethernet(ipv6(tcp(), { extensions: [authentication(4 * 254)] }));
    expect(sight(authenticated)).toEqual(reportedIpv6);
  });

  it("of all types are skipped in one chain", () => {
    const chain = everyExtension.map(({ make }, index) => make(index));
    expect(sendChain(chain)).toEqual(reportedIpv6);
    expect(sendChain(chain.toReversed())).toEqual(reportedIpv6);
  });

  it("end at what hides the rest", () => {
    expect(sendChain([hopByHop()], esp())).toEqual(passed);
    expect(sendChain([hopByHop()], noNextHeader())).toEqual(passed);
  });

  it("that could be read as a TCP header are not", () => {
    const looksLikeAck = { type: 60, bytes: destinationOptions(2).bytes.fill(ACK, 2) };
    expect(sendChain([looksLikeAck])).toEqual(reportedIpv6);
  });
});

describe("a payload length of 0", () => {
  it("leaves an IPv6 packet as long as its frame, as in a jumbogram", () => {
    const frame = ethernet(ipv6(tcp(), { extensions: [hopByHop()], payloadLength: 0 }));
    expect(sight(frame)).toEqual(reportedIpv6);
  });
});

describe("a program loaded with frags", () => {
  it("reads the SYN of a packet in several buffers", () => {
    const withFrags = loadPacketwatch({ programFlags: BPF_F_XDP_HAS_FRAGS });
    try {
      const { action, records } = withFrags.send(
        ethernet(ipv4(tcp({ data: new Uint8Array(8000) }))),
      );
      expect(action).toBe("XDP_PASS");
      expect(records).toMatchObject([ipv4SynRecord]);
    } finally {
      withFrags.close();
    }
  });
});
