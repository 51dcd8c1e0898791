import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import type { Settings } from "../../test/support/fleet-service.ts";

/**
 * With `--profile FOLDER` on the command line, settings that make a service write a CPU profile there when it ends in
 * good order, for the developer tools of a browser or for `bench/profile-summary.mjs`.
 */
export function profileSettings(): Settings {
  const at = process.argv.indexOf("--profile");
  const folder = at < 0 ? undefined : process.argv[at + 1];
  if (folder === undefined) return {};
  mkdirSync(folder, { recursive: true });
  const hook = resolve("bench/profile-hook.mjs");
  return { NODE_OPTIONS: `--import ${hook}`, BENCH_PROFILE_FOLDER: resolve(folder) };
}
