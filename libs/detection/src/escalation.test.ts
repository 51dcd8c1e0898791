import { describe, expect, test } from "vitest";
import { createDetector, type Detector } from "./detector.ts";
import { escalatedTtlUs, type Escalation } from "./escalation.ts";
import { defaultRules } from "./rules.ts";
import { SECOND_US, START_US, synEvent } from "./testing/streams.ts";

const BLOCK_US = 10 * SECOND_US;
const escalation: Escalation = {
  factor: 3,
  maxTtlUs: 200 * SECOND_US,
  memoryUs: 500 * SECOND_US,
};

describe("how long a block lasts", () => {
  const never = "00000000";
  const most = "ffffffff";
  const ttlUs = (offence: number, verdictId: string, changes: Partial<Escalation> = {}) =>
    escalatedTtlUs({ blockTtlUs: BLOCK_US, offence, verdictId }, { ...escalation, ...changes });

  test.each([
    { offence: 1, shortestUs: BLOCK_US, longestUs: BLOCK_US },
    { offence: 2, shortestUs: 27 * SECOND_US, longestUs: 30 * SECOND_US },
    { offence: 3, shortestUs: 81 * SECOND_US, longestUs: 90 * SECOND_US },
    { offence: 4, shortestUs: 180 * SECOND_US, longestUs: 200 * SECOND_US },
    { offence: 65_535, shortestUs: 180 * SECOND_US, longestUs: 200 * SECOND_US },
  ])("offence $offence: between the two ends of the jitter", (row) => {
    expect(ttlUs(row.offence, never)).toBe(row.longestUs);
    expect(Math.abs(ttlUs(row.offence, most) - row.shortestUs)).toBeLessThan(2);
  });

  test("whole microseconds, and never less than the first block's", () => {
    expect(Number.isInteger(ttlUs(3, "12345678", { factor: 1.37 }))).toBe(true);
    expect(ttlUs(2, most, { factor: 1.01 })).toBe(BLOCK_US);
    expect(ttlUs(9, most, { maxTtlUs: 1 })).toBe(BLOCK_US);
  });
});

const source = [0, 0, 0xffff, 0xcb007109] as const;

function create(changes: Partial<Escalation> = {}, blockTtlUs = BLOCK_US): Detector {
  const rules = { ...defaultRules, vertical: { ...defaultRules.vertical, threshold: 1 } };
  const sizes = { capacity: 1024, maxQuietSources: 16, seed: 1 };
  return createDetector({
    ...sizes,
    rules,
    blockTtlUs,
    escalation: { ...escalation, ...changes },
  });
}

/** The block that an attempt makes, `timeUs` after the start. */
function blockAt(detector: Detector, timeUs: number) {
  const event = synEvent({
    timeUs: START_US + timeUs,
    source,
    destination: [0, 0, 0xffff, 0xc0000201],
    destinationPort: 80,
  });
  const [block] = detector.observe(event) ?? [];
  return block && { ...block, endUs: block.quietUntilUs - START_US };
}

describe("a source that comes back", () => {
  test("is blocked for longer each time", () => {
    const detector = create();
    const first = blockAt(detector, 0);
    expect(first).toMatchObject({ offence: 1, endUs: BLOCK_US });
    const second = blockAt(detector, BLOCK_US);
    expect(second?.offence).toBe(2);
    const lastedUs = (second?.endUs ?? 0) - BLOCK_US;
    expect(lastedUs).toBeGreaterThan(27 * SECOND_US - 2);
    expect(lastedUs).toBeLessThan(30 * SECOND_US);
    expect(blockAt(detector, (second?.endUs ?? 0) - 1)).toBeUndefined();
    expect(blockAt(detector, second?.endUs ?? 0)?.offence).toBe(3);
  });

  test.each([
    { when: "at the end of the memory", afterUs: escalation.memoryUs, offence: 2 },
    { when: "a microsecond later", afterUs: escalation.memoryUs + 1, offence: 1 },
  ])("$when it is offence $offence", ({ afterUs, offence }) => {
    const detector = create();
    blockAt(detector, 0);
    expect(blockAt(detector, BLOCK_US + afterUs)?.offence).toBe(offence);
  });

  test("is forgiven by an unblock", () => {
    const detector = create();
    blockAt(detector, 0);
    detector.applyVerdict({ kind: "unblock", sourceKey: source, issuedUs: START_US + 5 });
    expect(blockAt(detector, BLOCK_US)?.offence).toBe(1);
  });

  test("goes on counting with a detector that knows its last verdict alone", () => {
    const mark = { kind: "block", sourceKey: source, issuedUs: START_US } as const;
    const expiresUs = START_US + BLOCK_US;
    const detector = create();
    detector.applyVerdict({ ...mark, expiresUs, offence: 3 });
    expect(blockAt(detector, BLOCK_US)?.offence).toBe(4);
    const afterOperator = create();
    afterOperator.applyVerdict({ ...mark, expiresUs, offence: 0 });
    expect(blockAt(afterOperator, BLOCK_US)?.offence).toBe(1);
  });

  test("stays blocked where blocks have no end", () => {
    const block = blockAt(create({}, 0), 0);
    expect(block?.quietUntilUs).toBe(Infinity);
    expect(block).not.toHaveProperty("offence");
  });
});
