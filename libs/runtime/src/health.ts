import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { HealthFileError } from "./health-file-error.ts";
import type { Logger } from "./logger.ts";

/** Why something isn't as it should be; undefined: it is. */
export type WhyNot = () => string | undefined;

/** What has to hold for a service to be well, beyond having started. */
export class Health {
  readonly #requirements: WhyNot[] = [];

  require(whyNot: WhyNot): void {
    this.#requirements.push(whyNot);
  }

  /** The first reason why the service isn't well; undefined: it is. */
  whyNot(): string | undefined {
    for (const requirement of this.#requirements) {
      const reason = requirement();
      if (reason !== undefined) return reason;
    }
    return undefined;
  }
}

export type HealthFileOptions = {
  readonly file: string;
  readonly health: Health;
  readonly logger: Logger;
};

/** A file that is older than a few of these belongs to a service that hangs. */
const WRITE_INTERVAL_MS = 1000;

/**
 * Writes `ok`, or why the service isn't well, as the file's one line, now and
 * every second until it is closed; then it removes the file. A container's
 * health check reads it: that takes no port, which replicas on one network
 * would have to share. Throws HealthFileError where it can't be written.
 */
export function startHealthFile(options: HealthFileOptions): { close(): void } {
  const { file, logger } = options;
  write(options);
  let isWritable = true;
  const timer = setInterval(() => {
    try {
      write(options);
      isWritable = true;
    } catch (error) {
      if (isWritable) logger.error((error as Error).message);
      isWritable = false;
    }
  }, WRITE_INTERVAL_MS);
  return {
    close: () => {
      clearInterval(timer);
      rmSync(file, { force: true });
    },
  };
}

/** Whole or not at all: a health check may read at any time. */
function write({ file, health }: HealthFileOptions): void {
  const partial = `${file}.${process.pid}`;
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(partial, `${health.whyNot() ?? "ok"}\n`);
    renameSync(partial, file);
  } catch (cause) {
    throw new HealthFileError(file, { cause });
  }
}
