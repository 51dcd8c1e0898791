import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openLogOutput } from "./log-output.ts";

const FULL_DISK = "/dev/full";
/** More than may wait. */
const LINES = 20_000;
const line = (number: number) => `${String(number).padStart(99)}\n`;

describe("a log whose disk is full", () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "packetwatch-log-"));
    file = path.join(folder, "log");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const untilDrained = (output: ReturnType<typeof openLogOutput>) =>
    new Promise((resolve) => output.once("drain", () => resolve(undefined)));

  it("takes lines without an error, and has them when there is room again", async () => {
    const losses: number[] = [];
    const output = openLogOutput(FULL_DISK, (lines) => losses.push(lines));
    for (const number of [1, 2]) output.write(line(number));
    output.reopen(file);
    const drained = untilDrained(output);
    output.write(line(3));
    await drained;
    expect(readFileSync(file, "utf8")).toBe([1, 2, 3].map(line).join(""));
    expect(losses).toEqual([]);
  });

  it("holds a bounded number of lines, and counts the others", async () => {
    const losses: number[] = [];
    const output = openLogOutput(FULL_DISK, (lines) => losses.push(lines));
    for (let number = 0; number < LINES; number++) output.write(line(number));
    output.reopen(file);
    const drained = untilDrained(output);
    output.write("\n");
    await drained;
    const kept = readFileSync(file, "utf8").trimEnd().split("\n").length;
    expect(kept).toBeLessThan(LINES);
    expect(losses).toEqual([LINES - kept]);
  });
});
