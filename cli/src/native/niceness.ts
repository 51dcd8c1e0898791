/** How the programs of the native runtime stand beside others where cores are short. */
import { getPriority, setPriority } from "node:os";

/** Three times the share of a usual process, and sooner woken. */
export const NICENESS = -5;

/**
 * What is started from now on comes before usual processes: for as long as a verdict waits for a core, a scanner goes
 * on. Who started this with a niceness has chosen it; false where it may not be raised.
 */
export function comeFirst(): boolean {
  if (getPriority() !== 0) return true;
  try {
    setPriority(NICENESS);
    return true;
  } catch (error) {
    if (!isForbidden(error)) throw error;
    return false;
  }
}

function isForbidden(error: unknown): boolean {
  const { info } = error as { info?: { code?: string } };
  return info?.code === "EACCES" || info?.code === "EPERM";
}
