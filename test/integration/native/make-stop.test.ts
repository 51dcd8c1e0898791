import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NativeHost } from "./native-host.ts";

/** A Docker Engine that answers, and has no containers. */
const IDLE_ENGINE = `#!/bin/sh
case "$*" in *Server.Version*) echo 28.5.2 ;; esac
`;

describe("make stop on a host with a Docker Engine", () => {
  let host: NativeHost;
  let withEngine: { readonly PATH: string };
  beforeEach(async () => {
    host = await NativeHost.create();
    const bin = path.join(host.folder, "bin");
    mkdirSync(bin);
    writeFileSync(path.join(bin, "docker"), IDLE_ENGINE, { mode: 0o755 });
    withEngine = { PATH: `${bin}:${process.env["PATH"]}` };
  });
  afterEach(() => host.close());

  it("ends what runs natively, and looks for containers too", async () => {
    await host.run(["up", "--detach"]);
    const stopped = await host.make("stop", withEngine);
    expect(stopped.code, stopped.output).toBe(0);
    expect(stopped.output).toMatch(
      /runtime: native \(it was started so\)\n.*XDP is detached from eth7\n.*runtime: docker \(Engine 28.5.2 [^]*nothing is running\n/,
    );
    expect(host.liveProcesses()).toEqual([]);
  });

  it("ends what a killed supervisor has left", async () => {
    await host.run(["up", "--detach"]);
    process.kill(host.pid("supervisor"), "SIGKILL");
    const stopped = await host.make("stop", withEngine);
    expect(stopped.code, stopped.output).toBe(0);
    expect(host.detached()).toEqual(["eth7"]);
  });

  it("looks for containers alone where nothing runs natively, or PW_RUNTIME says so", async () => {
    const idle = await host.make("stop", withEngine);
    expect(idle.output).not.toContain("runtime: native");
    await host.run(["up", "--detach"]);
    const docker = await host.make("stop", { ...withEngine, PW_RUNTIME: "docker" });
    expect(docker.output).not.toContain("runtime: native");
    expect(host.pidFiles()).toContain("supervisor.pid");
  });
});
