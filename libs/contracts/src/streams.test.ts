import { describe, expect, it } from "vitest";
import { replaySeconds, type StreamSizes, streamSpecs } from "./streams.ts";

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
      subjects: ["packetwatch.v1.verdict.>"],
      storage: "file",
      replicas: 3,
      maxBytes: 4_096_000,
      maxMessages: 1000,
      maxMessagesPerSubject: 1,
      maxAgeSeconds: 0,
      duplicateWindowSeconds: 420,
      discard: "new",
      markerSeconds: 3600,
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
      duplicateWindowSeconds: 120,
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
    "a verdict that a replay repeats is still known: window %d seconds",
    (longestWindowSeconds) => {
      const { syn, verdict } = specsOf({ longestWindowSeconds });
      expect(verdict.duplicateWindowSeconds).toBeGreaterThan(syn.maxAgeSeconds);
    },
  );

  // nats-server refuses such a stream.
  it.each([60, 119, 120, 604_800])(
    "no duplicate window is longer than the age limit: history of %d seconds",
    (historySeconds) => {
      for (const spec of streamSpecs({ ...sizes, longestWindowSeconds: 0.001, historySeconds })) {
        const limit = spec.maxAgeSeconds === 0 ? Infinity : spec.maxAgeSeconds;
        expect(spec.duplicateWindowSeconds).toBeLessThanOrEqual(limit);
      }
    },
  );
});
