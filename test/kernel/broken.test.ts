import { type UnparsedReason } from "@packetwatch/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LoadedPacketwatch, loadPacketwatch } from "../support/loaded-packetwatch.ts";
import { otherKinds, type PacketKind, synKinds } from "../support/packet-kinds.ts";
import {
  destinationOptions,
  ethernet,
  ETHERNET_HEADER_BYTES,
  ETHERNET_MINIMUM_BYTES,
  ipv4,
  ipv4Nops,
  ipv6,
} from "../support/packets.ts";
import { SYN, tcp } from "../support/segments.ts";

let packetwatch: LoadedPacketwatch;
beforeAll(() => {
  packetwatch = loadPacketwatch();
});
afterAll(() => packetwatch.close());

/** "syn", "other" or the reason for which it is unparsed; fails unless the frame is passed and counted once. */
function understood(frame: Uint8Array): string {
  const { action, records, counted, frameAfter } = packetwatch.send(frame);
  expect(action).toBe("XDP_PASS");
  expect(frameAfter).toEqual(frame);
  if (records.length > 0) return "syn";
  const [counter = "other", ...more] = Object.keys(counted);
  expect(more).toEqual([]);
  return counter;
}

const unparsed = (reason: UnparsedReason) => `unparsed.${reason}`;

/** What should become of the first `bytes` bytes of a packet of this kind. */
function expectedOfCut({ needs }: PacketKind, bytes: number, whole: string): string {
  const broken = Object.entries(needs).find(([, needed]) => bytes < needed);
  return broken === undefined ? whole : `unparsed.${broken[0]}`;
}

describe("a packet cut at every length is passed, and counted by what is missing", () => {
  it.each([...synKinds, ...otherKinds])("$name", (kind) => {
    const whole = synKinds.includes(kind) ? "syn" : "other";
    const lengths = Array.from({ length: kind.frame.length + 1 }, (_, length) => length);
    const cuts = lengths.slice(ETHERNET_HEADER_BYTES);
    const outcomes = cuts.map((length) => [length, understood(kind.frame.subarray(0, length))]);
    expect(outcomes).toEqual(cuts.map((length) => [length, expectedOfCut(kind, length, whole)]));
  });

  // eth_type_trans() and the drivers read the header first, and BPF_PROG_TEST_RUN refuses what no driver hands over.
  it("and the kernel gives no program a frame that is shorter than an Ethernet header", () => {
    const frame = ethernet(ipv4(tcp())).subarray(0, ETHERNET_HEADER_BYTES - 1);
    expect(() => packetwatch.send(frame)).toThrow("EINVAL");
  });
});

describe("an IPv4 header that lies", () => {
  const syn = (lie: Parameters<typeof ipv4>[1]) => ethernet(ipv4(tcp(), lie));
  const notFour = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

  it.each(notFour)("about the version, which it says is %i, is counted", (version) => {
    expect(understood(syn({ version }))).toBe(unparsed("ipv4"));
  });

  it.each([0, 1, 2, 3, 4])(
    "with a header of %i words is counted, whatever follows",
    (headerWords) => {
      const segment = tcp({ data: new Uint8Array(100).fill(SYN) });
      expect(understood(ethernet(ipv4(segment, { headerWords })))).toBe(unparsed("ipv4"));
    },
  );

  it.each([11, 12, 13, 14, 15])(
    "with %i words, longer than the packet, is counted",
    (headerWords) => {
      expect(understood(syn({ headerWords }))).toBe(unparsed("ipv4"));
    },
  );

  it.each([0, 1, 19])(
    "with a total length of %i, less than a header, is counted",
    (totalLength) => {
      expect(understood(syn({ totalLength }))).toBe(unparsed("ipv4"));
    },
  );

  it("with a total length that ends among its options is counted", () => {
    const frame = syn({ options: ipv4Nops(8), totalLength: 27 });
    expect(understood(frame)).toBe(unparsed("ipv4"));
  });

  it.each([20, 21, 39])("with a total length of %i has no TCP header behind it", (totalLength) => {
    expect(understood(syn({ totalLength }))).toBe(unparsed("tcp"));
  });

  it("with a total length that ends behind the TCP header is read", () => {
    const data = new Uint8Array(100);
    expect(understood(ethernet(ipv4(tcp({ data }), { totalLength: 40 })))).toBe("syn");
  });

  it.each([41, 1500, 65_535])(
    "with a total length of %i, longer than its frame, is read",
    (totalLength) => {
      expect(understood(syn({ totalLength }))).toBe("syn");
    },
  );

  it("with a wrong checksum is read: the stack behind may not verify it either", () => {
    const datagram = ipv4(tcp());
    datagram.bytes[10] = ~(datagram.bytes[10] ?? 0);
    datagram.bytes[36] = ~(datagram.bytes[36] ?? 0);
    expect(understood(ethernet(datagram))).toBe("syn");
  });
});

describe("an IPv6 header that lies", () => {
  const syn = (lie: Parameters<typeof ipv6>[1]) => ethernet(ipv6(tcp(), lie));
  const notSix = [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15];

  it.each(notSix)("about the version, which it says is %i, is counted", (version) => {
    expect(understood(syn({ version }))).toBe(unparsed("ipv6"));
  });

  it.each([1, 8, 19])(
    "with a payload length of %i has no TCP header behind it",
    (payloadLength) => {
      expect(understood(syn({ payloadLength }))).toBe(unparsed("tcp"));
    },
  );

  it.each([1, 2, 15])("with a payload length of %i ends in an extension", (payloadLength) => {
    const extensions = [destinationOptions(1)];
    expect(understood(syn({ extensions, payloadLength }))).toBe(unparsed("ipv6_extension"));
  });

  it.each([21, 1500, 65_535])(
    "with a payload length of %i, longer than its frame, is read",
    (payloadLength) => {
      expect(understood(syn({ payloadLength }))).toBe("syn");
    },
  );

  it.each([3, 100, 255])(
    "with an extension of %i units more, longer than the packet, is counted",
    (units) => {
      const { type, bytes } = destinationOptions();
      const extension = { type, bytes: Uint8Array.from(bytes).fill(units, 1, 2) };
      expect(understood(syn({ extensions: [extension] }))).toBe(unparsed("ipv6_extension"));
    },
  );
});

describe("padding of the frame", () => {
  const padding = { minimumBytes: ETHERNET_MINIMUM_BYTES, padByte: 0x02 };

  it("hides no SYN", () => {
    expect(understood(ethernet(ipv4(tcp()), padding))).toBe("syn");
  });

  it("is not read as a TCP header, whatever is in it", () => {
    const headerOnly = ipv4(tcp(), { totalLength: 20 });
    expect(understood(ethernet(headerOnly, padding))).toBe(unparsed("tcp"));
  });
});

describe("a TCP header that lies", () => {
  it.each([0, 1, 4, 15])("about its length, %i words, is read: only its flags count", (words) => {
    const segment = tcp();
    segment.bytes[12] = words << 4;
    expect(understood(ethernet(ipv4(segment)))).toBe("syn");
    expect(understood(ethernet(ipv6(segment)))).toBe("syn");
  });
});
