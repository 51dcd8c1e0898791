import { defaultRules } from "@packetwatch/detection";
import { parseAddress, parsePrefix } from "@packetwatch/net";
import { describe, expect, it } from "vitest";
import { type Attempt, synBatch, TIME_US } from "../testing/payloads.ts";
import { Replay, type ReplayOptions } from "./replay.ts";
import {
  describeFlaws,
  type InputEnd,
  renderJson,
  renderReport,
  type ReplayReport,
} from "./replay-report.ts";
import { SourceCounter } from "./source-counter.ts";

const SECOND_US = 1_000_000;
const whole: InputEnd = { kind: "whole", unreadBytes: 0, missedBatches: 0 };

function replayOf(batches: readonly Uint8Array[], options: Partial<ReplayOptions> = {}): Replay {
  const replay = new Replay({
    rules: defaultRules,
    capacity: 4096,
    maxQuietSources: 4096,
    blockTtlUs: 0,
    seed: 7,
    allow: [],
    ...options,
  });
  for (const batch of batches) replay.take(batch);
  return replay;
}

const at = (seconds: number) => TIME_US + seconds * SECOND_US;
const portScan = (source: string, startSeconds: number, flags = 0): readonly Attempt[] =>
  [22, 80, 443].map((port, step) => ({ source, port, flags, timeUs: at(startSeconds + step) }));
const addressScan = (source: string): readonly Attempt[] =>
  Array.from({ length: 25 }, (_, host) => ({
    source,
    destination: `10.0.1.${host}`,
    port: 22,
    timeUs: at(host),
  }));
const visits: readonly Attempt[] = [443, 80].map((port) => ({ source: "192.0.2.1", port }));

const report = (replay: Replay, input: InputEnd = whole): ReplayReport => ({
  replay,
  rules: defaultRules,
  input,
});

describe("a replay finds what detectors would", () => {
  it("a port scan would be blocked; who visits is not", () => {
    const replay = replayOf([synBatch([...visits, ...portScan("192.0.2.9", 0)])]);
    expect(replay.findings()).toMatchObject([
      {
        action: "block",
        source: "192.0.2.9",
        rule: "vertical",
        decidedUs: at(2),
        expiresUs: null,
        evidence: {
          count: 3,
          windowSeconds: 60,
          destinations: ["10.0.0.5"],
          ports: [22, 80, 443],
          hosts: ["host-a"],
          firstSeenUs: at(0),
          lastSeenUs: at(2),
        },
      },
    ]);
  });

  it("findings of several shards come in the order of their times", () => {
    const scans = [portScan("192.0.2.9", 20), portScan("192.0.2.8", 10), portScan("192.0.2.7", 0)];
    const replay = replayOf(scans.map((scan) => synBatch(scan)));
    expect(replay.findings().map(({ source }) => source)).toEqual([
      "192.0.2.7",
      "192.0.2.8",
      "192.0.2.9",
    ]);
  });

  it("an IPv6 source is judged by its prefix", () => {
    const attempts = [1, 2, 3].map((host) => ({
      source: `2001:db8:0:1::${host}`,
      destination: "2001:db8::5",
      port: host,
    }));
    const replay = replayOf([synBatch(attempts, { family: 6 })]);
    expect(replay.findings()[0]?.source).toBe("2001:db8:0:1::/64");
    expect(replay.tally.sources.count).toBe(1);
  });

  it("a block that ends lets its source be found again", () => {
    const scans = synBatch([...portScan("192.0.2.9", 0), ...portScan("192.0.2.9", 100)]);
    const ended = replayOf([scans], { blockTtlUs: 10 * SECOND_US });
    expect(ended.findings().map(({ expiresUs }) => expiresUs)).toEqual([at(12), at(112)]);
    expect(ended.blocks.sources.count).toBe(1);
    expect(replayOf([scans]).findings()).toHaveLength(1);
  });

  it.each([
    ["192.0.2.0/24", 0, 3],
    ["192.0.2.9", 0, 3],
    ["198.51.100.0/24", 1, 0],
  ])("with --allow %s it finds %d", (cidr, found, allowed) => {
    const scan = synBatch(portScan("192.0.2.9", 0));
    const replay = replayOf([scan], { allow: [parsePrefix(cidr)] });
    expect(replay.findings()).toHaveLength(found);
    expect({ allowed: replay.tally.allowed, here: replay.allowedHere }).toEqual({
      allowed,
      here: allowed,
    });
  });

  it("--allow tells the addresses of a prefix apart, as the kernel does", () => {
    const attempts = [1, 2, 3].map((host) => ({
      source: `2001:db8:0:1::${host}`,
      destination: "2001:db8::5",
      port: host,
    }));
    const allow = [parsePrefix("2001:db8:0:1::3")];
    const replay = replayOf([synBatch(attempts, { family: 6 })], { allow });
    expect({ found: replay.findings().length, here: replay.allowedHere }).toEqual({
      found: 0,
      here: 1,
    });
  });

  it("attempts that the kernel marked as allow-listed don't count", () => {
    const scan = portScan("192.0.2.9", 0, 1);
    const replay = replayOf([synBatch(scan)]);
    expect(replay.findings()).toEqual([]);
    expect({ allowed: replay.tally.allowed, here: replay.allowedHere }).toEqual({
      allowed: 3,
      here: 0,
    });
  });

  it("a batch that isn't one is counted, and the others are judged", () => {
    const scan = synBatch(portScan("192.0.2.9", 0));
    const replay = replayOf([scan.subarray(1), scan, Uint8Array.of(1)]);
    expect(replay.rejections.total).toBe(2);
    expect(replay.findings()).toHaveLength(1);
  });
});

describe("the report", () => {
  const batches = [
    synBatch(addressScan("192.0.2.44"), { host: "web-1" }),
    synBatch([...visits, ...portScan("198.51.100.200", 3)], { host: "db-2" }),
    synBatch([{ source: "192.0.2.3", flags: 1 }]),
  ];
  const time = (seconds: number) => new RegExp(`\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:${seconds}`);

  it("is a table, and a summary", () => {
    const lines = renderReport(report(replayOf(batches))).split("\n");
    expect(lines[0]).toMatch(
      /^TIME +ACTION +RULE +SOURCE +HOST +DESTINATIONS +PORTS +FIRST SEEN +LAST SEEN$/,
    );
    expect(lines[1]?.split(/ {2,}/)).toEqual([
      expect.stringMatching(time(10)),
      "block",
      "vertical",
      "198.51.100.200",
      "db-2",
      "10.0.0.5",
      "22,80,443",
      expect.stringMatching(/:08$/),
      expect.stringMatching(/:10$/),
    ]);
    expect(lines[2]).toContain("10.0.1.0,10.0.1.1,10.0.1.2,10.0.1.3,+21");
    expect(lines.slice(-7)).toEqual([
      "",
      expect.stringMatching(/^31 attempts of 4 sources, .* \(24s\)$/),
      "rules: vertical 3 ports in 1m: block; horizontal 25 addresses in 5m: alert; spread 25 targets in 5m: alert",
      "would block 1 source",
      "would alert about 1 source (2 alerts)",
      "allow-listed, and not counted: 1 attempt",
      "",
    ]);
  });

  it("without a finding is the summary alone", () => {
    const text = renderReport(report(replayOf([synBatch(visits)])));
    expect(text).toMatch(/^2 attempts of 1 source/);
    expect(text).toContain("would block 0 sources\n");
  });

  it("as JSON has an object for each finding, and the summary last", () => {
    const lines = renderJson(report(replayOf(batches)))
      .trimEnd()
      .split("\n");
    const rows = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(rows.map(({ kind }) => kind)).toEqual([
      "detection",
      "detection",
      "detection",
      "summary",
    ]);
    expect(rows[0]).toEqual({
      kind: "detection",
      action: "block",
      time: "2021-04-28T13:28:10.123Z",
      id: expect.stringMatching(/^[0-9a-f]{32}$/),
      source: "198.51.100.200",
      rule: "vertical",
      expires: null,
      evidence: {
        count: 3,
        windowSeconds: 60,
        destinations: ["10.0.0.5"],
        ports: [22, 80, 443],
        hosts: ["db-2"],
        firstSeen: "2021-04-28T13:28:08.123Z",
        lastSeen: "2021-04-28T13:28:10.123Z",
      },
    });
    expect(rows.at(-1)).toMatchObject({
      attempts: 31,
      sources: 4,
      batches: 3,
      blocks: 1,
      blockedSources: 1,
      alerts: 2,
      alertedSources: 1,
      allowed: 1,
      input: "whole",
    });
  });

  it("a host's name can't move the cursor", () => {
    const replay = replayOf([synBatch(portScan("192.0.2.9", 0), { host: "\u001b[2J" })]);
    expect(renderReport(report(replay))).toContain("?[2J");
  });

  it("a recording's flaws are named", () => {
    const replay = replayOf([Uint8Array.of(1)]);
    const flaws = (input: Partial<InputEnd>) =>
      describeFlaws({ replay, input: { ...whole, ...input } });
    expect(flaws({ kind: "truncated", unreadBytes: 1 })).toEqual([
      "the recording ends in the middle of a batch, after 1 byte of it",
      "1 payload rejected: too_short",
    ]);
    expect(flaws({ kind: "damaged", unreadBytes: 9 })[0]).toContain("its last 9 bytes");
    expect(flaws({ kind: "interrupted" })[0]).toContain("interrupted");
    expect(flaws({ missedBatches: 2 })[0]).toContain("gave up 2 batches");
  });

  it("says where windows had to be forgotten", () => {
    const sources = Array.from({ length: 5000 }, (_, index) => ({
      source: `10.1.${index >> 8}.${index & 255}`,
    }));
    const batches = [synBatch(sources.slice(0, 2500)), synBatch(sources.slice(2500))];
    const replay = replayOf(batches, { capacity: 1024 });
    expect(describeFlaws({ replay, input: whole })[0]).toMatch(/PW_DETECTOR_CAPACITY/);
  });
});

it("sources are counted exactly up to the limit, and not beyond", () => {
  const counter = new SourceCounter(3);
  for (const text of ["192.0.2.1", "192.0.2.1", "::1"]) counter.add(parseAddress(text));
  expect({ count: counter.count, isFull: counter.isFull }).toEqual({ count: 2, isFull: false });
  for (const text of ["192.0.2.3", "192.0.2.4"]) counter.add(parseAddress(text));
  expect({ count: counter.count, isFull: counter.isFull }).toEqual({ count: 3, isFull: true });
});
