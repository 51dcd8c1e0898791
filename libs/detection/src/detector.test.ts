import { synFlags } from "@packetwatch/contracts";
import type { AddressWords } from "@packetwatch/net";
import { describe, expect, test } from "vitest";
import { createDetector, type Detection, type DetectorConfig } from "./detector.ts";
import { defaultRules, type RuleConfig } from "./rules.ts";
import { SECOND_US, START_US, synEvent } from "./testing/streams.ts";

const scanner: AddressWords = [0, 0, 0xffff, 0xcb007109];
const visitor: AddressWords = [0x20010db8, 5, 0, 0];
const MINUTE_US = 60 * SECOND_US;

function host(last: number): AddressWords {
  return [0, 0, 0xffff, 0xc0000200 + last];
}

function rule(action: RuleConfig["action"], threshold: number): RuleConfig {
  return { action, threshold, windowUs: MINUTE_US };
}

const off = rule("off", 1);

function create(config: Partial<DetectorConfig> = {}) {
  const detector = createDetector({
    rules: defaultRules,
    capacity: 1024,
    maxQuietSources: 16,
    blockTtlUs: 0,
    seed: 1,
    ...config,
  });
  /** A SYN of `source` to a port of a host, `timeUs` after the start. */
  const syn = (timeUs: number, destinationPort: number, destination = host(1), source = scanner) =>
    detector.observe(synEvent({ timeUs: START_US + timeUs, source, destination, destinationPort }));
  return { detector, syn };
}

function names(detections: readonly Detection[] | undefined): string[] {
  return (detections ?? []).map(({ action, rule: name }) => `${action} ${name}`);
}

describe("vertical", () => {
  test("three ports of one host within 60 seconds block by default", () => {
    const { syn } = create();
    expect([syn(0, 80), syn(1, 81)]).toEqual([undefined, undefined]);
    expect(names(syn(2, 82))).toEqual(["block vertical"]);
  });

  test.each([
    { title: "60.000000 s apart still block", timeUs: MINUTE_US, detected: ["block vertical"] },
    { title: "60.000001 s apart do not", timeUs: MINUTE_US + 1, detected: [] },
    { title: "60.001 s apart do not", timeUs: MINUTE_US + 1_000, detected: [] },
  ])("three ports $title", ({ timeUs, detected }) => {
    const { syn } = create();
    syn(0, 80);
    syn(1_000_000, 81);
    expect(names(syn(timeUs, 82))).toEqual(detected);
  });

  test("a retried SYN to the same port counts once", () => {
    const { syn } = create();
    for (const port of [80, 80, 81, 81, 80, 81]) expect(syn(port, port)).toBeUndefined();
  });

  test("ports of different hosts do not add up", () => {
    const { syn } = create();
    for (const last of [1, 2, 3]) {
      expect([syn(last, 80 + 2 * last, host(last)), syn(last, 81 + 2 * last, host(last))]).toEqual([
        undefined,
        undefined,
      ]);
    }
  });

  test("ports of different sources do not add up", () => {
    const { syn } = create();
    expect([syn(0, 80), syn(0, 81), syn(0, 82, host(1), visitor)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("a detection carries the deciding event and the evidence", () => {
    const { syn } = create();
    syn(5, 81);
    syn(9, 80);
    expect(syn(7, 82)).toEqual([
      {
        rule: "vertical",
        action: "block",
        sourceKey: scanner,
        event: {
          timeUs: START_US + 7,
          destination: host(1),
          sourcePort: 40_000,
          destinationPort: 82,
        },
        evidence: {
          destinations: [host(1)],
          ports: [81, 82, 80],
          count: 3,
          firstSeenUs: START_US + 5,
          lastSeenUs: START_US + 9,
        },
        quietUntilUs: Infinity,
      },
    ]);
  });
});

describe("horizontal and spread", () => {
  const rules = { vertical: off, horizontal: rule("alert", 3), spread: rule("alert", 4) };

  test("one port on several hosts alerts as horizontal", () => {
    const { syn } = create({ rules });
    expect([syn(0, 22, host(1)), syn(1, 22, host(2))]).toEqual([undefined, undefined]);
    const [detection] = syn(2, 22, host(3)) ?? [];
    expect(detection).toMatchObject({
      rule: "horizontal",
      action: "alert",
      quietUntilUs: START_US + 2 + MINUTE_US,
    });
    expect(detection?.evidence).toMatchObject({
      destinations: [host(1), host(2), host(3)],
      ports: [22],
      count: 3,
    });
  });

  test("several ports on several hosts alert as spread", () => {
    const { syn } = create({ rules });
    for (const last of [1, 2, 3]) expect(syn(last, 80 + last, host(last))).toBeUndefined();
    const [detection] = syn(4, 81, host(2)) ?? [];
    expect(detection).toMatchObject({ rule: "spread", action: "alert" });
    expect(detection?.evidence).toMatchObject({
      destinations: [host(1), host(2), host(3)],
      ports: [81, 82, 83],
      count: 4,
    });
  });

  test("a scan of one port on each of 30 hosts is found by the defaults", () => {
    const { syn } = create();
    const found = Array.from({ length: 30 }, (_, last) => names(syn(last, 22, host(last))));
    expect(found[24]).toEqual(["alert horizontal", "alert spread"]);
    expect(found.flat()).toHaveLength(2);
  });
});

describe("several rules on one event", () => {
  test("the first that blocks wins, and alerts are told beside it", () => {
    const rules = {
      vertical: rule("alert", 2),
      horizontal: rule("block", 2),
      spread: rule("block", 3),
    };
    const { syn } = create({ rules });
    syn(0, 80, host(1));
    syn(1, 81, host(2));
    expect(names(syn(2, 80, host(2)))).toEqual(["alert vertical", "block horizontal"]);
  });

  test("a rule that is off neither fires nor takes memory", () => {
    const { detector, syn } = create({ rules: { vertical: off, horizontal: off, spread: off } });
    expect(syn(0, 80)).toBeUndefined();
    expect(detector.stats().rules).toEqual({});
    expect(detector.bytes).toBeLessThan(create().detector.bytes / 10);
  });
});

describe("alerts", () => {
  const rules = { vertical: rule("alert", 1), horizontal: off, spread: off };

  test.each([
    {
      title: "a microsecond before the cool-down ends does not count",
      timeUs: MINUTE_US - 1,
      detected: [],
      coolingDown: 1,
    },
    { title: "at its end counts", timeUs: MINUTE_US, detected: ["alert vertical"], coolingDown: 0 },
    { title: "from before the alert does not count", timeUs: -1, detected: [], coolingDown: 1 },
  ])("an event $title", ({ timeUs, detected, coolingDown }) => {
    const { detector, syn } = create({ rules });
    expect(names(syn(0, 80))).toEqual(["alert vertical"]);
    expect(names(syn(timeUs, 81))).toEqual(detected);
    expect(detector.stats().coolingDown).toBe(coolingDown);
  });

  test("what another rule counts goes on through the cool-down of one", () => {
    const { syn } = create({ rules: { ...rules, spread: rule("alert", 3) } });
    expect(names(syn(0, 80))).toEqual(["alert vertical"]);
    expect(names(syn(1, 81))).toEqual([]);
    expect(names(syn(2, 82))).toEqual(["alert spread"]);
  });

  test("an alert that another detector published holds back as one's own, in whatever order they come", () => {
    const { detector, syn } = create({ rules });
    detector.applyAlert({ rule: "vertical", sourceKey: scanner, issuedUs: START_US });
    detector.applyAlert({ rule: "vertical", sourceKey: scanner, issuedUs: START_US - MINUTE_US });
    expect(names(syn(MINUTE_US - 1, 80))).toEqual([]);
    expect(names(syn(MINUTE_US, 80))).toEqual(["alert vertical"]);
  });

  test("an alert of a rule that blocks or is off here changes nothing", () => {
    const { detector, syn } = create({ rules: { ...rules, vertical: rule("block", 1) } });
    detector.applyAlert({ rule: "vertical", sourceKey: scanner, issuedUs: START_US });
    detector.applyAlert({ rule: "spread", sourceKey: scanner, issuedUs: START_US });
    expect(names(syn(1, 80))).toEqual(["block vertical"]);
  });

  test("alerts about another source are told", () => {
    const { syn } = create({ rules });
    expect(names(syn(0, 80))).toEqual(["alert vertical"]);
    expect(names(syn(1, 80, host(1), visitor))).toEqual(["alert vertical"]);
  });
});

describe("quiet", () => {
  const rules = { vertical: rule("block", 2), horizontal: off, spread: rule("block", 4) };

  test("a blocked source is ignored for ever when blocks have no end", () => {
    const { detector, syn } = create({ rules });
    syn(0, 80);
    expect(names(syn(1, 81))).toEqual(["block vertical"]);
    for (const timeUs of [-5, 2, 1_000 * MINUTE_US])
      for (const port of [90, 91, 92]) expect(syn(timeUs, port)).toBeUndefined();
    expect(detector.stats()).toMatchObject({ events: 11, quiet: 9 });
  });

  test("a source counts anew from the microsecond in which its block ends", () => {
    const { syn } = create({ rules, blockTtlUs: 10 });
    syn(0, 80);
    expect(syn(1, 81)?.[0]?.quietUntilUs).toBe(START_US + 11);
    syn(10, 82);
    expect(syn(11, 83)).toBeUndefined();
    expect(names(syn(12, 84))).toEqual(["block vertical"]);
  });

  test("what was seen on other hosts before the block does not count after it", () => {
    const { syn } = create({ rules, blockTtlUs: 10 });
    syn(0, 80, host(2));
    syn(0, 80);
    syn(1, 81);
    expect(syn(11, 81, host(2))).toBeUndefined();
    expect(names(syn(12, 82, host(2)))).toEqual(["block vertical"]);
  });

  test("a block that someone else decided quietens the source", () => {
    const { detector, syn } = create({ rules });
    detector.applyVerdict({
      kind: "block",
      sourceKey: scanner,
      issuedUs: START_US,
      expiresUs: START_US + 10,
    });
    for (const port of [80, 81, 82]) expect(syn(9, port)).toBeUndefined();
    syn(10, 80);
    expect(names(syn(10, 81))).toEqual(["block vertical"]);
  });

  test("an unblock lifts it, and nothing up to its issue counts again, in a replay either", () => {
    const { detector, syn } = create({ rules });
    const scan = [
      [0, 80, 1],
      [0, 80, 2],
      [1, 81, 1],
      [5, 80, 3],
    ] as const;
    for (const [timeUs, port, last] of scan) syn(timeUs, port, host(last));
    detector.applyVerdict({ kind: "unblock", sourceKey: scanner, issuedUs: START_US + 5 });
    for (const [timeUs, port, last] of scan) expect(syn(timeUs, port, host(last))).toBeUndefined();
    expect(detector.stats()).toMatchObject({ quiet: 1, beforeUnblock: 4 });
    expect(syn(6, 81, host(2))).toBeUndefined();
    expect(names(syn(7, 82, host(2)))).toEqual(["block vertical"]);
  });

  test("a block older than the unblock has no effect", () => {
    const { detector, syn } = create({ rules });
    detector.applyVerdict({ kind: "unblock", sourceKey: scanner, issuedUs: START_US + 5 });
    detector.applyVerdict({
      kind: "block",
      sourceKey: scanner,
      issuedUs: START_US + 4,
      expiresUs: undefined,
    });
    syn(6, 80);
    expect(names(syn(6, 81))).toEqual(["block vertical"]);
  });

  test("no more sources are remembered than configured, and those forgotten too early are counted", () => {
    const { detector } = create({ rules, maxQuietSources: 4 });
    for (let last = 0; last < 10; last++) {
      detector.applyVerdict({
        kind: "block",
        sourceKey: host(last),
        issuedUs: START_US,
        expiresUs: undefined,
      });
    }
    expect(detector.stats()).toMatchObject({ quietSources: 4, quietEvictedLive: 6 });
  });
});

describe("a flood of sources that come once", () => {
  const SPOOFED = 5_000;

  /** Attempts of a slow scanner, with a flood between each two of them that fills the table of sources several times. */
  function scanThroughFlood(slowPorts: readonly number[]) {
    const rules = {
      vertical: rule("block", 6),
      horizontal: rule("alert", 4),
      spread: rule("alert", 25),
    };
    const { detector, syn } = create({ rules });
    const found = [80, 81, 82].map((port) => syn(port, port));
    for (const port of slowPorts) {
      for (let spoofed = 0; spoofed < SPOOFED; spoofed++) {
        syn(port, 443, host(1), [0, 0, 0xffff, spoofed]);
      }
      found.push(syn(port, port));
    }
    return { found: found.flatMap(names), stats: detector.stats() };
  }

  test("pushes nothing out of the rules' windows: who has tried enough for them is found through it", () => {
    const { found, stats } = scanThroughFlood([83, 84, 85]);
    expect(found).toEqual(["block vertical"]);
    expect(stats.rules).toMatchObject({
      vertical: { evictedLive: 0 },
      horizontal: { evictedLive: 0 },
      spread: { trackedKeys: 1, evictedLive: 0 },
    });
  });

  test("fills the table of sources, which takes no more than its room and counts who had to leave", () => {
    const { stats } = scanThroughFlood([83]);
    const { keyLimit, trackedKeys, evictedLive } = stats.sources;
    expect([keyLimit, trackedKeys]).toEqual([1024, 1024]);
    // The scanner came twice.
    expect(evictedLive).toBe(SPOOFED + 2 - keyLimit);
  });
});

test("allow-listed events are counted and nothing else", () => {
  const { detector } = create();
  const event = synEvent({
    timeUs: START_US,
    source: scanner,
    destination: host(1),
    destinationPort: 0,
  });
  event.flags = synFlags.allowed | synFlags.listener;
  for (event.destinationPort = 1; event.destinationPort < 100; event.destinationPort++) {
    expect(detector.observe(event)).toBeUndefined();
  }
  expect(detector.stats()).toMatchObject({ events: 99, allowed: 99, quiet: 0 });
  expect(detector.inspect(scanner).windows).toEqual({ vertical: [], horizontal: [], spread: [] });
});

test("late events are counted for each rule that they are late for", () => {
  const { detector, syn } = create();
  syn(2 * MINUTE_US, 80);
  syn(0, 80);
  const { late, rules } = detector.stats();
  expect(late).toBe(1);
  expect(rules).toMatchObject({
    vertical: { late: 1 },
    horizontal: { late: 0 },
    spread: { late: 0 },
  });
});

test("inspecting a source tells its verdict and everything held about it, and nothing about others", () => {
  const { detector, syn } = create();
  syn(0, 80);
  syn(1, 81);
  syn(2, 80, host(2));
  syn(3, 80, host(3), visitor);
  expect(detector.inspect(scanner).verdict).toBeUndefined();
  const { vertical = [], horizontal = [], spread = [] } = detector.inspect(scanner).windows;
  expect(vertical.map(({ items }) => items.map(({ item }) => item))).toEqual(
    expect.arrayContaining([[[80], [81]], [[80]]]),
  );
  expect(horizontal.map(({ key }) => key[0])).toEqual(expect.arrayContaining([80, 81]));
  expect([vertical, horizontal, spread].map((entries) => entries.length)).toEqual([2, 2, 1]);
  expect(spread[0]?.items).toHaveLength(3);
  detector.applyVerdict({ kind: "unblock", sourceKey: scanner, issuedUs: START_US + 1 });
  const { verdict, windows } = detector.inspect(scanner);
  expect(verdict).toEqual({ kind: "unblock", issuedUs: START_US + 1, floorUs: START_US + 2 });
  expect(
    [windows.vertical, windows.horizontal, windows.spread].map((entries) => entries?.length),
  ).toEqual([1, 1, 1]);
});

describe("where only closed ports count", () => {
  const { allowed, listener, listenerKnown } = synFlags;
  const closed = listenerKnown;
  const open = listenerKnown | listener;

  function createCounting(count: "all" | "closed") {
    const { detector } = create({ count });
    let time = 0;
    const syn = (destinationPort: number, flags: number) => {
      const timeUs = START_US + time++;
      const event = synEvent({ timeUs, source: scanner, destination: host(1), destinationPort });
      return names(detector.observe({ ...event, flags }));
    };
    return { detector, syn };
  }

  test("any number of visits to open ports is no scan, and three closed ones are", () => {
    const { detector, syn } = createCounting("closed");
    for (let port = 1; port <= 100; port++) expect(syn(port, open)).toEqual([]);
    expect([syn(201, closed), syn(202, closed)]).toEqual([[], []]);
    expect(syn(203, open)).toEqual([]);
    expect(syn(204, closed)).toEqual(["block vertical"]);
    expect(detector.stats()).toMatchObject({ events: 104, listened: 101, listenerUnknown: 0 });
  });

  test("an attempt of which nobody looked up the port does not count, and is told apart", () => {
    const { detector, syn } = createCounting("closed");
    for (const port of [1, 2, 3, 4]) expect(syn(port, 0)).toEqual([]);
    expect(syn(5, allowed | closed)).toEqual([]);
    expect(detector.stats()).toMatchObject({ allowed: 1, listened: 0, listenerUnknown: 4 });
  });

  test("by default open and closed ports count alike", () => {
    const { syn } = createCounting("all");
    expect([syn(1, open), syn(2, closed), syn(3, 0)]).toEqual([[], [], ["block vertical"]]);
  });
});
