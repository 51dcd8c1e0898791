import { readFileSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { dirname } from "node:path";
import { expect, test, vi } from "vitest";
import { verifierRefusal } from "./verifier-refusal.ts";

const log = Array.from({ length: 100 }, (_, line) => `line ${line}`).join("\n");

test("a refusal shows the last 20 lines of the log, and keeps all of it in a file", () => {
  const error = verifierRefusal({ programName: "p", errno: constants.errno.EACCES, log });
  const { tail = [], path = "" } = error.verifierLog ?? {};
  expect([tail.length, tail[0], tail.at(-1)]).toEqual([20, "line 80", "line 99"]);
  expect(readFileSync(path, "utf8")).toBe(log);
  rmSync(dirname(path), { recursive: true });
});

test("a refusal whose log can't be written says so and shows the same lines", () => {
  vi.stubEnv("TMPDIR", "/nonexistent");
  const error = verifierRefusal({ programName: "p", errno: constants.errno.EACCES, log });
  vi.unstubAllEnvs();
  expect(error.hint).toMatch(/could not be written .*ENOENT/);
  expect(error.verifierLog).toMatchObject({ path: undefined });
  expect(error.message).toContain("line 99");
});
