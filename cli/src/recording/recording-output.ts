import { closeSync, openSync, writeSync } from "node:fs";
import { isatty } from "node:tty";
import { CliError } from "../cli-error.ts";
import { causeText } from "../printable.ts";

/** How long a reader of standard output may take nothing. */
const STALL_TIMEOUT_MS = 30_000;
const RETRY_MS = 5;

export type RecordingOutputOptions = {
  /** "-": standard output. */
  readonly file: string;
  readonly overwrite: "refuse" | "allow";
};

/**
 * A recording's bytes on their way to a file or to standard output. A write
 * returns when all is written, so a slow disk or reader holds up the stream's
 * reader, which asks for no more meanwhile: nothing piles up here.
 */
export class RecordingOutput {
  readonly #options: RecordingOutputOptions;
  #fd: number | undefined;

  constructor(options: RecordingOutputOptions) {
    this.#options = options;
  }

  /** Throws CliError: RECORDING_EXISTS, or RECORDING_OUTPUT. */
  open(): void {
    const { file, overwrite } = this.#options;
    if (file === "-") {
      this.#fd = process.stdout.fd;
      return;
    }
    try {
      this.#fd = openSync(file, overwrite === "allow" ? "w" : "wx");
    } catch (cause) {
      throw openFailure(file, cause as NodeJS.ErrnoException);
    }
  }

  /** Throws CliError: RECORDING_OUTPUT, or READER_GONE. */
  write(bytes: Uint8Array): void {
    const fd = this.#fd;
    if (fd === undefined) throw new Error("the recording isn't open");
    let written = 0;
    let stalledMs = 0;
    while (written < bytes.length) {
      const count = this.#writeSome(fd, bytes.subarray(written));
      written += count;
      stalledMs = count === 0 ? stalledMs + RETRY_MS : 0;
      if (stalledMs >= STALL_TIMEOUT_MS) throw this.#stalled();
      if (count === 0) sleep(RETRY_MS);
    }
  }

  close(): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd === undefined || fd === process.stdout.fd) return;
    try {
      closeSync(fd);
    } catch (cause) {
      throw this.#writeFailure(cause as NodeJS.ErrnoException);
    }
  }

  /** 0 where a pipe is full: Node makes the one on standard output non-blocking. */
  #writeSome(fd: number, bytes: Uint8Array): number {
    try {
      return writeSync(fd, bytes);
    } catch (cause) {
      const error = cause as NodeJS.ErrnoException;
      if (error.code === "EAGAIN") return 0;
      throw this.#writeFailure(error);
    }
  }

  #writeFailure(cause: NodeJS.ErrnoException): CliError {
    if (cause.code === "EPIPE") {
      return new CliError("READER_GONE", "the recording's reader went away", { cause });
    }
    const detail = `write ${this.#name}: ${cause.message}; the recording is readable up to there`;
    return new CliError("RECORDING_OUTPUT", detail, { cause });
  }

  #stalled(): CliError {
    const detail = `write ${this.#name}: its reader took nothing for ${STALL_TIMEOUT_MS / 1000} s`;
    return new CliError("RECORDING_OUTPUT", detail);
  }

  get #name(): string {
    return this.#options.file === "-" ? "standard output" : this.#options.file;
  }
}

/** Whether a recording would be printed for people. */
export function isTerminalOutput(file: string): boolean {
  return file === "-" && isatty(process.stdout.fd);
}

function openFailure(file: string, cause: NodeJS.ErrnoException): CliError {
  if (cause.code === "EEXIST") {
    const detail = `${file} exists; --force overwrites it`;
    return new CliError("RECORDING_EXISTS", detail, { cause });
  }
  return new CliError("RECORDING_OUTPUT", `open ${file}: ${causeText(cause)}`, { cause });
}

/** Blocks the thread, as a write to a file does. */
function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
