import { bootTimeNs } from "@packetwatch/bpf";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { waitUntil } from "../support/eventually.ts";
import {
  countersMoved,
  type LoadedPacketwatch,
  loadPacketwatch,
  type LoadOptions,
  passed,
  sightingOf,
} from "../support/loaded-packetwatch.ts";
import { otherKinds, synKinds } from "../support/packet-kinds.ts";
import { ethernet, IPV4_SOURCE, IPV6_SOURCE, ipv4, ipv6 } from "../support/packets.ts";
import { tcp } from "../support/segments.ts";
import { ipv4SynRecord, ipv6SynRecord } from "../support/syn-record.ts";

const SECOND_NS = 1_000_000_000n;
const HOUR_NS = 3600n * SECOND_NS;

/** IPV6_SOURCE cut to its /64: how a block of it is kept. */
const IPV6_SOURCE_KEY = "2001:db8:0:1::";

let packetwatch: LoadedPacketwatch;
beforeAll(() => {
  packetwatch = loadPacketwatch();
});
beforeEach(() => packetwatch.reset());
afterAll(() => packetwatch.close());

/** Runs `test` with a program of its own. */
function withLoaded(options: LoadOptions, test: (own: LoadedPacketwatch) => void): void {
  const own = loadPacketwatch(options);
  try {
    test(own);
  } finally {
    own.close();
  }
}

const sight = (frame: Uint8Array) => sightingOf(packetwatch.send(frame));
const ipv4Syn = (source = IPV4_SOURCE) => ethernet(ipv4(tcp(), { source }));
const ipv6Syn = (source = IPV6_SOURCE) => ethernet(ipv6(tcp(), { source }));

const reported = { ...passed, records: [ipv4SynRecord], counted: { synIpv4: 1, reported: 1 } };
const dropped = { action: "XDP_DROP", records: [], counted: { synIpv4: 1, dropped: 1 } };
const droppedIpv6 = { ...dropped, counted: { synIpv6: 1, dropped: 1 } };

describe("a blocked source", () => {
  it("has its SYN dropped, counted in total and per source, and not reported", () => {
    packetwatch.maps.block(IPV4_SOURCE);
    const outcome = packetwatch.send(ipv4Syn());

    expect(sightingOf(outcome)).toEqual(dropped);
    const block = packetwatch.maps.blockOf(IPV4_SOURCE);
    expect(block).toMatchObject({ expiresNs: 0n, dropped: 1n });
    expect(block?.firstDropNs).toBeGreaterThanOrEqual(outcome.beforeNs);
    expect(block?.firstDropNs).toBeLessThanOrEqual(outcome.afterNs);
  });

  it("has every drop counted, and the time of the first kept", () => {
    packetwatch.maps.block(IPV4_SOURCE);
    packetwatch.send(ipv4Syn());
    const first = packetwatch.maps.blockOf(IPV4_SOURCE);
    const before = packetwatch.maps.counters();
    packetwatch.sendOnly(ipv4Syn(), 1000);

    expect(packetwatch.maps.blockOf(IPV4_SOURCE)).toEqual({ ...first, dropped: 1001n });
    const counted = countersMoved(before, packetwatch.maps.counters());
    expect(counted).toEqual({ synIpv4: 1000, dropped: 1000 });
  });

  it("goes on from the counts that its entry was put with", () => {
    packetwatch.maps.block(IPV4_SOURCE, { dropped: 41n, firstDropNs: 7n });
    packetwatch.send(ipv4Syn());
    const expected = { expiresNs: 0n, dropped: 42n, firstDropNs: 7n };
    expect(packetwatch.maps.blockOf(IPV4_SOURCE)).toEqual(expected);
  });

  it.each(synKinds)("has every kind of SYN dropped: $name", ({ frame }) => {
    packetwatch.maps.block(IPV4_SOURCE);
    packetwatch.maps.block(IPV6_SOURCE_KEY);
    const { action, records, counted } = packetwatch.send(frame);
    expect({ action, records }).toEqual({ action: "XDP_DROP", records: [] });
    expect(counted).toMatchObject({ dropped: 1 });
  });

  it.each(otherKinds)("has everything else passed: $name", ({ frame }) => {
    packetwatch.maps.block(IPV4_SOURCE);
    packetwatch.maps.block(IPV6_SOURCE_KEY);
    expect(sight(frame)).toEqual(passed);
  });

  it.each(["192.0.2.0", "192.0.2.2", "192.0.3.1", "1.2.0.192"])("is not %s", (source) => {
    packetwatch.maps.block(IPV4_SOURCE);
    expect(sight(ipv4Syn(source))).toMatchObject({ action: "XDP_PASS", records: [{ source }] });
  });

  it("is no destination", () => {
    packetwatch.maps.block(ipv4SynRecord.destination);
    packetwatch.maps.block(ipv6SynRecord.destination);
    expect(sight(ipv4Syn())).toEqual(reported);
    expect(sight(ipv6Syn())).toMatchObject({ action: "XDP_PASS", records: [ipv6SynRecord] });
  });
});

describe("a block's expiry", () => {
  it("of 0 means that it drops for ever", () => {
    packetwatch.maps.block(IPV4_SOURCE, { expiresNs: 0n });
    expect(sight(ipv4Syn())).toEqual(dropped);
  });

  it.each([
    ["a second", SECOND_NS],
    ["an hour", HOUR_NS],
    ["centuries", 2n ** 63n],
  ])("in %s still drops", (_, ns) => {
    packetwatch.maps.block(IPV4_SOURCE, { expiresNs: bootTimeNs() + ns });
    expect(sight(ipv4Syn())).toEqual(dropped);
  });

  it.each([
    ["just now", 0n],
    ["a second ago", SECOND_NS],
    ["when the machine started", bootTimeNs() - 1n],
  ])("%s no longer drops, and leaves the entry as it was", (_, ns) => {
    const block = { expiresNs: bootTimeNs() - ns, dropped: 3n, firstDropNs: 2n };
    packetwatch.maps.block(IPV4_SOURCE, block);
    expect(sight(ipv4Syn())).toEqual(reported);
    expect(packetwatch.maps.blockOf(IPV4_SOURCE)).toEqual(block);
  });

  it("passes between two packets, with nobody doing anything", async () => {
    const expiresNs = bootTimeNs() + SECOND_NS / 2n;
    packetwatch.maps.block(IPV4_SOURCE, { expiresNs });
    expect(sight(ipv4Syn())).toEqual(dropped);
    const hasExpired = () => bootTimeNs() >= expiresNs;
    await waitUntil(hasExpired, { timeoutMs: 2000, what: "the expiry" });
    expect(sight(ipv4Syn())).toEqual(reported);
  });
});

describe("an IPv6 source", () => {
  const elsewhere = ["2001:db8::1", "2001:db8:0:2::1", "2002:db8:0:1::"];
  const sameNetwork = ["2001:db8:0:1::", "2001:db8:0:1::2", "2001:db8:0:1:ffff:ffff:ffff:ffff"];

  it.each(sameNetwork)("is blocked by its /64: %s", (source) => {
    packetwatch.maps.block(IPV6_SOURCE_KEY);
    expect(sight(ipv6Syn(source))).toEqual(droppedIpv6);
    expect(packetwatch.maps.blockOf(IPV6_SOURCE_KEY)).toMatchObject({ dropped: 1n });
  });

  it.each(elsewhere)("is not blocked by another /64: %s", (source) => {
    packetwatch.maps.block(IPV6_SOURCE_KEY);
    expect(sight(ipv6Syn(source))).toMatchObject({ action: "XDP_PASS", records: [{ source }] });
  });

  const prefixes = [
    { bits: 32, key: "2001:db8::", inside: "2001:db8:ffff::1", outside: "2001:db9::1" },
    { bits: 48, key: "2001:db8:1::", inside: "2001:db8:1:ffff::1", outside: "2001:db8:2::1" },
    {
      bits: 56,
      key: "2001:db8:0:100::",
      inside: "2001:db8:0:1ff::1",
      outside: "2001:db8:0:200::1",
    },
    { bits: 128, key: "2001:db8::5", inside: "2001:db8::5", outside: "2001:db8::4" },
  ];
  it.each(prefixes)(
    "is blocked by its /$bits where settings say so",
    ({ bits, key, inside, outside }) => {
      withLoaded({ ipv6SourceBits: bits }, (own) => {
        own.maps.block(key);
        expect(sightingOf(own.send(ipv6Syn(inside)))).toEqual(droppedIpv6);
        expect(own.send(ipv6Syn(outside)).action).toBe("XDP_PASS");
      });
    },
  );

  it("is reported whole: only the key is cut", () => {
    expect(sight(ipv6Syn("2001:db8::abcd")).records).toMatchObject([{ source: "2001:db8::abcd" }]);
  });
});

describe("the two families", () => {
  it("share one form, in which a block of ::ffff:192.0.2.1 is one of 192.0.2.1", () => {
    packetwatch.maps.block("::ffff:192.0.2.1");
    expect(sight(ipv4Syn("192.0.2.1"))).toEqual(dropped);
  });

  it("stay apart: a block of ::/64 drops no IPv4, whose mapped addresses lie in it", () => {
    packetwatch.maps.block("::");
    expect(sight(ipv4Syn())).toEqual(reported);
    expect(sight(ipv6Syn("::5"))).toEqual(droppedIpv6);
  });
});

describe("a dry run", () => {
  const wouldDrop = {
    ...passed,
    records: [{ ...ipv4SynRecord, flags: ["wouldDrop"] }],
    counted: { synIpv4: 1, wouldDrop: 1, reported: 1 },
  };

  it("passes and reports a blocked source's SYN, and counts what it would have dropped", () => {
    packetwatch.maps.enforce("off");
    packetwatch.maps.block(IPV4_SOURCE);
    const outcome = packetwatch.send(ipv4Syn());
    expect(sightingOf(outcome)).toEqual(wouldDrop);
    const block = packetwatch.maps.blockOf(IPV4_SOURCE);
    expect(block?.dropped).toBe(1n);
    expect(block?.firstDropNs).toBeGreaterThanOrEqual(outcome.beforeNs);
  });

  it("reports others as ever, and those whose block has expired", () => {
    packetwatch.maps.enforce("off");
    expect(sight(ipv4Syn())).toEqual(reported);
    packetwatch.maps.block(IPV4_SOURCE, { expiresNs: 1n });
    expect(sight(ipv4Syn())).toEqual(reported);
  });

  it("is what happens before user space has said anything", () => {
    withLoaded({ enforce: "unset" }, (own) => {
      own.maps.block(IPV4_SOURCE);
      expect(sightingOf(own.send(ipv4Syn()))).toEqual(wouldDrop);
    });
  });

  it("begins and ends from one packet to the next", () => {
    packetwatch.maps.block(IPV4_SOURCE);
    expect(sight(ipv4Syn())).toEqual(dropped);
    packetwatch.maps.enforce("off");
    expect(sight(ipv4Syn())).toEqual(wouldDrop);
    packetwatch.maps.enforce("on");
    expect(sight(ipv4Syn())).toEqual(dropped);
  });
});
