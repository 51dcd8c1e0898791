import { execFileSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makePinFolder } from "../../libs/bpf/src/bpffs.ts";

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "packetwatch-bpffs-"));
  execFileSync("mount", ["-t", "bpf", "-o", "ro", "bpf", folder]);
});
afterAll(() => {
  execFileSync("umount", [folder]);
  rmdirSync(folder);
});

it("a BPF file system that is read-only is called so, and the way out is named", () => {
  const make = () => makePinFolder(join(folder, "packetwatch", "eth0"));
  expect(make).toThrow(/^make pin folder .*: EROFS: .*; mount the BPF file system read-write/);
});
