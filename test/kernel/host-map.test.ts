/** What enforcer makes of the pinned maps of an interface. */
import { formatPrefix, parsePrefix } from "@packetwatch/net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { HostMap } from "../../services/enforcer/src/host-map.ts";
import { Cleanup } from "../support/cleanup.ts";
import { pinMaps } from "../support/pinned-maps.ts";
import type { PinnedPacketwatch } from "../support/pinned-packetwatch.ts";

const ALLOWED_ENTRIES = 4;

const cleanup = new Cleanup();
let hostMap: HostMap;
let pinned: PinnedPacketwatch;

beforeEach(() => {
  const { pinDir, interfaceName, ...maps } = pinMaps(cleanup, { allowed: ALLOWED_ENTRIES });
  pinned = maps.pinned;
  hostMap = cleanup.own(HostMap.open(pinDir, interfaceName) as HostMap);
});
afterEach(() => cleanup.run());

const prefixes = (...texts: readonly string[]) => texts.map((text) => parsePrefix(text));

describe("a full allow map", () => {
  const host = ["192.0.2.1", "192.0.2.2"];
  const operators = ["198.51.100.0/24", "203.0.113.0/24", "203.0.113.7"];

  it("holds the first of what is desired, and refuses the rest", () => {
    const { added, refused } = hostMap.allow(prefixes(...host, ...operators), () => true);
    expect(added.map(formatPrefix)).toEqual([...host, ...operators.slice(0, 2)]);
    expect(refused.map(formatPrefix)).toEqual(["203.0.113.7"]);
  });

  it("makes room for what comes to stand first", () => {
    hostMap.allow(prefixes(...host, ...operators), () => true);
    const desired = prefixes(...host, "192.0.2.3", ...operators);
    const { added, removed, refused } = hostMap.allow(desired, () => true);
    expect(added.map(formatPrefix)).toEqual(["192.0.2.3"]);
    expect(removed.map(formatPrefix)).toEqual(["203.0.113.0/24"]);
    expect(refused.map(formatPrefix)).toEqual(["203.0.113.0/24", "203.0.113.7"]);
    expect(pinned.maps.allowed()).toContain("192.0.2.3");
    expect(hostMap.allow(desired, () => true)).toMatchObject({ added: [], removed: [] });
  });

  it("keeps what may not go, and refuses what finds no room beside it", () => {
    hostMap.allow(prefixes(...operators, "203.0.113.8"), () => true);
    const { added, refused } = hostMap.allow(prefixes(...host), () => false);
    expect(added).toEqual([]);
    expect(refused.map(formatPrefix)).toEqual(host);
  });
});
