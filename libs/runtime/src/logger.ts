import { type Logger, pino } from "pino";
import pretty from "pino-pretty";

export type { Logger } from "pino";

export type LoggerOptions = {
  readonly service: string;
  readonly level: string;
};

/** JSON lines on standard output; readable lines, with colours, where that is a terminal. */
export function createLogger({ service, level }: LoggerOptions): Logger {
  const options = {
    level,
    base: { service },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  // Synchronous: otherwise a fatal line, which pino flushes, overtakes the ones before it, and
  // process.exit() can lose the last ones. Services log little.
  if (!process.stdout.isTTY) return pino(options, pino.destination({ dest: 1, sync: true }));
  return pino(
    options,
    pretty({ sync: true, ignore: "service", messageFormat: "{service}: {msg}" }),
  );
}
