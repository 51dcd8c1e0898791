import { createProgram } from "./program.ts";
import { reportFailure } from "./report-failure.ts";
import { unlessSignalled } from "./stop-signals.ts";
import { endWithReader, flushOutput } from "./terminal.ts";

/** How long output that nobody reads may hold up the end of a command that was told to stop. */
const FLUSH_TIMEOUT_MS = 1000;

endWithReader();
try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = reportFailure(error);
}
// A connection attempt that was given up would keep the process alive.
await unlessSignalled(flushOutput(), FLUSH_TIMEOUT_MS);
process.exit();
