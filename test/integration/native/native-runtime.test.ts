import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { once } from "node:events";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { connectBus } from "@packetwatch/bus";
import { streamNames } from "@packetwatch/contracts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { waitUntil } from "../../support/eventually.ts";
import { freePort } from "../../support/nats.ts";
import { RecordingLogger } from "../../support/recording-logger.ts";
import { NativeHost, services } from "./native-host.ts";

const everything = ["supervisor", "nats-server", ...services];
const pidFilesOf = (names: readonly string[]) => names.map((name) => `${name}.pid`).toSorted();

describe("native runtime", () => {
  let host: NativeHost;
  beforeEach(async () => {
    host = await NativeHost.create();
  });
  afterEach(() => host.close());

  const expectNothingLeft = () => {
    expect(host.liveProcesses()).toEqual([]);
    expect(host.pidFiles()).toEqual([]);
  };
  const untilNothingIsLeft = () =>
    waitUntil(() => host.liveProcesses().length === 0, {
      timeoutMs: 20_000,
      what: "the end of every process",
    });
  const untilRestarted = (name: string, oldPid: number) =>
    waitUntil(
      () => host.log("supervisor").includes(`${name} is back`) && host.pid(name) !== oldPid,
      {
        timeoutMs: 10_000,
        what: `the return of ${name}`,
      },
    );

  it("up --detach starts everything, says where it is, and down leaves nothing", async () => {
    const up = await host.run(["up", "--detach"]);
    expect(up).toMatchObject({ code: 0 });
    expect(up.output.split("\n")[0]).toBe("runtime: native");
    expect(up.output).toContain("running: nats-server, capture, detector, enforcer, metrics");
    expect(up.output).toContain("xdp:     eth7 (skb)");
    expect(up.output).toContain("metrics: http://localhost:9090/metrics");
    expect(up.output).toContain(path.join(host.runDir, "log"));
    expect(host.pidFiles().toSorted()).toEqual(pidFilesOf(everything));

    const down = await host.run(["down"], { PW_IFDEV: "another" });
    expect(down).toMatchObject({ code: 0 });
    expect(down.output).toContain("stopped; XDP is detached from eth7");
    expect(new Set(host.detached())).toEqual(new Set(["eth7"]));
    expectNothingLeft();
  });

  it("with --json, up and down say the same as one object each", async () => {
    const said = async (...args: readonly string[]) =>
      JSON.parse((await host.run([...args, "--json"])).output) as object;
    expect(await said("up", "--detach")).toMatchObject({
      kind: "running",
      runtime: "native",
      programs: ["nats-server", ...services],
      xdp: [{ interface: "eth7", mode: "skb" }],
      metrics: "http://localhost:9090/metrics",
    });
    expect(await said("up", "--detach")).toEqual({
      kind: "already_running",
      runDir: host.runDir,
      interfaces: ["eth7"],
    });
    expect(await said("down")).toEqual({ kind: "stopped", interfaces: ["eth7"] });
    expect(await said("down")).toEqual({ kind: "nothing_running" });
  });

  it("NATS lets in who has a key of the run folder, and seeds are readable by root alone", async () => {
    await host.run(["up", "--detach"]);
    const url = `nats://127.0.0.1:${host.natsPort}`;
    const keyFile = path.join(host.runDir, "keys/operator/user.nk");
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
    expect(statSync(path.dirname(keyFile)).mode & 0o777).toBe(0o700);
    const logger = new RecordingLogger();
    const connect = (access: { nkeyFile?: string }, signal: AbortSignal) =>
      connectBus({ servers: [url], access, name: "test", logger, signal });
    const bus = await connect({ nkeyFile: keyFile }, AbortSignal.timeout(20_000));
    const manager = await bus.jetstream.jetstreamManager();
    const streams = (await manager.streams.list().next()).map(({ config }) => config.name);
    await bus.close();
    expect(streams).toEqual(expect.arrayContaining(Object.values(streamNames)));
    const abort = new AbortController();
    const nameless = connect({}, abort.signal);
    await waitUntil(() => logger.messages("warn").length > 0, {
      timeoutMs: 20_000,
      what: "a refusal",
    });
    abort.abort();
    await expect(nameless).rejects.toThrow(/abort/);
    expect(logger.messages("warn")[0]).toContain("NATS refuses the credentials");
    const seed = readFileSync(keyFile, "utf8").trim();
    for (const name of everything) expect(host.log(name)).not.toContain(seed);
  });

  it("a second up says that it runs already, and changes nothing", async () => {
    await host.run(["up", "--detach"]);
    const pids = everything.map((name) => host.pid(name));
    const second = await host.run(["up", "--detach"], { PW_IFDEV: "eth8" });
    expect(second.code).toBe(0);
    expect(second.output).toContain("already running on eth7 (");
    expect(everything.map((name) => host.pid(name))).toEqual(pids);
  });

  it("of two that start at once, one wins and the other says so", async () => {
    const both = await Promise.all([host.run(["up", "--detach"]), host.run(["up", "--detach"])]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(both.filter(({ output }) => output.includes("already running"))).toHaveLength(1);
    const isOneSet = () => host.liveProcesses().length === everything.length;
    await waitUntil(isOneSet, { timeoutMs: 5000, what: "one of each process" });
  });

  it("down with nothing to stop is no failure, and leaves what others have attached", async () => {
    const down = await host.run(["down"]);
    expect(down).toMatchObject({ code: 0, output: "nothing is running\n" });
    expect(host.detached()).toEqual([]);
  });

  it("a service that refuses to start is quoted, and the others are stopped", async () => {
    const up = await host.run(["up", "--detach"], { STANDIN_ENFORCER: "refuses" });
    expect(up.code).toBe(1);
    expect(up.output).toContain("enforcer did not start (exit code 1)");
    expect(up.output).toContain("attach xdp to eth0: EBUSY: detach the other program");
    expect(host.detached()).toEqual(["eth7"]);
    expectNothingLeft();
  });

  it("a taken NATS port is named with the way out, and nothing is detached", async () => {
    const port = await freePort();
    const squatter = createServer().listen(port, "127.0.0.1");
    await once(squatter, "listening");
    const up = await host.run(["up", "--detach"], { PW_NATS_PORT: String(port) });
    squatter.close();
    expect(up.code).toBe(1);
    expect(up.output).toMatch(/nats-server did not start.*address already in use.*PW_NATS_PORT/s);
    expect(host.detached()).toEqual([]);
    expectNothingLeft();
  });

  it("services use the NATS that PW_NATS_URL names, and none is started", async () => {
    const up = await host.run(["up", "--detach"], {
      PW_NATS_URL: "nats://user:secret@192.0.2.1:4222",
    });
    expect(up).toMatchObject({ code: 0 });
    expect(up.output).toContain("running: capture, detector, enforcer, metrics");
    expect(up.output).not.toContain("secret");
    expect(host.pidFiles()).not.toContain("nats-server.pid");
  });

  it("a service that is killed comes back, and so does NATS", async () => {
    await host.run(["up", "--detach"]);
    for (const name of ["detector", "nats-server"]) {
      const pid = host.pid(name);
      process.kill(pid, "SIGKILL");
      await untilRestarted(name, pid);
      expect(host.log("supervisor")).toContain(`${name} died (SIGKILL)`);
    }
  });

  it("what a killed supervisor leaves is stopped by down", async () => {
    await host.run(["up", "--detach"]);
    process.kill(host.pid("supervisor"), "SIGKILL");
    const down = await host.run(["down"], { PW_IFDEV: "another" });
    expect(down).toMatchObject({ code: 0 });
    expect(host.detached()).toEqual(["eth7"]);
    await untilNothingIsLeft();
    expectNothingLeft();
  });

  it("what a killed supervisor leaves is replaced by up", async () => {
    await host.run(["up", "--detach"]);
    const captureBefore = host.pid("capture");
    process.kill(host.pid("supervisor"), "SIGKILL");
    const up = await host.run(["up", "--detach"]);
    expect(up).toMatchObject({ code: 0 });
    expect(up.output).toContain("stopped what an earlier run had left");
    expect(host.pid("capture")).not.toBe(captureBefore);
    await waitUntil(() => host.liveProcesses().length === everything.length, {
      timeoutMs: 5000,
      what: "one set of processes",
    });
  });

  it("what a killed supervisor watched, and the next up doesn't, is detached", async () => {
    await host.run(["up", "--detach"], { PW_IFDEV: "eth7,eth8" });
    process.kill(host.pid("supervisor"), "SIGKILL");
    const up = await host.run(["up", "--detach"], { PW_IFDEV: "eth8,eth9" });
    expect(up).toMatchObject({ code: 0 });
    expect(host.detached()).toEqual(["eth7"]);
    await host.run(["down"]);
    expect(new Set(host.detached())).toEqual(new Set(["eth7", "eth8,eth9"]));
  });

  it("all that it watched is detached where the pins go elsewhere", async () => {
    await host.run(["up", "--detach"], { PW_IFDEV: "eth7,eth8" });
    process.kill(host.pid("supervisor"), "SIGKILL");
    await host.run(["up", "--detach"], { PW_IFDEV: "eth8", PW_PIN_DIR: "/sys/fs/bpf/elsewhere" });
    expect(host.detached()).toEqual(["eth7,eth8"]);
  });

  it("an up that can't detach it says so, fails, and forgets nothing", async () => {
    await host.run(["up", "--detach"]);
    process.kill(host.pid("supervisor"), "SIGKILL");
    const next = { PW_IFDEV: "eth8", STANDIN_DETACH: "refuses" };
    const up = await host.run(["up", "--detach"], next);
    expect(up.code).toBe(1);
    expect(up.output).toContain("an earlier run watched eth7: XDP could not be detached");
    expect(host.detached()).toEqual([]);
    await host.run(["down"]);
    expect(host.detached()).toEqual(["eth7"]);
    expectNothingLeft();
  });

  it("a service that does not stop in time is killed", async () => {
    await host.run(["up", "--detach"], { STANDIN_METRICS: "stays" });
    const down = await host.run(["down"]);
    expect(down).toMatchObject({ code: 0 });
    expect(host.log("supervisor")).toContain("metrics did not stop within 5 s and was killed");
    expectNothingLeft();
  });

  it("down spares a stranger that was given a recorded pid", async () => {
    const stranger = spawn("sleep", ["60"]);
    mkdirSync(host.runDir);
    writeFileSync(path.join(host.runDir, "capture.pid"), `${stranger.pid}\n`);
    await host.run(["down"]);
    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
    stranger.kill();
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "in the foreground, %s stops everything",
    async (signal) => {
      const up = host.start(["up"]);
      await waitUntil(() => up.output().includes("TIME SOURCE IP PORT MESSAGE"), {
        timeoutMs: 20_000,
        what: "the table",
      });
      up.child.kill(signal);
      expect(await up.ended).toMatchObject({ code: 0 });
      expect(host.detached()).toEqual(["eth7"]);
      expectNothingLeft();
    },
  );

  it("a signal during the start stops what has been started", async () => {
    const up = host.start(["up"], { STANDIN_METRICS: "is silent" });
    await waitUntil(() => host.log("capture").includes("ready"), {
      timeoutMs: 20_000,
      what: "capture",
    });
    up.child.kill("SIGINT");
    expect(await up.ended).toMatchObject({ code: 0 });
    expectNothingLeft();
  });

  it("when the foreground is killed, everything stops by itself", async () => {
    const up = host.start(["up"]);
    await waitUntil(() => up.output().includes("TIME SOURCE"), {
      timeoutMs: 20_000,
      what: "the table",
    });
    up.child.kill("SIGKILL");
    await untilNothingIsLeft();
    expect(host.detached()).toEqual(["eth7"]);
  });

  it("in the foreground, the death of a service is told with its error", async () => {
    const up = host.start(["up"]);
    await waitUntil(() => up.output().includes("TIME SOURCE"), {
      timeoutMs: 20_000,
      what: "the table",
    });
    process.kill(host.pid("capture"), "SIGKILL");
    await waitUntil(() => up.output().includes("capture is back"), {
      timeoutMs: 10_000,
      what: "capture",
    });
    expect(up.output()).toContain("capture died (SIGKILL); restarting it in 0.5 s");
  });
});
