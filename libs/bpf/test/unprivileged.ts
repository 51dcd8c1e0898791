import assert from "node:assert/strict";

const nobody = 65534;
const root = 0;

/** Runs a function as the user nobody, who has no capability in effect, and comes back as root. */
export function asNobody<T>(run: () => T): T {
  assert(process.seteuid, "Linux, and not in a worker thread");
  // The kernel clears the effective capabilities on the way from user 0, and restores them on the way back.
  process.seteuid(nobody);
  try {
    return run();
  } finally {
    process.seteuid(root);
  }
}
