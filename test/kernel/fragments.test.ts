import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type LoadedPacketwatch,
  loadPacketwatch,
  passed,
  sightingOf,
} from "../support/loaded-packetwatch.ts";
import {
  ethernet,
  ETHERNET_MINIMUM_BYTES,
  fragmentHeader,
  hopByHop,
  IPV6_SOURCE,
  ipv4,
  ipv4Fragments,
  ipv4Nops,
  ipv6,
  ipv6Fragments,
} from "../support/packets.ts";
import { ACK, icmp, LINUX_SYN_OPTIONS, PSH, type Segment, tcp, udp } from "../support/segments.ts";
import { ipv4SynRecord, ipv6SynRecord } from "../support/syn-record.ts";

let packetwatch: LoadedPacketwatch;
beforeAll(() => {
  packetwatch = loadPacketwatch();
});
afterAll(() => packetwatch.close());

const sight = (frame: Uint8Array) => sightingOf(packetwatch.send(frame));

const syn = tcp({ options: LINUX_SYN_OPTIONS });
const ack = tcp({ flags: PSH | ACK, data: new Uint8Array(64).fill(0xff) });
const families = [
  {
    family: "IPv4",
    fragments: ipv4Fragments,
    record: ipv4SynRecord,
    counter: "synIpv4",
    options: { options: ipv4Nops(12) },
    laterFragment: ipv4(syn, { fragmentOffset: 8, moreFragments: "yes" }),
  },
  {
    family: "IPv6",
    fragments: ipv6Fragments,
    record: ipv6SynRecord,
    counter: "synIpv6",
    options: { extensions: [hopByHop(1)] },
    laterFragment: ipv6(syn, { extensions: [fragmentHeader({ offset: 8, more: "yes" })] }),
  },
];

describe.each(families)("an $family fragment", (family) => {
  const { fragments, record, counter, options } = family;
  const shown = {
    action: "XDP_PASS",
    records: [{ ...record, flags: ["fragment"] }],
    counted: { [counter]: 1, reported: 1 },
  };
  const hidden = {
    action: "XDP_PASS",
    records: [{ ...record, flags: ["fragment", "flagsHidden"], tcpFlags: 0, window: 0 }],
    counted: { [counter]: 1, flagsHidden: 1, reported: 1 },
  };
  const first = (segment: Segment, bytes: number) => fragments(segment, bytes)[0];

  it.each([16, 24, 32])("that is the first %i bytes of a SYN is reported", (bytes) => {
    expect(sight(ethernet(first(syn, bytes)))).toEqual(shown);
  });

  it.each([16, 24, 32])("that is the first %i bytes of TCP data is passed", (bytes) => {
    expect(sight(ethernet(first(ack, bytes)))).toEqual(passed);
  });

  it("that is the first 8 bytes, as nmap -f sends it, is reported with its flags hidden", () => {
    expect(sight(ethernet(first(syn, 8)))).toEqual(hidden);
  });

  // Linux cuts a fragment down to a multiple of 8 bytes, so flags in the bytes behind are never used.
  it.each([4, 7, 8, 12, 13, 14, 15])(
    "of %i bytes counts as an attempt whatever it shows",
    (bytes) => {
      expect(sight(ethernet(first(syn, bytes)))).toEqual(hidden);
      expect(sight(ethernet(first(ack, bytes)))).toEqual(hidden);
    },
  );

  it.each([0, 1, 2, 3])("of %i bytes has no ports, and is counted as unparsed", (bytes) => {
    const unparsed = { ...passed, counted: { "unparsed.tcp": 1 } };
    expect(sight(ethernet(first(syn, bytes)))).toEqual(unparsed);
    const padding = { minimumBytes: 80, padByte: 0xff };
    expect(sight(ethernet(first(syn, bytes), padding))).toEqual(unparsed);
  });

  const padBytes = [0, 0x02, ACK, 0xff];
  it.each(padBytes)("of 8 bytes keeps its flags hidden in front of padding of %i", (padByte) => {
    const padding = { minimumBytes: ETHERNET_MINIMUM_BYTES, padByte };
    expect(sight(ethernet(first(syn, 8), padding))).toEqual(hidden);
  });

  it("of 8 bytes behind IP options or extension headers is reported with its flags hidden", () => {
    expect(sight(ethernet(fragments(syn, 8, options)[0]))).toEqual(hidden);
  });

  it.each([8, 16, 24])("that begins %i bytes into a SYN is passed", (bytes) => {
    expect(sight(ethernet(fragments(syn, bytes)[1]))).toEqual(passed);
  });

  it("in the middle that looks like a SYN is passed", () => {
    expect(sight(ethernet(family.laterFragment))).toEqual(passed);
  });

  it.each([udp({ data: new Uint8Array(32) }), icmp()])(
    "of protocol $protocol is passed",
    (segment) => {
      const [head, tail] = fragments(segment, 8);
      expect(sight(ethernet(head))).toEqual(passed);
      expect(sight(ethernet(tail))).toEqual(passed);
    },
  );
});

describe("a whole packet", () => {
  it("with Don't Fragment set is no fragment", () => {
    const datagram = ipv4(syn);
    datagram.bytes[6] = 0x40;
    expect(sight(ethernet(datagram)).records).toEqual([ipv4SynRecord]);
  });

  it("with the reserved bit of RFC 791 set is no fragment", () => {
    const datagram = ipv4(syn);
    datagram.bytes[6] = 0x80;
    expect(sight(ethernet(datagram)).records).toEqual([ipv4SynRecord]);
  });

  it("in an atomic IPv6 fragment with reserved bits set is no fragment", () => {
    const header = fragmentHeader({ reserved: 0xff });
    header.bytes[3] = 0x06;
    const [record] = sight(ethernet(ipv6(syn, { extensions: [header] }))).records;
    expect(record).toMatchObject({ source: IPV6_SOURCE, flags: [] });
  });
});

describe("a fragment offset other than 0, in every bit of it,", () => {
  const offsets = [...Array.from({ length: 13 }, (_, bit) => 8 << bit), 65_528];

  it.each(offsets)("%i, makes no first fragment in IPv4", (fragmentOffset) => {
    expect(sight(ethernet(ipv4(syn, { fragmentOffset })))).toEqual(passed);
  });

  it.each(offsets)("%i, makes no first fragment in IPv6", (offset) => {
    const extensions = [fragmentHeader({ offset })];
    expect(sight(ethernet(ipv6(syn, { extensions })))).toEqual(passed);
  });
});
