import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { fileURLToPath } from "node:url";
import { bundleService, ServiceProcess } from "../../support/service-process.ts";

const script = fileURLToPath(new URL("children/scripted-service.ts", import.meta.url));
let bundle: string;
let service: ServiceProcess;

beforeAll(() => {
  bundle = bundleService(script);
});

afterEach(() => service.close());

function start(
  behaviour: string,
  environment: Readonly<Record<string, string>> = {},
): ServiceProcess {
  service = new ServiceProcess({ bundle, args: [behaviour], environment });
  return service;
}

function fatalLines() {
  return service.lines.filter(({ level }) => level === "fatal");
}

describe("start", () => {
  test("ends with the line ready, and lines are JSON with level, time and service", async () => {
    start("orderly");
    const line = await service.logged("ready");
    expect(line).toMatchObject({ level: "info", service: "metrics", msg: "ready" });
    expect(Date.parse(String(line["time"]))).toBeGreaterThan(0);
    expect(service.messages).toEqual(["open first", "open second", "open third", "ready"]);
  });

  test("gives the service its configuration", async () => {
    start("configured", { PW_PROMETHEUS_PORT: "9191" });
    expect(await service.logged("configured")).toMatchObject({ port: 9191 });
  });

  test("with bad variables ends with exit code 2 and one message that lists all of them", async () => {
    start("orderly", { PW_PROMETHEUS_PORT: "http", PW_LOG_LEVEL: "loud", PW_DRAIN_TIMEOUT: "-1" });
    expect(await service.exit()).toBe(2);
    expect(service.lines.length).toBe(1);
    expect(service.lines[0]).toMatchObject({ level: "fatal", code: "CONFIG_INVALID" });
    const message = service.lines[0]?.msg ?? "";
    expect(message).toMatch(/^3 variables can't be used:\n/);
    expect(message).toContain('PW_PROMETHEUS_PORT is "http"; it may hold');
    expect(message).toContain('PW_LOG_LEVEL is "loud"; it may hold');
    expect(message).toContain('PW_DRAIN_TIMEOUT is "-1"; it may hold');
  });

  test("says which variables nobody reads, and goes on", async () => {
    start("orderly", { PW_PROMETEUS_PORT: "9090" });
    await service.logged("ready");
    const warnings = service.lines.filter(({ level }) => level === "warn");
    expect(warnings.length).toBe(1);
    expect(String(warnings[0]?.["variable"])).toContain("PW_PROMETEUS_PORT");
  });

  test("writes how the service is to the health file once it is ready, and removes it at the end", async () => {
    const folder = mkdtempSync(join(tmpdir(), "packetwatch-health-"));
    const file = join(folder, "health");
    start("orderly", { PW_HEALTH_FILE: file });
    await service.logged("ready");
    expect(readFileSync(file, "utf8")).toBe("ok\n");
    service.signal("SIGTERM");
    expect(await service.exit()).toBe(0);
    expect(existsSync(file)).toBe(false);
    rmSync(folder, { recursive: true });
  });

  test("whose health file can't be written says so, and exits with 1", async () => {
    start("orderly", { PW_HEALTH_FILE: "/proc/health" });
    expect(await service.exit()).toBe(1);
    expect(fatalLines()).toMatchObject([{ code: "HEALTH_FILE" }]);
  });

  test("that fails with an operating error says it in one line, closes what was opened, exits with 1", async () => {
    start("operating error at start");
    expect(await service.exit()).toBe(1);
    expect(service.messages).toEqual([
      "open first",
      "provision stream S: no space; remove something",
      "close first",
    ]);
    expect(fatalLines()).toMatchObject([{ code: "STREAM" }]);
    expect(fatalLines()[0]).not.toHaveProperty("err");
  });

  test("that fails with a programmer's error shows its stack, closes what was opened, exits with 1", async () => {
    start("programmer's error at start");
    expect(await service.exit()).toBe(1);
    expect(fatalLines()).toMatchObject([
      { err: { type: "TypeError", message: "undefined is not a port" } },
    ]);
    expect(JSON.stringify(fatalLines()[0]?.["err"])).toContain("scripted-service");
    expect(service.messages.at(-1)).toBe("close first");
  });

  test("is interrupted by SIGTERM, which is a clean end", async () => {
    start("start that takes for ever");
    await service.logged("open first");
    service.signal("SIGTERM");
    expect(await service.exit()).toBe(0);
    expect(service.messages).toEqual(["open first", "stopping", "close first", "stopped"]);
  });
});

describe("stop", () => {
  test.each(["SIGTERM", "SIGINT"] as const)(
    "%s closes in reverse order and exits with 0",
    async (signal) => {
      start("orderly");
      await service.logged("ready");
      service.signal(signal);
      expect(await service.exit()).toBe(0);
      expect(service.messages.slice(4)).toEqual([
        "stopping",
        "close third",
        "close second",
        "close first",
        "stopped",
      ]);
      expect(await service.logged("stopping")).toMatchObject({ signal });
    },
  );

  test("that takes longer than the drain timeout is cut short, says so, and exits with 1", async () => {
    start("close that takes for ever", { PW_DRAIN_TIMEOUT: "0.3" });
    await service.logged("ready");
    const startedMs = performance.now();
    service.signal("SIGTERM");
    expect(await service.exit()).toBe(1);
    expect(performance.now() - startedMs).toBeGreaterThan(250);
    expect(service.messages.slice(3)).toEqual([
      "stopping",
      "close stuck",
      "not drained in time; ended all the same (PW_DRAIN_TIMEOUT)",
    ]);
  });

  test("is ended at once by a second signal", async () => {
    start("close that takes for ever", { PW_DRAIN_TIMEOUT: "60" });
    await service.logged("ready");
    service.signal("SIGTERM");
    await service.logged("close stuck");
    service.signal("SIGTERM");
    expect(await service.exit()).toBe(1);
  });

  test("closes everything although one resource fails, says which, and exits with 1", async () => {
    start("close that fails");
    await service.logged("ready");
    service.signal("SIGTERM");
    expect(await service.exit()).toBe(1);
    expect(service.messages.slice(4)).toEqual([
      "stopping",
      "close last",
      "close broken",
      "close first",
      "ended by an error that nobody expected",
    ]);
    expect(JSON.stringify(fatalLines()[0])).toContain("provision stream S: no space");
  });
});

describe("a failure after the start", () => {
  test("that the service reports is one line, closes what is open, exits with 1", async () => {
    start("failure later");
    expect(await service.exit()).toBe(1);
    expect(service.messages).toEqual([
      "open first",
      "ready",
      "provision stream S: no space; remove something",
      "close first",
    ]);
  });

  test.each([
    ["unhandled rejection", "nobody waits for me"],
    ["uncaught exception", "nobody catches me"],
  ])(
    "an %s is logged with its stack, closes what is open, exits with 1",
    async (behaviour, message) => {
      start(behaviour);
      expect(await service.exit()).toBe(1);
      expect(fatalLines()).toMatchObject([{ err: { type: "TypeError", message } }]);
      expect(service.messages.at(-1)).toBe("close first");
    },
  );

  test("while it closes is logged too, and exits with 1", async () => {
    start("failure while closing");
    await service.logged("ready");
    service.signal("SIGTERM");
    expect(await service.exit()).toBe(1);
    expect(fatalLines()).toMatchObject([{ msg: "provision stream S: no space; remove something" }]);
    expect(service.messages).toContain("close first");
  });
});
