import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DetectorGroup } from "../../support/detector-group.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";

/**
 * The promise is a second after a clean join or leave, and the TTL (a second
 * here) and a second after a crash. A busy machine gets thrice that; what it
 * took is printed.
 */
const CLEAN_MS = 3000;
const CRASH_MS = 6000;

let nats: NatsServer;
let group: DetectorGroup;

beforeEach(async () => {
  nats = await startNats();
  group = await DetectorGroup.connect(nats.url);
});

afterEach(async () => {
  await group.close();
  await nats.stop();
});

describe("a group of detectors", () => {
  it("one detector owns every shard", async () => {
    await group.join();
    await group.settle(CLEAN_MS);
    expect(group.isSettled).toBe(true);
  });

  it("a join moves only the shards that the newcomer takes", async () => {
    const first = await group.join();
    const second = await group.join();
    await group.settle(CLEAN_MS);
    const before = new Map([first, second].map((member) => [member, new Set(member.shards)]));
    const third = await group.join();
    await group.settle(CLEAN_MS);
    for (const [member, shards] of before) {
      expect(member.shards.filter((shard) => !shards.has(shard))).toEqual([]);
    }
    expect(third.shards.length).toBeGreaterThan(0);
  });

  it("a clean leave hands every shard over within a second", async () => {
    const first = await group.join();
    await group.join();
    await group.join();
    await group.settle(CLEAN_MS);
    await group.leave(first);
    await group.settle(CLEAN_MS);
    expect(group.isSettled).toBe(true);
  });

  it("a crash hands every shard over within the TTL and a second", async () => {
    const first = await group.join();
    await group.join();
    await group.settle(CLEAN_MS);
    await group.crash(first);
    await group.settle(CRASH_MS);
    expect(group.isSettled).toBe(true);
  });

  it("the group comes back after NATS has lost its memory", async () => {
    await group.join();
    await group.join();
    await group.settle(CLEAN_MS);
    await nats.restart({ store: "kept" });
    await group.join();
    await group.settle(10_000);
    expect(group.isSettled).toBe(true);
  });

  it("sixteen detectors share the shards as evenly as rendezvous hashing gives", async () => {
    for (let count = 0; count < 16; count++) await group.join();
    await group.settle(2 * CLEAN_MS);
    const loads = group.members.map(({ shards }) => shards.length);
    // 64 shards over 16 members: 4 each on average, with a deviation of 1.9.
    expect(Math.max(...loads)).toBeLessThanOrEqual(12);
  });
});
