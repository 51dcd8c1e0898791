import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { HealthFileError } from "./health-file-error.ts";
import { Health, startHealthFile } from "./health.ts";

const logger = pino({ enabled: false });

describe("health", () => {
  test("a service of which nothing is required is well", () => {
    expect(new Health().whyNot()).toBeUndefined();
  });

  test("the first reason counts, and is asked for anew each time", () => {
    const health = new Health();
    const reasons: (string | undefined)[] = [undefined, undefined];
    for (const index of reasons.keys()) health.require(() => reasons[index]);
    expect(health.whyNot()).toBeUndefined();
    reasons[1] = "no NATS";
    expect(health.whyNot()).toBe("no NATS");
    reasons[0] = "no maps";
    expect(health.whyNot()).toBe("no maps");
  });
});

describe("the health file", () => {
  let folder: string;
  beforeEach(() => {
    vi.useFakeTimers();
    folder = mkdtempSync(join(tmpdir(), "packetwatch-health-"));
  });
  afterEach(() => {
    vi.useRealTimers();
    rmSync(folder, { recursive: true, force: true });
  });

  test("says at once how the service is, then every second, and goes when it is closed", () => {
    const health = new Health();
    let reason: string | undefined = "no NATS";
    health.require(() => reason);
    const file = join(folder, "run", "health");
    const closeable = startHealthFile({ file, health, logger });
    expect(readFileSync(file, "utf8")).toBe("no NATS\n");
    reason = undefined;
    vi.advanceTimersByTime(1000);
    expect(readFileSync(file, "utf8")).toBe("ok\n");
    closeable.close();
    expect(existsSync(file)).toBe(false);
    vi.advanceTimersByTime(5000);
    expect(existsSync(file)).toBe(false);
  });

  test("that can't be written is an error that names the variable", () => {
    const options = { file: "/proc/health", health: new Health(), logger };
    expect(() => startHealthFile(options)).toThrow(HealthFileError);
    expect(() => startHealthFile(options)).toThrow(/\/proc\/health.*PW_HEALTH_FILE/);
  });
});
