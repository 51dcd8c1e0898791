/**
 * Processes write their logs straight to a file that is open for appending, so
 * that they outlive their supervisor. What is read here is read from the file.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  closeSync,
  renameSync,
  statSync,
  truncateSync,
} from "node:fs";
import path from "node:path";
import { StringDecoder } from "node:string_decoder";

export const LOG_MAX_BYTES = 64 * 1024 * 1024;
const TAIL_BYTES = 64 * 1024;
const OLD_SUFFIX = ".1";

/** Begins a new log and keeps one old one. */
export function rotateLog(file: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  if (existsSync(file)) renameSync(file, file + OLD_SUFFIX);
}

/** Owned by the caller. */
export function openLog(file: string): number {
  return openSync(file, "a");
}

/** The writer holds the file open, so a full log is copied away and emptied in place. */
export function boundLog(file: string): void {
  if (sizeOf(file) <= LOG_MAX_BYTES) return;
  copyFileSync(file, file + OLD_SUFFIX);
  truncateSync(file);
}

/** Whole lines at the end of the file, oldest first. */
export function lastLines(file: string, fromOffset = 0): readonly string[] {
  const size = sizeOf(file);
  const start = Math.max(size - TAIL_BYTES, fromOffset > size ? 0 : fromOffset, 0);
  return readText(file, start, size - start)
    .split("\n")
    .filter((line) => line !== "");
}

/** Hands out the lines that are appended after it was created. */
export class LogFollower {
  readonly #decoder = new StringDecoder("utf8");
  #offset: number;
  #partial = "";
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
    this.#offset = sizeOf(file);
  }

  newLines(): readonly string[] {
    const size = sizeOf(this.#file);
    if (size < this.#offset) this.#offset = 0;
    const bytes = readBytes(this.#file, this.#offset, size - this.#offset);
    this.#offset += bytes.length;
    const lines = (this.#partial + this.#decoder.write(bytes)).split("\n");
    this.#partial = lines.pop() ?? "";
    return lines;
  }
}

export function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function readText(file: string, offset: number, length: number): string {
  return readBytes(file, offset, length).toString("utf8");
}

function readBytes(file: string, offset: number, length: number): Buffer {
  if (length <= 0) return Buffer.alloc(0);
  const descriptor = openSync(file, "r");
  try {
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, readSync(descriptor, bytes, 0, length, offset));
  } finally {
    closeSync(descriptor);
  }
}
