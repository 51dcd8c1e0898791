import { expect, it } from "vitest";
import { Readiness } from "./readiness.ts";

function create(heardMs: number | undefined, nowMs: number) {
  return new Readiness({ heardMs: () => heardMs, now: () => nowMs });
}

it("is missing until NATS is connected", () => {
  expect(create(0, 0).whyNot()).toContain("not connected");
});

it.each([
  ["the connection is lost", { isConnected: false, heardMs: 0, nowMs: 0 }, /lost/],
  ["nothing was heard yet", { isConnected: true, heardMs: undefined, nowMs: 0 }, /heard yet/],
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
