/** Standard output and standard error, as the commands use them. */
import { fstatSync, writeSync } from "node:fs";
import type { Environment } from "@packetwatch/config";

/** A line on standard output. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A line on standard error, for people. */
export function complain(message: string): void {
  process.stderr.write(`packetwatch: ${message}\n`);
}

export type ColourQuestion = {
  readonly isTerminal: boolean;
  /** --color or --no-color. */
  readonly isWanted: boolean;
  readonly environment: Environment;
};

/** Colours are for terminals, and not where NO_COLOR is set (no-color.org). */
export function usesColours({ isTerminal, isWanted, environment }: ColourQuestion): boolean {
  return isTerminal && isWanted && (environment["NO_COLOR"] ?? "") === "";
}

/**
 * A reader that goes away (`packetwatch tail | head`) ends the command quietly;
 * any other failure to write ends it with an error.
 */
export function endWithReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit();
      complain(
        `write to ${stream === process.stdout ? "standard output" : "standard error"}: ${error.message}`,
      );
      process.exit(1);
    });
  }
}

/**
 * Terminals are written synchronously by Node. One that is stopped (Ctrl-S) or
 * slow would then stop everything else in the process; pipes are not, so this
 * makes a terminal behave as they do. There is no public way.
 */
export function makeTerminalAsynchronous(): void {
  const { stdout } = process as { stdout: { isTTY?: boolean; _handle?: TerminalHandle } };
  if (stdout.isTTY) stdout._handle?.setBlocking?.(false);
}

type TerminalHandle = { setBlocking?(blocking: boolean): void };

/**
 * Standard output for a lot of text. A file is written at once: the stream that
 * Node has for it does so, too, but calls back late, and the text that piles up
 * meanwhile would look like a reader that is slow.
 */
export function openStandardOutput(): {
  write(text: string, done: (error?: Error | null) => void): void;
} {
  const { stdout } = process;
  if (!fstatSync(stdout.fd).isFile()) return { write: (text, done) => stdout.write(text, done) };
  return {
    write: (text, done) => {
      try {
        writeWhole(stdout.fd, Buffer.from(text));
      } catch (error) {
        return done(error as Error);
      }
      done();
    },
  };
}

function writeWhole(fd: number, bytes: Buffer): void {
  let written = 0;
  while (written < bytes.length) written += writeSync(fd, bytes, written);
}

/** Resolves when standard output has been taken over, by a reader that may be slow. */
export function flushOutput(): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write("", () => resolve());
  });
}
