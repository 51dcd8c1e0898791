import {
  SYN_RECORD_BYTES,
  SynBatchWriter,
  synRecordLayout,
  verdictSchema,
} from "@packetwatch/contracts";
import {
  createAlert,
  createDetector,
  createVerdict,
  defaultRules,
  type Detection,
} from "@packetwatch/detection";
import { parseAddress, writeAddress } from "@packetwatch/net";
import { describe, expect, it } from "vitest";
import { ShardFeed } from "./shard-feed.ts";

const START_US = 1_800_000_000_000_000;

type Attempt = { source: string; port: number; destination?: string; flags?: number };

function batchOf(attempts: readonly Attempt[]): Uint8Array {
  const isIpv6 = attempts.some(({ source }) => source.includes(":"));
  const writer = new SynBatchWriter({
    family: isIpv6 ? 6 : 4,
    host: "host-a",
    interfaceName: "eth0",
    ipv6SourceBits: 64,
  });
  for (const [index, attempt] of attempts.entries()) {
    const view = new DataView(new ArrayBuffer(SYN_RECORD_BYTES));
    writeAddress(parseAddress(attempt.source), view, synRecordLayout.source);
    const destination = attempt.destination ?? (isIpv6 ? "2001:db8::80" : "10.0.0.5");
    writeAddress(parseAddress(destination), view, synRecordLayout.destination);
    view.setUint16(synRecordLayout.destination_port, attempt.port);
    view.setUint8(synRecordLayout.flags, attempt.flags ?? 0);
    writer.append(START_US + index, view, 0);
  }
  return writer.take();
}

function createFeed() {
  const found: Detection[] = [];
  const rejected: string[] = [];
  const detector = createDetector({
    rules: defaultRules,
    capacity: 1024,
    maxQuietSources: 1024,
    blockTtlUs: 0,
    seed: 1,
  });
  const feed = new ShardFeed({
    detector,
    onDetections: (detections) => found.push(...detections),
    onRejected: (reason) => rejected.push(reason),
  });
  return { feed, found, rejected };
}

const context = {
  host: "host-a",
  ipv6SourceBits: 64,
  decidedBy: "detector/test",
  windowSeconds: 60,
};

describe("the shard feed", () => {
  it("shows every attempt of a batch to the detector", () => {
    const { feed, found } = createFeed();
    feed.take(batchOf([80, 81, 82].map((port) => ({ source: "192.0.2.1", port }))));
    expect(found.map((detection) => createVerdict(detection, context))).toEqual([
      {
        version: 1,
        kind: "block",
        id: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
        source: "192.0.2.1",
        rule: "vertical",
        decidedBy: "detector/test",
        issuedUs: START_US + 2,
        expiresUs: null,
        evidence: {
          count: 3,
          windowSeconds: 60,
          destinations: ["10.0.0.5"],
          ports: [80, 81, 82],
          hosts: ["host-a"],
          firstSeenUs: START_US,
          lastSeenUs: START_US + 2,
        },
      },
    ]);
  });

  it("judges IPv6 sources by their /64, and names the verdict after it", () => {
    const { feed, found } = createFeed();
    feed.take(batchOf([80, 81, 82].map((port) => ({ source: `2001:db8:0:1::${port}`, port }))));
    const verdicts = found.map((detection) => createVerdict(detection, context));
    expect(verdicts.map(({ source }) => source)).toEqual(["2001:db8:0:1::/64"]);
    expect(verdictSchema.safeParse(verdicts[0]).success).toBe(true);
  });

  it("an alert carries its evidence and no expiry", () => {
    const { feed, found } = createFeed();
    const hosts = Array.from({ length: 25 }, (_, index) => `10.0.1.${index + 1}`);
    feed.take(
      batchOf(hosts.map((destination) => ({ source: "192.0.2.9", port: 22, destination }))),
    );
    const alerts = found.map((detection) => createAlert(detection, context));
    expect(alerts.map(({ rule }) => rule)).toEqual(["horizontal", "spread"]);
    expect(alerts[0]?.evidence).toMatchObject({ count: 25, ports: [22], destinations: hosts });
  });

  it("allow-listed attempts never make a scanner", () => {
    const { feed, found } = createFeed();
    feed.take(batchOf([80, 81, 82, 83].map((port) => ({ source: "192.0.2.1", port, flags: 1 }))));
    expect(found).toEqual([]);
  });

  it("a malformed batch is rejected by reason, and the next one is taken", () => {
    const { feed, found, rejected } = createFeed();
    feed.take(new Uint8Array(3));
    feed.take(new Uint8Array(64).fill(9));
    feed.take(batchOf([80, 81, 82].map((port) => ({ source: "192.0.2.1", port }))));
    expect([rejected, found.length]).toEqual([["too_short", "bad_version"], 1]);
  });
});
