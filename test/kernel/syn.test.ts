import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type LoadedPacketwatch,
  loadPacketwatch,
  passed,
  sightingOf,
} from "../support/loaded-packetwatch.ts";
import { otherKinds, synKinds } from "../support/packet-kinds.ts";
import { ethernet, ipv4, ipv6 } from "../support/packets.ts";
import {
  ACK,
  FAST_OPEN_COOKIE,
  LINUX_SYN_OPTIONS,
  SYN,
  tcp,
  type TcpFields,
} from "../support/segments.ts";
import { ipv4SynRecord, ipv6SynRecord } from "../support/syn-record.ts";

let packetwatch: LoadedPacketwatch;
beforeAll(() => {
  packetwatch = loadPacketwatch();
});
afterAll(() => packetwatch.close());

const families = [
  { family: "IPv4", ip: ipv4, record: ipv4SynRecord, counter: "synIpv4" },
  { family: "IPv6", ip: ipv6, record: ipv6SynRecord, counter: "synIpv6" },
];

describe.each(families)("a connection attempt over $family", ({ ip, record, counter }) => {
  it("is passed, counted and reported in every field", () => {
    const frame = ethernet(
      ip(tcp({ sourcePort: 0xabcd, destinationPort: 0x1234, window: 0x5678 })),
    );
    const outcome = packetwatch.send(frame);

    expect(outcome.action).toBe("XDP_PASS");
    expect(outcome.counted).toEqual({ [counter]: 1, reported: 1 });
    const { timestampNs, ...fields } = outcome.records[0] ?? { timestampNs: 0n };
    const ports = { sourcePort: 0xabcd, destinationPort: 0x1234, window: 0x5678 };
    expect(fields).toEqual({ ...record, ...ports });
    expect(timestampNs).toBeGreaterThanOrEqual(outcome.beforeNs);
    expect(timestampNs).toBeLessThanOrEqual(outcome.afterNs);
  });

  it("is whatever has SYN and no ACK, of all 256 values of the flags", () => {
    const all = Array.from({ length: 256 }, (_, flags) => flags);
    const outcomes = all.map((flags) => packetwatch.send(ethernet(ip(tcp({ flags })))));

    const attempts = all.filter((flags) => (flags & (SYN | ACK)) === SYN);
    const reported = outcomes.flatMap(({ records }) => records.map(({ tcpFlags }) => tcpFlags));
    expect(reported).toEqual(attempts);
    const counted = all.filter((flags) => outcomes[flags]?.counted[counter] === 1);
    expect(counted).toEqual(attempts);
    expect(new Set(outcomes.map(({ action }) => action))).toEqual(new Set(["XDP_PASS"]));
  });

  const payloads: readonly ({ what: string } & TcpFields)[] = [
    { what: "no TCP options" },
    { what: "the TCP options of Linux", options: LINUX_SYN_OPTIONS },
    { what: "40 bytes of TCP options", options: new Uint8Array(40).fill(1) },
    { what: "Fast Open data", options: FAST_OPEN_COOKIE, data: new Uint8Array(1000) },
    { what: "data without Fast Open", data: Uint8Array.of(1) },
    { what: "port 0 on both sides", sourcePort: 0, destinationPort: 0 },
    { what: "the highest ports", sourcePort: 65_535, destinationPort: 65_535 },
  ];
  it.each(payloads)("is reported with $what", ({ what: _what, options, data, ...ports }) => {
    const fields = { ...ports, ...(options && { options }), ...(data && { data }) };
    const outcome = packetwatch.send(ethernet(ip(tcp(fields))));
    expect(outcome.action).toBe("XDP_PASS");
    expect(outcome.records).toMatchObject([{ ...record, ...ports }]);
  });

  it.each([0, 1, 255])("is reported with a TTL of %i", (ttl) => {
    const outcome = packetwatch.send(ethernet(ip(tcp(), { ttl, hopLimit: ttl })));
    expect(outcome.records).toMatchObject([{ ttl }]);
  });
});

describe("a packet that is passed", () => {
  it.each([...synKinds, ...otherKinds])("is left as it was: $name", ({ frame }) => {
    const outcome = packetwatch.send(frame);
    expect(outcome.action).toBe("XDP_PASS");
    expect(outcome.frameAfter).toEqual(frame);
  });
});

describe("a packet that opens no connection", () => {
  it.each(otherKinds)("is neither counted nor reported: $name", ({ frame }) => {
    expect(sightingOf(packetwatch.send(frame))).toEqual(passed);
  });
});
