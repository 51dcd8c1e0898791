import { describe, expect, it } from "vitest";
import {
  alertLookBackSeconds,
  replaySeconds,
  type StreamSizes,
  streamSpecs,
  verdictTtlSeconds,
} from "./streams.ts";
import type { Verdict } from "./verdict.v1.ts";

const sizes: StreamSizes = {
  longestWindowSeconds: 300,
  synStorage: "memory",
  synBytes: 268_435_456,
  verdictMessages: 1000,
  historySeconds: 604_800,
  historyBytes: 1_048_576,
  replicas: 3,
};

function specsOf(change: Partial<StreamSizes> = {}) {
  const [syn, verdict, history, telemetry] = streamSpecs({ ...sizes, ...change });
  if (!syn || !verdict || !history || !telemetry) throw new Error("four streams are expected");
  return { syn, verdict, history, telemetry };
}

describe("the streams", () => {
  it("are four, and the buckets", () => {
    expect(streamSpecs(sizes).map(({ name }) => name)).toEqual([
      "PACKETWATCH_SYN",
      "PACKETWATCH_VERDICT",
      "PACKETWATCH_HISTORY",
      "PACKETWATCH_TELEMETRY",
      "KV_packetwatch_allowlist",
      "KV_packetwatch_enforcement",
      "KV_packetwatch_hosts",
    ]);
  });

  it("what operators set stays until they remove it, and a full bucket refuses more", () => {
    const [, , , , allowlist] = streamSpecs(sizes);
    expect(allowlist).toMatchObject({
      subjects: ["$KV.packetwatch_allowlist.>"],
      storage: "file",
      replicas: 3,
      maxMessages: 8192,
      maxMessagesPerSubject: 1,
      maxAgeSeconds: 0,
      discard: "new",
      kind: "bucket",
    });
  });

  it("SYNs lie in memory, a little longer than the longest window, and the oldest leave first", () => {
    expect(specsOf().syn).toEqual({
      name: "PACKETWATCH_SYN",
      description: expect.any(String),
      subjects: ["packetwatch.v1.syn.*"],
      storage: "memory",
      replicas: 3,
      maxBytes: 268_435_456,
      maxMessages: -1,
      maxMessagesPerSubject: -1,
      maxAgeSeconds: 360,
      duplicateWindowSeconds: 60,
      discard: "old",
    });
  });

  it("of verdicts the last of each source stays for ever, and a full list refuses new ones", () => {
    expect(specsOf().verdict).toEqual({
      name: "PACKETWATCH_VERDICT",
      description: expect.any(String),
      subjects: ["packetwatch.v1.verdict.>", "packetwatch.v1.breaker"],
      storage: "file",
      replicas: 3,
      maxBytes: 4_096_000,
      maxMessages: 1000,
      maxMessagesPerSubject: 1,
      maxAgeSeconds: 0,
      duplicateWindowSeconds: 420,
      discard: "new",
      markerSeconds: 600,
    });
  });

  it("history is alerts, what enforcers did and a copy of the verdicts, for days", () => {
    expect(specsOf().history).toEqual({
      name: "PACKETWATCH_HISTORY",
      description: expect.any(String),
      subjects: ["packetwatch.v1.alert.>", "packetwatch.v1.applied.*"],
      storage: "file",
      replicas: 3,
      maxBytes: 1_048_576,
      maxMessages: -1,
      maxMessagesPerSubject: -1,
      maxAgeSeconds: 604_800,
      duplicateWindowSeconds: 420,
      discard: "old",
      sources: ["PACKETWATCH_VERDICT"],
    });
  });

  it("of telemetry the last word of each instance is kept for a day, in memory", () => {
    expect(specsOf().telemetry).toEqual({
      name: "PACKETWATCH_TELEMETRY",
      description: expect.any(String),
      subjects: ["packetwatch.v1.telemetry.*.*"],
      storage: "memory",
      replicas: 3,
      maxBytes: 67_108_864,
      maxMessages: -1,
      maxMessagesPerSubject: 1,
      maxAgeSeconds: 86_400,
      duplicateWindowSeconds: 60,
      discard: "old",
    });
  });

  it.each([
    [0.001, 61],
    [0.5, 61],
    [60, 120],
    [86_400, 86_460],
  ])("a window of %d seconds is replayed from %d seconds back", (windowSeconds, replayed) => {
    expect(replaySeconds(windowSeconds)).toBe(replayed);
    expect(specsOf({ longestWindowSeconds: windowSeconds }).syn.maxAgeSeconds).toBe(replayed);
  });

  it.each([0.001, 60, 86_400])(
    "a verdict or alert that a replay repeats is still known: window %d seconds",
    (longestWindowSeconds) => {
      const { syn, verdict, history } = specsOf({ longestWindowSeconds });
      expect(verdict.duplicateWindowSeconds).toBeGreaterThan(syn.maxAgeSeconds);
      expect(history.duplicateWindowSeconds).toBeGreaterThan(syn.maxAgeSeconds);
    },
  );

  it.each([60, 604_800])(
    "alerts are kept for as long as a takeover looks back: history of %d seconds",
    (historySeconds) => {
      const { syn, history } = specsOf({ historySeconds });
      expect(alertLookBackSeconds(300)).toBeGreaterThanOrEqual(syn.maxAgeSeconds + 300);
      expect(history.maxAgeSeconds).toBeGreaterThanOrEqual(alertLookBackSeconds(300));
    },
  );

  // nats-server refuses such a stream.
  it.each([60, 119, 120, 604_800])(
    "no duplicate window is longer than the age limit: history of %d seconds",
    (historySeconds) => {
      for (const spec of streamSpecs({ ...sizes, historySeconds })) {
        const limit = spec.maxAgeSeconds === 0 ? Infinity : spec.maxAgeSeconds;
        expect(spec.duplicateWindowSeconds).toBeLessThanOrEqual(limit);
      }
    },
  );
});

describe("how long a verdict stays in the stream", () => {
  const nowUs = 1_800_000_000_000_000;
  const common = { version: 1, id: "a", source: "192.0.2.1", decidedBy: "detector/a" } as const;
  const block = (expiresUs: number | null): Verdict => ({
    ...common,
    kind: "block",
    rule: "vertical",
    issuedUs: nowUs,
    expiresUs,
    evidence: null,
  });
  const ttlOf = (verdict: Verdict, longestWindowSeconds = 300) =>
    verdictTtlSeconds(verdict, { nowUs, longestWindowSeconds });

  it("a block without an end stays", () => {
    expect(ttlOf(block(null))).toBe(0);
  });

  it.each([
    { title: "that lasts", lastsUs: 10_500_000, seconds: 11 },
    { title: "that has ended", lastsUs: -5_000_000, seconds: 0 },
  ])("a block $title is known for as long as a replay reaches back", ({ lastsUs, seconds }) => {
    expect(ttlOf(block(nowUs + lastsUs))).toBe(seconds + 420);
  });

  it("a block that makes the next one longer is known for as long as it does", () => {
    const options = { nowUs, longestWindowSeconds: 300, memorySeconds: 86_399.5 };
    expect(verdictTtlSeconds(block(nowUs + 1e7), options)).toBe(10 + 86_400 + 420);
    expect(verdictTtlSeconds(block(null), options)).toBe(0);
  });

  it("an unblock outlives every replay, of the longest windows too", () => {
    const unblock: Verdict = { ...common, kind: "unblock", issuedUs: nowUs };
    const longest = specsOf({ longestWindowSeconds: 86_400 });
    expect(ttlOf(unblock)).toBeGreaterThan(longest.syn.maxAgeSeconds + 86_400);
    expect(ttlOf(unblock, 86_400)).toBe(ttlOf(unblock));
  });
});
