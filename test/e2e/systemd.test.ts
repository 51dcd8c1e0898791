/** The units of deploy/systemd, as `make install` installs them, under a systemd that is the first process of its host. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cleanup } from "../support/cleanup.ts";
import { waitUntil } from "../support/eventually.ts";
import { SystemdHost } from "../support/systemd-host.ts";
import { createSite, type Site, SITE_ANSWER } from "./site.ts";

const TIMEOUT_MS = 60_000;
const services = ["capture", "enforcer", "detector", "metrics"] as const;
type Service = (typeof services)[number];
const unitOf = (service: Service) => `packetwatch-${service}`;

const cleanup = new Cleanup();
let site: Site;
let host: SystemdHost;

beforeAll(async () => {
  site = await createSite(cleanup);
  const environment = { PW_IFDEV: "eth0", PW_HOST: "host", PW_NATS_URL: site.fleet.natsUrl };
  const lines = Object.entries(environment).map(([name, value]) => `${name}=${value}\n`);
  const keys = services.map((service) => [
    `/etc/packetwatch/${service}.nk`,
    readFileSync(site.host.seedFile(service), "utf8"),
  ]);
  const files = { ...Object.fromEntries(keys), "/etc/packetwatch/packetwatch.env": lines.join("") };
  host = cleanup.own(await SystemdHost.boot({ namespace: site.host.namespace, files }));
  host.systemctl("start", ...services.map(unitOf));
  for (const service of services) await untilLogged(service, "ready");
}, 2 * TIMEOUT_MS);
afterAll(() => cleanup.run());

async function untilLogged(service: Service, message: string, times = 1): Promise<void> {
  const count = () => host.log(unitOf(service)).split(`"msg":"${message}"`).length - 1;
  const what = `${service} to log "${message}"`;
  await waitUntil(() => count() >= times, { timeoutMs: TIMEOUT_MS, what }).catch((cause) => {
    throw new Error(`${what}:\n${host.log(unitOf(service))}`, { cause });
  });
}

async function addBlockedSource(): Promise<string> {
  const source = site.newSource();
  await site.scan(source);
  const isDropped = async () => (await site.visit(source)) === "timed out";
  await waitUntil(isDropped, { timeoutMs: TIMEOUT_MS, what: `${source} to be dropped` });
  return source;
}

describe("started by their units", () => {
  it.each([
    { service: "capture", capabilities: "000000c000001000", isRoot: true },
    { service: "enforcer", capabilities: "0000008000000000", isRoot: true },
    { service: "detector", capabilities: "0000000000000000", isRoot: false },
    { service: "metrics", capabilities: "0000000000000000", isRoot: false },
  ] as const)("$service has the capabilities $capabilities, and can get no others", (row) => {
    const status = host.status(unitOf(row.service));
    for (const set of ["CapEff", "CapPrm", "CapBnd"]) {
      expect(status.get(set), set).toBe(row.capabilities);
    }
    expect(status.get("NoNewPrivs")).toBe("1");
    // 2: filters.
    expect(status.get("Seccomp")).toBe("2");
    expect(status.get("Uid")?.startsWith("0\t")).toBe(row.isRoot);
  });

  it("they drop a scanner, and serve others", async () => {
    const scanner = await addBlockedSource();
    expect(await site.visit(site.newSource())).toBe(SITE_ANSWER);
    expect(await site.visit(scanner)).toBe("timed out");
  });

  it("capture can write the BPF file system, and nothing else of the kernel's", () => {
    const mounts = host.run(
      "cat",
      `/proc/${host.property(unitOf("capture"), "MainPID")}/mountinfo`,
    );
    const modeOf = (path: string) =>
      mounts
        .split("\n")
        .findLast((line) => line.split(" ")[4] === path)
        ?.split(" ")[5]
        ?.slice(0, 2);
    expect(modeOf("/sys/fs/bpf")).toBe("rw");
    for (const path of ["/", "/sys", "/proc/sys", "/proc/irq"]) {
      expect(modeOf(path), path).toBe("ro");
    }
  });
});

describe("a block stays in force", () => {
  it("through a restart of all units, and new scanners are blocked again", async () => {
    const blocked = await addBlockedSource();
    host.systemctl("restart", ...services.map(unitOf));
    expect(await site.visit(blocked)).toBe("timed out");
    for (const service of services) await untilLogged(service, "ready", 2);
    await addBlockedSource();
    expect(await site.visit(blocked)).toBe("timed out");
  });

  it("while a capture that was killed is started again", async () => {
    const blocked = await addBlockedSource();
    const unit = unitOf("capture");
    const restarts = () => Number(host.property(unit, "NRestarts"));
    const before = restarts();
    host.systemctl("kill", "--signal=SIGKILL", unit);
    await waitUntil(() => restarts() > before, { timeoutMs: TIMEOUT_MS, what: "a restart" });
    expect(await site.visit(blocked)).toBe("timed out");
    await addBlockedSource();
  });

  it("after a stop, which ends each service by itself", async () => {
    const blocked = await addBlockedSource();
    host.systemctl("stop", ...services.map(unitOf));
    for (const service of services) {
      expect(host.property(unitOf(service), "Result"), service).toBe("success");
      expect(host.property(unitOf(service), "ActiveState"), service).toBe("inactive");
    }
    expect(await site.visit(blocked)).toBe("timed out");
  });
});
