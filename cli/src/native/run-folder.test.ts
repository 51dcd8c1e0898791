import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, it } from "vitest";
import { NativeError } from "./native-error.ts";
import { makeRunFolder } from "./run-folder.ts";
import { runLayout } from "./run-layout.ts";

const folder = mkdtempSync(path.join(tmpdir(), "packetwatch-run-"));
const file = path.join(folder, "file");
writeFileSync(file, "");
afterAll(() => rmSync(folder, { recursive: true }));

it("the run folder is made with its parents, and twice without harm", () => {
  const layout = runLayout(path.join(folder, "a/b"));
  makeRunFolder(layout);
  makeRunFolder(layout);
  expect(existsSync(path.dirname(layout.logFile("capture")))).toBe(true);
});

it.each([
  ["lies under a file", path.join(file, "run"), "ENOTDIR"],
  ["is a file", file, "ENOTDIR"],
  ["can't be made", "/proc/packetwatch", "ENOENT"],
])("a run folder that %s is named with the way out", (_, runDir, code) => {
  const make = () => makeRunFolder(runLayout(runDir));
  expect(make).toThrow(NativeError);
  expect(make).toThrow(`make ${runDir}: ${code}; set PW_RUN_DIR`);
});
