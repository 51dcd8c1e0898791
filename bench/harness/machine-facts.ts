import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";

/** Shares of the machine's CPU time over a while. */
export type CpuShares = {
  readonly busyShare: number;
  /** What the hypervisor gave to other machines while this one wanted it. */
  readonly stolenShare: number;
};

/** The shares are those of the bench's whole time. */
export type MachineFacts = CpuShares & {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  readonly commit: string;
  /** The load average of one minute as the bench began: what others were doing. */
  readonly loadBefore: number;
};

type CpuTimes = { readonly all: number; readonly idle: number; readonly stolen: number };

/** Call it as a bench begins, and what it returns when the bench has ended. */
export function observeMachine(): () => MachineFacts {
  const [loadBefore = 0] = loadavg();
  const conclude = observeCpus();
  return () => ({
    processor: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    commit: commitOf(),
    loadBefore,
    ...conclude(),
  });
}

/** The shares from this call to that of what it returns. */
export function observeCpus(): () => CpuShares {
  const before = readCpuTimes();
  return () => {
    const after = readCpuTimes();
    const all = Math.max(1, after.all - before.all);
    return {
      busyShare: 1 - (after.idle - before.idle) / all,
      stolenShare: (after.stolen - before.stolen) / all,
    };
  };
}

/** The first line of /proc/stat: user nice system idle iowait irq softirq steal, in ticks. */
function readCpuTimes(): CpuTimes {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  const ticks = line.split(/\s+/).slice(1, 9).map(Number);
  const [, , , idle = 0, waiting = 0, , , stolen = 0] = ticks;
  return { all: ticks.reduce((sum, value) => sum + value, 0), idle: idle + waiting, stolen };
}

/** With a plus where the tree differs from the commit. */
function commitOf(): string {
  try {
    const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8" }).trim();
    const isChanged = git("status", "--porcelain", "--untracked-files=no") !== "";
    return git("rev-parse", "--short", "HEAD") + (isChanged ? "+" : "");
  } catch {
    return "unknown";
  }
}
