import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LOG_MAX_BYTES, LogFollower, boundLog, lastLines, rotateLog } from "./log-file.ts";

describe("log file", () => {
  let folder = "";
  let file = "";
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), "packetwatch-log-"));
    file = path.join(folder, "log", "capture.log");
    rotateLog(file);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("keeps one old log", () => {
    writeFileSync(file, "first\n");
    rotateLog(file);
    writeFileSync(file, "second\n");
    rotateLog(file);
    expect(existsSync(file)).toBe(false);
    expect(readFileSync(`${file}.1`, "utf8")).toBe("second\n");
  });

  it("hands out whole lines, a character cut in two included", () => {
    const follower = new LogFollower(file);
    const bytes = Buffer.from("größe\n");
    writeFileSync(file, bytes.subarray(0, 3));
    expect(follower.newLines()).toEqual([]);
    appendFileSync(file, Buffer.concat([bytes.subarray(3), Buffer.from("next")]));
    expect(follower.newLines()).toEqual(["größe"]);
    appendFileSync(file, "\n");
    expect(follower.newLines()).toEqual(["next"]);
  });

  it("follows only what is appended after it began", () => {
    writeFileSync(file, '{"msg":"ready"}\n');
    const follower = new LogFollower(file);
    expect(follower.newLines()).toEqual([]);
  });

  it("goes on from the start of a log that was emptied", () => {
    writeFileSync(file, "old old old\n");
    const follower = new LogFollower(file);
    truncateSync(file);
    appendFileSync(file, "new\n");
    expect(follower.newLines()).toEqual(["new"]);
  });

  it("a log that is not there has no lines", () => {
    expect(lastLines(path.join(folder, "none.log"))).toEqual([]);
  });

  it("the last lines of a run are not those of an earlier one", () => {
    writeFileSync(file, "earlier\n");
    appendFileSync(file, "this run\n");
    expect(lastLines(file, "earlier\n".length)).toEqual(["this run"]);
  });

  it("a log is emptied in place when it is over its bound, and not before", () => {
    writeFileSync(file, "");
    truncateSync(file, LOG_MAX_BYTES);
    boundLog(file);
    expect(existsSync(`${file}.1`)).toBe(false);
    truncateSync(file, LOG_MAX_BYTES + 1);
    boundLog(file);
    expect(readFileSync(file, "utf8")).toBe("");
    expect(existsSync(`${file}.1`)).toBe(true);
  });
});
