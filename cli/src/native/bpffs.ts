import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { NativeError } from "./native-error.ts";

const BPFFS = "/sys/fs/bpf";

/** Pins live in the BPF file system; a machine without systemd may not have it mounted. */
export function mountBpffs(): void {
  if (isMounted(readFileSync("/proc/self/mountinfo", "utf8"))) return;
  try {
    execFileSync("mount", ["-t", "bpf", "bpf", BPFFS], { stdio: "pipe" });
  } catch (error) {
    throw new NativeError(
      "NO_BPFFS",
      `mount bpffs on ${BPFFS}: ${(error as Error).message.trim()}; a container needs it mounted from outside (-v ${BPFFS}:${BPFFS})`,
      { cause: error },
    );
  }
}

/** In a line of mountinfo the mount point is field 5, and the type follows a lone dash. */
export function isMounted(mountinfo: string): boolean {
  return mountinfo
    .split("\n")
    .some((line) => line.split(" ")[4] === BPFFS && line.includes(" - bpf "));
}
