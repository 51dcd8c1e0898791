import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  type LoadedPacketwatch,
  loadPacketwatch,
  passed,
  sightingOf,
} from "../support/loaded-packetwatch.ts";
import { otherKinds, synKinds } from "../support/packet-kinds.ts";
import { ethernet, IPV4_SOURCE, IPV6_SOURCE, ipv4, ipv6 } from "../support/packets.ts";
import { tcp } from "../support/segments.ts";
import { ipv4SynRecord } from "../support/syn-record.ts";

const IPV6_SOURCE_KEY = "2001:db8:0:1::";

let packetwatch: LoadedPacketwatch;
beforeAll(() => {
  packetwatch = loadPacketwatch();
});
beforeEach(() => packetwatch.reset());
afterAll(() => packetwatch.close());

const sight = (frame: Uint8Array) => sightingOf(packetwatch.send(frame));
const isIpv6 = (source: string) => source.includes(":");
const synFrom = (source: string) =>
  ethernet(isIpv6(source) ? ipv6(tcp(), { source }) : ipv4(tcp(), { source }));

const allowedRecord = { ...ipv4SynRecord, flags: ["allowed"] };
const dropped = { action: "XDP_DROP", records: [], counted: { synIpv4: 1, dropped: 1 } };

describe("an allow-listed source", () => {
  it("is never dropped when blocked: it is reported, and counted as spared", () => {
    packetwatch.maps.allow(IPV4_SOURCE);
    packetwatch.maps.block(IPV4_SOURCE);
    expect(sight(synFrom(IPV4_SOURCE))).toEqual({
      ...passed,
      records: [allowedRecord],
      counted: { synIpv4: 1, allowed: 1, spared: 1, reported: 1 },
    });
    const untouched = { expiresNs: 0n, dropped: 0n, firstDropNs: 0n };
    expect(packetwatch.maps.blockOf(IPV4_SOURCE)).toEqual(untouched);
  });

  it("that is not blocked is reported as allowed, and spared from nothing", () => {
    packetwatch.maps.allow(IPV4_SOURCE);
    const allowed = {
      ...passed,
      records: [allowedRecord],
      counted: { synIpv4: 1, allowed: 1, reported: 1 },
    };
    expect(sight(synFrom(IPV4_SOURCE))).toEqual(allowed);
    packetwatch.maps.block(IPV4_SOURCE, { expiresNs: 1n });
    expect(sight(synFrom(IPV4_SOURCE))).toEqual(allowed);
  });

  it("counts as spared, not as a would-drop, in a dry run", () => {
    packetwatch.maps.enforce("off");
    packetwatch.maps.allow(IPV4_SOURCE);
    packetwatch.maps.block(IPV4_SOURCE);
    const { counted } = sight(synFrom(IPV4_SOURCE));
    expect(counted).toEqual({ synIpv4: 1, allowed: 1, spared: 1, reported: 1 });
  });

  it.each(synKinds)("keeps every kind of SYN: $name", ({ frame }) => {
    for (const source of [IPV4_SOURCE, IPV6_SOURCE]) packetwatch.maps.allow(source);
    for (const key of [IPV4_SOURCE, IPV6_SOURCE_KEY]) packetwatch.maps.block(key);
    const { action, records, counted } = packetwatch.send(frame);
    expect(action).toBe("XDP_PASS");
    expect(records[0]?.flags).toContain("allowed");
    expect(counted).toMatchObject({ spared: 1, allowed: 1, reported: 1 });
  });

  it.each(otherKinds)("is counted for its SYNs alone: $name", ({ frame }) => {
    for (const source of [IPV4_SOURCE, IPV6_SOURCE]) packetwatch.maps.allow(source);
    expect(sight(frame)).toEqual(passed);
  });

  it("that is removed from the list is dropped again", () => {
    packetwatch.maps.allow(IPV4_SOURCE);
    packetwatch.maps.block(IPV4_SOURCE);
    expect(sight(synFrom(IPV4_SOURCE))).toMatchObject({ action: "XDP_PASS" });
    expect(packetwatch.maps.disallow(IPV4_SOURCE)).toBe(true);
    expect(sight(synFrom(IPV4_SOURCE))).toEqual(dropped);
  });

  it("is no destination", () => {
    packetwatch.maps.allow(ipv4SynRecord.destination);
    packetwatch.maps.block(IPV4_SOURCE);
    expect(sight(synFrom(IPV4_SOURCE))).toEqual(dropped);
  });
});

const cidrs = [
  { cidr: "192.0.2.1", inside: ["192.0.2.1"], outside: ["192.0.2.0", "192.0.2.2", "2001:db8::1"] },
  {
    cidr: "192.0.2.0/24",
    inside: ["192.0.2.0", "192.0.2.1", "192.0.2.255"],
    outside: ["192.0.1.255", "192.0.3.0"],
  },
  {
    cidr: "10.0.0.0/8",
    inside: ["10.0.0.0", "10.255.255.255"],
    outside: ["9.255.255.255", "11.0.0.0"],
  },
  { cidr: "192.0.2.128/25", inside: ["192.0.2.128"], outside: ["192.0.2.127"] },
  { cidr: "192.0.2.4/31", inside: ["192.0.2.4", "192.0.2.5"], outside: ["192.0.2.3", "192.0.2.6"] },
  {
    cidr: "0.0.0.0/0",
    inside: ["0.0.0.0", "192.0.2.1", "255.255.255.255"],
    outside: ["2001:db8::1", "::1"],
  },
  { cidr: "2001:db8::5", inside: ["2001:db8::5"], outside: ["2001:db8::4", "2001:db8::6"] },
  {
    cidr: "2001:db8:1::/48",
    inside: ["2001:db8:1::", "2001:db8:1:ffff:ffff:ffff:ffff:ffff"],
    outside: ["2001:db8:0:ffff::1", "2001:db8:2::"],
  },
  {
    cidr: "2001:db8:0:1::/64",
    inside: ["2001:db8:0:1::1"],
    outside: ["2001:db8::1", "2001:db8:0:2::1"],
  },
  { cidr: "::/0", inside: ["::1", "2001:db8::1", "192.0.2.1"], outside: [] },
];

describe.each(cidrs)("the allow list's $cidr", ({ cidr, inside, outside }) => {
  it.each(inside)("holds %s", (source) => {
    packetwatch.maps.allow(cidr);
    expect(sight(synFrom(source))).toMatchObject({ records: [{ source, flags: ["allowed"] }] });
  });

  it.each(outside)("does not hold %s", (source) => {
    packetwatch.maps.allow(cidr);
    expect(sight(synFrom(source))).toMatchObject({ records: [{ source, flags: [] }] });
  });
});

describe("overlapping prefixes of the allow list", () => {
  it("each hold: removing the longest leaves the address to the next", () => {
    const nested = ["192.0.2.1", "192.0.2.0/24", "192.0.0.0/16"];
    for (const cidr of nested) packetwatch.maps.allow(cidr);
    packetwatch.maps.block(IPV4_SOURCE);
    for (const cidr of nested) {
      expect(sight(synFrom(IPV4_SOURCE)).counted).toMatchObject({ spared: 1 });
      packetwatch.maps.disallow(cidr);
    }
    expect(sight(synFrom(IPV4_SOURCE))).toEqual(dropped);
  });
});

describe("one allow-listed address in a blocked IPv6 /64", () => {
  it("is spared, and its neighbours are dropped", () => {
    packetwatch.maps.block(IPV6_SOURCE_KEY);
    packetwatch.maps.allow(IPV6_SOURCE);
    expect(sight(synFrom(IPV6_SOURCE))).toMatchObject({ action: "XDP_PASS" });
    expect(sight(synFrom("2001:db8:0:1::2"))).toMatchObject({ action: "XDP_DROP" });
  });
});
