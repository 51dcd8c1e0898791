import { bootTimeNs } from "@packetwatch/bpf";
import { isEnforcing, type LiveSetting, NOTHING_SET } from "@packetwatch/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LoadedPacketwatch, loadPacketwatch } from "../support/loaded-packetwatch.ts";
import { ethernet, IPV4_SOURCE, ipv4 } from "../support/packets.ts";
import { tcp } from "../support/segments.ts";

const HOUR_NS = 3_600_000_000_000n;
const frame = ethernet(ipv4(tcp(), { source: IPV4_SOURCE }));

let packetwatch: LoadedPacketwatch;
beforeAll(() => {
  packetwatch = loadPacketwatch();
  packetwatch.maps.block(IPV4_SOURCE);
});
afterAll(() => packetwatch.close());

type Case = readonly [
  enforce: "on" | "off",
  set: LiveSetting["set"],
  end: "none" | "over" | "ahead",
  setAfter: LiveSetting["setAfter"],
  drops: boolean,
];

const cases: readonly Case[] = [
  ["on", undefined, "none", undefined, true],
  ["off", undefined, "none", undefined, false],
  ["off", "on", "none", undefined, true],
  ["on", "off", "none", undefined, false],
  ["off", "on", "ahead", "off", true],
  ["off", "on", "over", "off", false],
  ["off", "on", "over", undefined, false],
  ["on", "off", "over", undefined, true],
  ["off", "off", "over", "on", true],
  ["on", "on", "over", "off", false],
];

describe("a blocked source", () => {
  it.each(cases)(
    "with PW_ENFORCE %s, set to %s, its end %s, then %s: is dropped %s",
    (enforce, set, end, setAfter, drops) => {
      const untilNs = { none: 0n, over: bootTimeNs() - 1n, ahead: bootTimeNs() + HOUR_NS }[end];
      packetwatch.maps.enforce(enforce, { set, setAfter, untilNs });
      const { action, counted, beforeNs } = packetwatch.send(frame);
      expect(action).toBe(drops ? "XDP_DROP" : "XDP_PASS");
      expect(counted).toMatchObject(drops ? { dropped: 1 } : { wouldDrop: 1, reported: 1 });
      expect(isEnforcing(packetwatch.maps.live(), beforeNs)).toBe(drops);
    },
  );

  it("is dropped up to the end of a trial, and passes from then on", () => {
    packetwatch.maps.enforce("off", {
      ...NOTHING_SET,
      set: "on",
      untilNs: bootTimeNs() + 50_000_000n,
    });
    const { untilNs } = packetwatch.maps.live();
    for (;;) {
      const { action, beforeNs, afterNs } = packetwatch.send(frame);
      if (afterNs < untilNs) expect(action).toBe("XDP_DROP");
      if (beforeNs < untilNs) continue;
      expect(action).toBe("XDP_PASS");
      return;
    }
  });
});
