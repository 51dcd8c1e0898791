import { pino } from "pino";

/** What waits to be written where it can't be at present; lines that come then are lost. */
const MAX_WAITING_BYTES = 1024 * 1024;

export type LogOutput = ReturnType<typeof pino.destination>;

/**
 * Where the lines of a log go: a file descriptor, or the path of a file. A disk that is full ends nobody: lines wait
 * until there is room again, and of those that are lost meanwhile `onLost` is told the number.
 *
 * Synchronous: otherwise a fatal line, which pino flushes, overtakes the ones before it, and process.exit() can lose
 * the last ones. Services log little.
 */
export function openLogOutput(
  destination: number | string,
  onLost: (lines: number) => void,
): LogOutput {
  const output = pino.destination({
    dest: destination,
    sync: true,
    maxLength: MAX_WAITING_BYTES,
  });
  let lost = 0;
  output.on("drop", () => lost++);
  // Without a listener, whoever logs would be thrown the error. What it failed to write is tried again with the next line.
  output.on("error", () => undefined);
  output.on("drain", () => {
    if (lost === 0) return;
    onLost(lost);
    lost = 0;
  });
  return output;
}
