import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BackgroundCommand } from "./background-command.ts";
import { waitUntil } from "./eventually.ts";
import { Guardian } from "./guardian.ts";
import type { NetworkNamespace } from "./network-namespace.ts";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
const BOOT = fileURLToPath(new URL("systemd-host.sh", import.meta.url));
const BOOT_TIMEOUT_MS = 30_000;

export type SystemdHostOptions = {
  readonly namespace: NetworkNamespace;
  /** For its owner alone, by path. */
  readonly files: Readonly<Record<string, string>>;
};

/** A host that systemd has booted, with what `make install` installs; its network is a namespace of the test's. */
export class SystemdHost {
  readonly #name = `packetwatch-${process.pid}`;
  readonly #folder = mkdtempSync(join(tmpdir(), "packetwatch-systemd-"));
  readonly #guardian: Guardian;
  readonly #process: BackgroundCommand;

  private constructor({ namespace, files }: SystemdHostOptions) {
    this.#guardian = new Guardian([this.#removeGroups]);
    const installed = join(this.#folder, "installed");
    const install = ["--silent", "install", `DESTDIR=${installed}`, "PREFIX=/usr/local"];
    execFileSync("make", install, { cwd: REPOSITORY, stdio: "pipe" });
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(installed, path)), { recursive: true });
      writeFileSync(join(installed, path), content, { mode: 0o600 });
    }
    this.#process = new BackgroundCommand(namespace, [BOOT, this.#name, this.#folder]);
  }

  static async boot(options: SystemdHostOptions): Promise<SystemdHost> {
    const host = new SystemdHost(options);
    try {
      await waitUntil(() => host.#isUp(), { timeoutMs: BOOT_TIMEOUT_MS, what: "systemd to be up" });
      return host;
    } catch (cause) {
      const { output } = host.#process;
      await host.close();
      throw new Error(`${(cause as Error).message}\n${output}`, { cause });
    }
  }

  /** Throws with what it printed where it fails. */
  systemctl(...args: readonly string[]): string {
    return this.run("systemctl", "--no-pager", ...args);
  }

  /** A property of a unit, such as MainPID. */
  property(unit: string, name: string): string {
    return this.systemctl("show", "--property", name, "--value", unit).trim();
  }

  /** /proc/PID/status of a unit's process, by field. */
  status(unit: string): ReadonlyMap<string, string> {
    const status = this.run("cat", `/proc/${this.property(unit, "MainPID")}/status`);
    return new Map(status.split("\n").map((line) => line.split(":\t") as [string, string]));
  }

  log(unit: string): string {
    return this.run("sh", "-c", `cat /run/${unit}.log 2>/dev/null || true`);
  }

  /** Runs a command on the host, to its end. */
  run(...command: readonly string[]): string {
    const namespaces = ["--mount", "--pid", "--net", "--cgroup", "--uts", "--ipc"];
    const args = [`--target=${this.#systemd()}`, ...namespaces, ...command];
    return execFileSync("nsenter", args, { encoding: "utf8", stdio: "pipe" });
  }

  /** Ends all of its processes at once; its program, maps and pins go with its BPF file system. */
  async close(): Promise<void> {
    await this.#process.close();
    await waitUntil(() => this.#groupsAreGone(), {
      timeoutMs: BOOT_TIMEOUT_MS,
      what: "its processes to end",
    });
    this.#guardian.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** The one child of the process that has made its namespaces. */
  #systemd(): string {
    const { pid } = this.#process;
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  }

  #isUp(): boolean {
    return this.systemctl("is-system-running").trim() === "running";
  }

  get #removeGroups(): string {
    return `find /sys/fs/cgroup -depth -type d -path '*/${this.#name}*' -exec rmdir {} +`;
  }

  /** Control groups with a process in them can't be removed. */
  #groupsAreGone(): boolean {
    execFileSync("sh", ["-c", this.#removeGroups], { stdio: "pipe" });
    return true;
  }
}
