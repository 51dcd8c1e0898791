import { availableParallelism } from "node:os";
import type { XdpMode } from "@packetwatch/bpf";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ChildProgram } from "../support/child-program.ts";
import { Cleanup } from "../support/cleanup.ts";
import { waitUntil } from "../support/eventually.ts";
import {
  countersMoved,
  type LoadedPacketwatch,
  loadPacketwatch,
} from "../support/loaded-packetwatch.ts";
import { packetKinds } from "../support/packet-kinds.ts";
import { ethernet, ETHERNET_HEADER_BYTES, IPV4_SOURCE, ipv4 } from "../support/packets.ts";
import { tcp } from "../support/segments.ts";
import type { SynRecord } from "../support/syn-record.ts";
import { PinnedPacketwatch } from "../support/pinned-packetwatch.ts";
import { type DeviceKind, watchDevice } from "../support/watched-device.ts";

/** Every kind of packet, whole and cut at every length that a device carries. */
const frames = packetKinds.flatMap(({ frame }) => {
  const lengths = Array.from({ length: frame.length + 1 }, (_, length) => length);
  return lengths.slice(ETHERNET_HEADER_BYTES).map((length) => frame.subarray(0, length));
});
const hexLines = (frames: readonly Uint8Array[]) =>
  frames.map((frame) => Buffer.from(frame).toString("hex")).join("\n");

const sender = new ChildProgram("send-frames");
const cleanup = new Cleanup();
let reference: LoadedPacketwatch;
beforeAll(() => {
  reference = loadPacketwatch({ ringBytes: 1 << 20 });
});
afterEach(() => cleanup.run());
afterAll(() => reference.close());

/** Records without what differs by nature: time, interface and, on several CPUs, order. */
function comparable(records: readonly SynRecord[]): readonly string[] {
  const timeless = records.map(({ timestampNs: _time, ifindex: _ifindex, ...fields }) => fields);
  return timeless.map((fields) => JSON.stringify(fields)).toSorted();
}

const settings: readonly { kind: DeviceKind; mode: XdpMode }[] = [
  { kind: "veth", mode: "native" },
  { kind: "veth", mode: "skb" },
  { kind: "lo", mode: "skb" },
];

describe("every packet means the same to a device as to BPF_PROG_TEST_RUN", () => {
  it.each(settings)("on $kind in $mode mode", async ({ kind, mode }) => {
    const device = watchDevice(kind, mode, cleanup);
    const packetwatch = cleanup.own(new PinnedPacketwatch(device.pinFolder));
    reference.reset();
    const referenceBefore = reference.maps.counters();
    for (const frame of frames) reference.sendOnly(frame);
    const expected = countersMoved(referenceBefore, reference.maps.counters());

    const before = packetwatch.maps.counters();
    sender.run(device.client, [device.clientInterface], hexLines(frames));

    const counted = () => countersMoved(before, packetwatch.maps.counters());
    const total = (counts: Record<string, number>) =>
      Object.values(counts).reduce((sum, count) => sum + count, 0);
    const hasArrived = () => total(counted()) >= total(expected);
    await waitUntil(hasArrived, { timeoutMs: 5000, what: "the frames to arrive" });
    expect(counted()).toEqual(expected);
    expect(comparable(packetwatch.readRecords())).toEqual(comparable(reference.readRecords()));
  });
});

describe("SYNs of one blocked source that arrive on all CPUs at once", () => {
  const MAX_SENDERS = 4;
  const FRAMES_PER_SENDER = 100_000;
  const syn = hexLines([ethernet(ipv4(tcp()))]);

  // On loopback a frame is received on the CPU that sent it.
  it("are counted to the unit, per source as in total", async () => {
    const device = watchDevice("lo", "skb", cleanup);
    const packetwatch = cleanup.own(new PinnedPacketwatch(device.pinFolder));
    packetwatch.maps.block(IPV4_SOURCE);

    const senders = Math.min(availableParallelism(), MAX_SENDERS);
    const sending = Array.from({ length: senders }, () =>
      sender.runAside(device.client, ["lo", String(FRAMES_PER_SENDER)], syn),
    );
    await Promise.all(sending);
    const ofSource = () => Number(packetwatch.maps.blockOf(IPV4_SOURCE)?.dropped);
    const isEqual = () => ofSource() === packetwatch.maps.counters().dropped;
    await waitUntil(isEqual, { timeoutMs: 5000, what: "both counts to be equal" });

    const { synIpv4, dropped } = packetwatch.maps.counters();
    expect(dropped).toBe(synIpv4);
    // Not all that was sent: a CPU that lags loses frames before XDP (netdev_max_backlog).
    expect(dropped).toBeGreaterThan(FRAMES_PER_SENDER);
  });
});
