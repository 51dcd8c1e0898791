import { createProgram } from "./program.ts";
import { reportFailure } from "./report-failure.ts";
import { endWithReader, flushOutput } from "./terminal.ts";

endWithReader();
try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = reportFailure(error);
}
// A connection attempt that was given up would keep the process alive.
await flushOutput();
process.exit();
