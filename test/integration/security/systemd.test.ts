import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Role, roles } from "@packetwatch/contracts";
import { type Variable, variables } from "@packetwatch/config";
import { beforeAll, describe, expect, it } from "vitest";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const services = ["capture", "enforcer", "detector", "metrics"] as const;
/** Of 100; systemd calls up to 4.9 of 10 "OK". Seen, in tenths: these, and 16 of the others. */
const MAX_EXPOSURE = { capture: 21, enforcer: 21, detector: 22, metrics: 22 } as const;

let prefix: string;
const unitFile = (name: string) => join(prefix, `lib/systemd/system/packetwatch-${name}.service`);

beforeAll(() => {
  prefix = mkdtempSync(join(tmpdir(), "packetwatch-install-"));
  execFileSync("make", ["--silent", "install", `PREFIX=${prefix}`], {
    cwd: repository,
    stdio: "pipe",
  });
  return () => rmSync(prefix, { recursive: true });
});

/** The values of a setting, in order. */
function settings(name: string, setting: string): readonly string[] {
  const lines = readFileSync(unitFile(name), "utf8").split("\n");
  return lines
    .filter((line) => line.startsWith(`${setting}=`))
    .map((line) => line.slice(setting.length + 1));
}

describe("make install", () => {
  it("installs a command that runs from where it was put", () => {
    const { version } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
      version: string;
    };
    const printed = execFileSync(join(prefix, "bin/packetwatch"), ["--version"], {
      encoding: "utf8",
    });
    expect(printed.trim()).toBe(version);
  });

  it("installs what the NATS of 'packetwatch up' is configured with", () => {
    const installed = join(prefix, "lib/packetwatch/deploy/nats/native.conf");
    const ours = join(repository, "deploy/nats/native.conf");
    expect(readFileSync(installed, "utf8")).toBe(readFileSync(ours, "utf8"));
  });

  it.each(["/root/.nvm/versions/node/v24.0.0/bin/node", "/home/alice/node"])(
    "refuses %s, which no unit could run, and says how to take another",
    (node) => {
      const folder = join(prefix, "refused");
      const { status, stderr } = spawnSync("make", ["--silent", "install", `PREFIX=${folder}`], {
        cwd: repository,
        env: { ...process.env, NODE: node },
        encoding: "utf8",
      });
      expect(status).not.toBe(0);
      expect(stderr).toContain(`can't run ${node}, which lies in a home directory`);
      expect(stderr).toContain("NODE=/usr/bin/node make install");
      expect(existsSync(folder)).toBe(false);
    },
  );

  it.each(services)(
    "%s starts, and refuses a bad variable as it does in the repository",
    (name) => {
      const [command = ""] = settings(name, "ExecStart");
      const [program = "", ...args] = command.split(" ");
      const { status, stdout } = spawnSync(program, args, {
        env: { PATH: process.env["PATH"], PW_LOG_LEVEL: "loud" },
        encoding: "utf8",
      });
      expect(status).toBe(2);
      expect(stdout).toContain("PW_LOG_LEVEL");
    },
  );
});

describe("the units", () => {
  it.each(services)("systemd has nothing to say against packetwatch-%s.service", (name) => {
    const { status, stdout, stderr } = spawnSync("systemd-analyze", ["verify", unitFile(name)], {
      encoding: "utf8",
    });
    expect(`${stdout}${stderr}`.trim()).toBe("");
    expect(status).toBe(0);
  });

  it.each(services)("packetwatch-%s.service is exposed little", (name) => {
    const args = ["security", "--offline=true", "--no-pager", `--threshold=${MAX_EXPOSURE[name]}`];
    const { status, stdout } = spawnSync("systemd-analyze", [...args, unitFile(name)], {
      encoding: "utf8",
    });
    console.log(stdout.trim().split("\n").at(-1));
    expect(status).toBe(0);
  });

  it("capture and enforcer have the capabilities of the design, and the others none", () => {
    const capabilities = services.map((name) => [name, ...settings(name, "CapabilityBoundingSet")]);
    expect(capabilities).toEqual([
      ["capture", "CAP_BPF CAP_NET_ADMIN CAP_PERFMON"],
      ["enforcer", "CAP_BPF"],
      ["detector", ""],
      ["metrics", ""],
    ]);
  });

  it.each(services)(
    "%s gets the key of its own role, and sets only variables that there are",
    (name) => {
      expect(Object.keys(roles)).toContain(name satisfies Role);
      expect(settings(name, "LoadCredential")).toEqual([`nkey:/etc/packetwatch/${name}.nk`]);
      const known = new Set(Object.values<Variable>(variables).map((variable) => variable.name));
      const used =
        settings(name, "Environment")
          .join(" ")
          .match(/PW_[A-Z_]+/g) ?? [];
      expect(used.filter((variable) => !known.has(variable))).toEqual([]);
      expect(used).toContain("PW_NATS_NKEY_FILE");
    },
  );
});
