import { describe, expect, it } from "vitest";
import {
  attachedModes,
  errorLines,
  explainingLines,
  isNatsReady,
  isServiceReady,
} from "./log-lines.ts";

const line = (entry: object) =>
  JSON.stringify({ time: "2026-01-01T00:00:00.000Z", service: "capture", ...entry });

describe("log lines", () => {
  const readyLines = [
    [line({ level: "info", msg: "ready" }), true],
    [line({ level: "info", msg: "not ready" }), false],
    [line({ level: "info", msg: "waiting", state: "ready" }), false],
    ["ready", false],
    ['{"msg":"ready"', false],
  ] as const;
  it.each(readyLines)("a service is ready by its message alone: %s", (text, expected) => {
    expect(isServiceReady(text)).toBe(expected);
  });

  it("nats-server is ready when it says so", () => {
    expect(isNatsReady("[1] 2026/01/01 00:00:00.000000 [INF] Server is ready")).toBe(true);
    expect(isNatsReady("[1] 2026/01/01 00:00:00.000000 [INF] Starting nats-server")).toBe(false);
  });

  it("an error is its message and its cause, each once", () => {
    const lines = [
      line({ level: "info", msg: "watching" }),
      line({ level: "fatal", msg: "start failed", err: { message: "EBUSY" } }),
      line({ level: "error", msg: "EPERM", err: { message: "EPERM" } }),
      line({ level: "info", msg: "stopped" }),
    ];
    expect(errorLines(lines)).toEqual(["start failed: EBUSY", "EPERM"]);
  });

  it("text counts as an error when it speaks of one", () => {
    const lines = [
      "Node.js v20.20.2",
      "Error: Cannot find module",
      "[1] [FTL] address already in use",
    ];
    expect(errorLines(lines)).toEqual(lines.slice(1));
  });

  it("a failed start is explained by its errors, or else by its last lines", () => {
    const harmless = [1, 2, 3].map((number) => line({ level: "info", msg: `step ${number}` }));
    expect(explainingLines(harmless, 2)).toEqual(["step 2", "step 3"]);
    const fatal = line({ level: "fatal", msg: "no bpffs" });
    expect(explainingLines([...harmless, fatal, ...harmless], 2)).toEqual(["no bpffs"]);
  });

  it("the last mode that was reported for an interface is its mode", () => {
    const lines = [
      line({ interface: "eth0", mode: "native", msg: "watching" }),
      line({ interface: "eth1", mode: "skb", msg: "watching" }),
      line({ interface: "eth0", mode: "skb", msg: "watching" }),
      line({ interface: "eth2", msg: "allow list changed" }),
    ];
    expect([...attachedModes(lines)]).toEqual([
      ["eth0", "skb"],
      ["eth1", "skb"],
    ]);
  });
});
