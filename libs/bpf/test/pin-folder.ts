import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync } from "node:fs";

const bpffs = "/sys/fs/bpf";
const bpffsMagic = 0xcafe4a11;

/** A private folder on bpffs, which is mounted where it is not. */
export function makeTestPinFolder(): { readonly path: string; remove(): void } {
  if (statfsSync(bpffs).type !== bpffsMagic) execFileSync("mount", ["-t", "bpf", "bpf", bpffs]);
  const path = mkdtempSync(`${bpffs}/pwtest-${process.pid}-`);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
