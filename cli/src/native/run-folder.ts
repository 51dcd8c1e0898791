import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { NativeError } from "./native-error.ts";
import { SUPERVISOR } from "./programs.ts";
import type { RunLayout } from "./run-layout.ts";

/** Makes the folder that the native runtime writes to, with that of its logs. Throws NativeError: RUN_DIR. */
export function makeRunFolder(layout: RunLayout): void {
  try {
    makeWithParents(path.dirname(layout.logFile(SUPERVISOR)));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const detail = `make ${layout.runDir}: ${code}; set PW_RUN_DIR to a folder that root can write to`;
    throw new NativeError("RUN_DIR", detail, { cause });
  }
}

/** Not Node's recursive mkdir, which says ENOENT where the file system is read-only, and goes on for ever in /proc. */
function makeWithParents(folder: string): void {
  if (existsSync(folder)) return;
  makeWithParents(path.dirname(folder));
  try {
    mkdirSync(folder);
  } catch (cause) {
    // Another start may have made it meanwhile.
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
  }
}
