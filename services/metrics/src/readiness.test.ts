import { expect, it } from "vitest";
import { FIRST_ROUND_MS, Readiness } from "./readiness.ts";

function create(heardMs: number | undefined, nowMs: number, firstHeardMs = heardMs) {
  return new Readiness({ heard: { firstHeardMs, heardMs }, now: () => nowMs });
}

it("is missing until NATS is connected", () => {
  expect(create(0, FIRST_ROUND_MS).whyNot()).toContain("not connected");
});

it.each([
  ["the connection is lost", { isConnected: false, heardMs: 0, nowMs: 0 }, /lost/],
  ["nothing was heard yet", { isConnected: true, heardMs: undefined, nowMs: 0 }, /heard yet/],
  [
    "not everybody has had time to be heard",
    { isConnected: true, heardMs: 0, nowMs: FIRST_ROUND_MS - 1 },
    /first time/,
  ],
  [
    "telemetry stays away",
    { isConnected: true, heardMs: 0, nowMs: 5001 },
    /no telemetry heard for 5 s/,
  ],
] as const)("is missing when %s", (_, { isConnected, heardMs, nowMs }, reason) => {
  const readiness = create(heardMs, nowMs);
  readiness.connected({ isConnected: () => isConnected });
  expect(readiness.whyNot()).toMatch(reason);
});

it("is there while telemetry comes", () => {
  const readiness = create(0, 5000);
  readiness.connected({ isConnected: () => true });
  expect(readiness.whyNot()).toBeUndefined();
});

it("totals are complete from the first round on, also while telemetry stays away", () => {
  expect(create(undefined, 5000).isComplete).toBe(false);
  expect(create(1000, 1000 + FIRST_ROUND_MS - 1).isComplete).toBe(false);
  expect(create(1000, 1000 + FIRST_ROUND_MS).isComplete).toBe(true);
  expect(create(1000, 60_000).isComplete).toBe(true);
});
