import { AddressError, formatPrefix } from "@packetwatch/net";
import { describe, expect, it } from "vitest";
import { blockOf, TIME_US } from "../testing/payloads.ts";
import { describeRemaining, renderBlockList } from "./blocked-command.ts";
import { describeLifted, sourceOf } from "./unblock-command.ts";

const SECOND_US = 1_000_000;

describe("the block list", () => {
  it.each([
    [null, "never"],
    [0, "0s"],
    [1, "1s"],
    [59 * SECOND_US, "59s"],
    [60 * SECOND_US, "1m"],
    [3_601 * SECOND_US, "1h 1s"],
    [86_399 * SECOND_US, "23h 59m"],
    [2 * 86_400 * SECOND_US, "2d"],
    [-5 * SECOND_US, "0s"],
  ])("%j µs from now is written %s", (remainingUs, text) => {
    const expiresUs = remainingUs === null ? null : TIME_US + remainingUs;
    expect(describeRemaining(expiresUs, TIME_US)).toBe(text);
  });

  it("has aligned columns, and no control characters of others", () => {
    const operator = blockOf({
      source: "2001:db8::/64",
      rule: "operator",
      evidence: null,
      reason: "\u001b[2J",
    });
    const lines = renderBlockList([blockOf(), operator], TIME_US).split("\n");
    expect(lines).toHaveLength(3);
    expect(new Set(lines.map((line) => line.search(/WHY|Port scan|Blocked by/))).size).toBe(1);
    expect(lines[0]).toMatch(/^SOURCE +RULE +SINCE +EXPIRES IN +WHY$/);
    expect(lines[2]).toContain("never");
    expect(lines.join("")).not.toContain("\u001b");
  });

  it("says so when it is empty", () => {
    expect(renderBlockList([], TIME_US)).toBe("nothing is blocked");
  });
});

describe("unblock", () => {
  it.each([
    ["192.0.2.56", "192.0.2.56"],
    ["192.0.2.0/24", "192.0.2.0/24"],
    ["2001:db8::7", "2001:db8::/64"],
    ["2001:db8::7/128", "2001:db8::7"],
  ])("%s means the source %s", (text, source) => {
    expect(formatPrefix(sourceOf(text, 64))).toBe(source);
  });

  it("text that is no address is refused", () => {
    expect(() => sourceOf("example.com", 64)).toThrow(AddressError);
  });

  it.each([
    [{ hosts: ["a"], missing: [] }, "lifted on 1/1 host in 4 ms"],
    [{ hosts: ["a", "b"], missing: ["c"] }, "lifted on 2/3 hosts in 4 ms"],
    [{ hosts: [], missing: [] }, "lifted on 0/0 hosts in 4 ms"],
  ])("%j reads %s", (lifted, text) => {
    expect(describeLifted({ ...lifted, durationMs: 4 })).toBe(text);
  });
});
