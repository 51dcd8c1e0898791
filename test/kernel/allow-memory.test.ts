/** The program remembers for a while that the allow list doesn't hold a blocked source: never for too long. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { waitUntil } from "../support/eventually.ts";
import { type LoadedPacketwatch, loadPacketwatch } from "../support/loaded-packetwatch.ts";
import { ethernet, ipv4, ipv6 } from "../support/packets.ts";
import { tcp } from "../support/segments.ts";

/** More than are remembered at a time. */
const SOURCES = 600;
const BLOCKED_NETWORK = "2001:db8:0:1::";

let packetwatch: LoadedPacketwatch;
beforeAll(() => {
  packetwatch = loadPacketwatch();
});
beforeEach(() => packetwatch.reset());
afterAll(() => packetwatch.close());

const synFrom = (source: string) =>
  ethernet(source.includes(":") ? ipv6(tcp(), { source }) : ipv4(tcp(), { source }));
const actionOn = (source: string) => packetwatch.send(synFrom(source)).action;

/** Numbers of 16 bits far from one another: those who are remembered in one place are among them. */
const spread = Array.from({ length: SOURCES }, (_, index) => (index * 40_503) % 65_536);
const ipv4Sources = spread.map((number) => `10.1.${number >> 8}.${number & 255}`);
const ipv6Sources = spread.map((number) => `${BLOCKED_NETWORK}${number.toString(16)}`);
const networks = spread.map((number) => `2001:db8:1:${number.toString(16)}::`);
const families = [
  { name: "IPv4 sources", sources: ipv4Sources, keys: ipv4Sources },
  { name: "IPv6 sources of one blocked /64", sources: ipv6Sources, keys: [BLOCKED_NETWORK] },
  {
    name: "IPv6 sources of a /64 each",
    sources: networks.map((network) => `${network}1`),
    keys: networks,
  },
] as const;

describe.each(families)("$name that were dropped again and again", ({ sources, keys }) => {
  beforeEach(() => {
    for (const key of keys) packetwatch.maps.block(key);
  });

  function drop(source: string): void {
    for (let times = 0; times < 3; times++) expect(actionOn(source)).toBe("XDP_DROP");
  }

  it("pass with the first SYN after they were allowed, and no other does", () => {
    for (const [index, source] of sources.entries()) {
      const neighbour = sources[index + 1];
      drop(source);
      if (neighbour) drop(neighbour);
      packetwatch.maps.allow(source);
      expect(actionOn(source)).toBe("XDP_PASS");
      if (neighbour) expect(actionOn(neighbour)).toBe("XDP_DROP");
    }
  });

  it("are dropped again with the first SYN after they were taken from the list", () => {
    for (const source of sources) {
      packetwatch.maps.allow(source);
      expect(actionOn(source)).toBe("XDP_PASS");
      packetwatch.maps.disallow(source);
      drop(source);
    }
  });

  it("are not taken for others, who are allowed", () => {
    const dropped = sources.slice(0, 60).map(synFrom);
    const allowed = sources.slice(60, 120);
    for (const source of allowed) packetwatch.maps.allow(source);
    for (const passing of allowed.map(synFrom)) {
      for (const frame of dropped) {
        expect(packetwatch.sendOnly(frame).action).toBe("XDP_DROP");
        expect(packetwatch.sendOnly(passing).action).toBe("XDP_PASS");
      }
    }
  });

  it("all pass from then on when a prefix allows them at once", () => {
    for (const source of sources) drop(source);
    for (const cidr of ["10.1.0.0/16", "2001:db8::/47"]) packetwatch.maps.allow(cidr);
    expect(new Set(sources.map(actionOn))).toEqual(new Set(["XDP_PASS"]));
  });

  it("pass soon when nobody tells the program that the list has changed", async () => {
    for (const source of sources.slice(0, 100)) {
      drop(source);
      packetwatch.maps.allowUntold(source);
      // It takes a tick at most; a machine that is busy can take the CPU away for longer.
      const what = `${source} to pass`;
      await waitUntil(() => actionOn(source) === "XDP_PASS", { timeoutMs: 1000, what });
    }
  });
});
