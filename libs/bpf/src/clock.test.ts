import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { bootTimeNs, realTimeNs, sampleClockOffset } from "./clock.ts";

test("boot time is the kernel's uptime", () => {
  const uptimeSeconds = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  expect(Math.abs(Number(bootTimeNs()) / 1e9 - uptimeSeconds)).toBeLessThan(1);
});

test("real time is the wall clock", () => {
  expect(Math.abs(Number(realTimeNs() / 1_000_000n) - Date.now())).toBeLessThan(1000);
});

test("boot time plus the offset is wall time", () => {
  const { offsetNs, uncertaintyNs } = sampleClockOffset();
  const before = realTimeNs();
  const converted = bootTimeNs() + offsetNs;
  const after = realTimeNs();
  const slack = BigInt(Math.ceil(uncertaintyNs)) + 1_000_000n;
  expect(converted).toBeGreaterThanOrEqual(before - slack);
  expect(converted).toBeLessThanOrEqual(after + slack);
});
