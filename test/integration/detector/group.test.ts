import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DetectorGroup } from "../../support/detector-group.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";

/**
 * The promise is a second after a clean join or leave, and the TTL (a second
 * here) and a second after a crash. A busy machine gets thrice that, as with
 * all that is waited for; what it took is printed.
 */
const CLEAN_MS = 1000;
const CRASH_MS = 2000;
/** One event loop has to start all of them. */
const CROWD_MS = 20_000;

let nats: NatsServer;
let group: DetectorGroup;

beforeEach(async () => {
  nats = await startNats();
  await startGroup();
});

afterEach(async () => {
  await group.close();
  await nats.stop();
});

/** In place of the one that is there. */
async function startGroup(variables: Record<string, string> = {}): Promise<void> {
  await group?.close();
  group = await DetectorGroup.connect(nats.url, variables);
}

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

  it("a clean leave hands every shard over long before the TTL", async () => {
    await startGroup({ PW_DETECTOR_TTL: "60" });
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

  it.each([
    // 64 shards over 16 members: 4 each on average, with a deviation of 1.9.
    { count: 16, most: 12 },
    // One each on average, with a deviation of 1; some have none.
    { count: 64, most: 7 },
  ])("$count detectors that start at once share the shards evenly", async ({ count, most }) => {
    // At the default TTL, as all of them share one event loop.
    await startGroup({ PW_DETECTOR_TTL: "5", PW_DETECTOR_CAPACITY: "1024" });
    await Promise.all(Array.from({ length: count }, () => group.join()));
    await group.settle(CROWD_MS);
    const loads = group.members.map(({ shards }) => shards.length);
    expect(Math.max(...loads)).toBeLessThanOrEqual(most);
  });
});
