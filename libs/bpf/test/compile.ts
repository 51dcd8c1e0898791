import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

/** Compiles a C file of this folder, "fixture" for fixture.bpf.c, and returns the object's path. Call it from a test file's top level. */
export function compile(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), "pwb-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const source = fileURLToPath(new URL(`${name}.bpf.c`, import.meta.url));
  const object = join(folder, `${name}.bpf.o`);
  const machine = execFileSync("uname", ["-m"], { encoding: "utf8" }).trim();
  execFileSync("clang", [
    "-O2",
    "-g",
    "-target",
    "bpf",
    `-I/usr/include/${machine}-linux-gnu`,
    "-c",
    source,
    "-o",
    object,
  ]);
  return object;
}
