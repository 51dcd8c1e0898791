import type { Logger } from "./logger.ts";

/** So long a message that was said is not said again. */
const QUIET_MS = 10_000;

/**
 * A logger for many who notice the same thing at the same time, such as the
 * readers of one stream: what one of them has just said the others don't repeat.
 */
export function createSharedLogger(
  logger: Logger,
  now: () => number = () => performance.now(),
): Logger {
  // By message: these are constants, and so few.
  const saidMs = new Map<string, number>();
  const unlessSaid =
    (level: keyof Logger) =>
    (fields: object, message: string): void => {
      const nowMs = now();
      const lastMs = saidMs.get(message);
      saidMs.set(message, nowMs);
      if (lastMs === undefined || nowMs - lastMs >= QUIET_MS) logger[level](fields, message);
    };
  return {
    debug: unlessSaid("debug"),
    info: unlessSaid("info"),
    warn: unlessSaid("warn"),
    error: unlessSaid("error"),
  };
}
