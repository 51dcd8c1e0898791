import { type Logger, pino } from "pino";
import pretty from "pino-pretty";
import { openLogOutput } from "./log-output.ts";

export type { Logger } from "pino";

export type LoggerOptions = {
  readonly service: string;
  readonly level: string;
};

const STANDARD_OUTPUT = 1;

/** JSON lines on standard output; readable lines, with colours, where that is a terminal. */
export function createLogger({ service, level }: LoggerOptions): Logger {
  const options = {
    level,
    base: { service },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (!process.stdout.isTTY) {
    const output = openLogOutput(STANDARD_OUTPUT, (lines) =>
      logger.warn({ lines }, "lines of this log are missing: they could not be written"),
    );
    const logger = pino(options, output);
    return logger;
  }
  return pino(
    options,
    pretty({ sync: true, ignore: "service", messageFormat: "{service}: {msg}" }),
  );
}
