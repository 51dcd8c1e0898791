import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ProcessTable } from "./process-table.ts";
import { runLayout } from "./run-layout.ts";

const PID = 4711;

/** A /proc that holds these environments and nothing else. */
const procOf = (environs: Readonly<Record<number, string>>) => (pid: number) => environs[pid];

const environ = (mark: Readonly<Record<string, string>>) =>
  ["PATH=/bin", ...Object.entries(mark).map(([name, value]) => `${name}=${value}`), ""].join("\0");

describe("process table", () => {
  let runDir = "";
  beforeEach(() => {
    runDir = mkdtempSync(path.join(tmpdir(), "packetwatch-table-"));
  });
  afterEach(() => rmSync(runDir, { recursive: true }));

  const tableWith = (environs: Readonly<Record<number, string>>) =>
    new ProcessTable(runLayout(runDir), procOf(environs));

  it("knows a recorded process by its mark", () => {
    const mark = tableWith({}).mark("capture");
    const table = tableWith({ [PID]: environ(mark) });
    table.record("capture", PID);
    expect(table.livePid("capture")).toBe(PID);
    expect(readFileSync(path.join(runDir, "capture.pid"), "utf8")).toBe(`${PID}\n`);
  });

  const strangers = [
    ["a process that has ended", {}],
    ["a process that is not yet reaped", { [PID]: "" }],
    ["a stranger that was given the pid", { [PID]: "PATH=/bin\0HOME=/root\0" }],
    [
      "another program of ours",
      { [PID]: environ(new ProcessTable(runLayout("/run/a")).mark("tail")) },
    ],
    [
      "the same program of another run folder",
      { [PID]: environ(new ProcessTable(runLayout("/run/a")).mark("capture")) },
    ],
  ] as const;
  it.each(strangers)("does not take %s for its own", (_what, environs) => {
    const table = tableWith(environs);
    table.record("capture", PID);
    expect(table.livePid("capture")).toBeUndefined();
  });

  it.each(["", "capture", "-1", "0", "1 2", "99999999999"])("reads no pid from %j", (text) => {
    const alwaysOurs = new ProcessTable(runLayout(runDir), () =>
      environ(tableWith({}).mark("capture")),
    );
    writeFileSync(path.join(runDir, "capture.pid"), text);
    expect(alwaysOurs.livePid("capture")).toBeUndefined();
  });

  it("forgets, twice without harm", () => {
    const table = tableWith({ [PID]: environ(tableWith({}).mark("capture")) });
    table.record("capture", PID);
    table.forget("capture");
    table.forget("capture");
    expect(table.livePid("capture")).toBeUndefined();
  });

  it("takes neither this process nor a missing one in the real /proc for its own", () => {
    const table = new ProcessTable(runLayout(runDir));
    table.record("capture", process.pid);
    expect(table.livePid("capture")).toBeUndefined();
    table.record("capture", 2 ** 30);
    expect(table.livePid("capture")).toBeUndefined();
  });
});
