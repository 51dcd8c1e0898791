import { AddressError, formatPrefix } from "@packetwatch/net";
import { describe, expect, it } from "vitest";
import { blockOf, TIME_US } from "../testing/payloads.ts";
import { type BlockedRow, blockedRows, sortBlocked } from "./blocked-row.ts";
import { describeRemaining, jsonBlocked, renderBlocked } from "./blocked-table.ts";
import { isWithin, MAX_SOURCES, sourceOf, sourcesOf } from "./sources.ts";

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

  const heldOn = (host: string, dropped: number, source = "192.0.2.56") => ({
    host,
    interfaces: ["eth0"],
    blocks: new Map([
      [source, { source, interfaces: 1, dropped, firstDropUs: TIME_US, allowed: false }],
    ]),
  });

  it("has aligned columns, and no control characters of others", () => {
    const operator = blockOf({
      source: "2001:db8::/64",
      rule: "operator",
      evidence: null,
      reason: "\u001b[2J",
    });
    const rows = blockedRows([blockOf(), operator], { answers: [heldOn("host-a", 12)] });
    const lines = renderBlocked(rows, { nowUs: TIME_US, columns: "all" }).split("\n");
    expect(lines).toHaveLength(3);
    expect(new Set(lines.map((line) => line.search(/WHY|Port scan|Blocked by/))).size).toBe(1);
    expect(lines[0]).toMatch(/^SOURCE +RULE +SINCE +EXPIRES IN +HOSTS +DROPPED +WHY$/);
    expect(lines[1]).toContain("1/1    12 (host-a 12)");
    expect(lines[2]).toContain("never");
    expect(lines.join("")).not.toContain("\u001b");
  });

  it("says so when it is empty", () => {
    expect(renderBlocked([], { nowUs: TIME_US, columns: "all" })).toBe("nothing is blocked");
  });

  it("sums the drops of all hosts, and names those that dropped most", () => {
    const drops = [3, 40, 0, 7, 1].map((dropped, index) => heldOn(`host-${index}`, dropped));
    const [row] = blockedRows([blockOf()], { answers: drops }) as [BlockedRow];
    expect(row.dropped).toBe(51);
    const text = renderBlocked([row], { nowUs: TIME_US, columns: "all" });
    expect(text).toContain("51 (host-1 40, host-3 7, host-0 3, 1 more)");
  });

  it("tells a host that spares the source, and one that has not got it, from the others", () => {
    const { blocks, ...rest } = heldOn("a", 0);
    const spared = {
      ...rest,
      blocks: new Map([...blocks].map(([k, v]) => [k, { ...v, allowed: true }])),
    };
    const behind = { ...heldOn("b", 0), interfaces: ["eth0", "eth1"] };
    const unwatched = { ...heldOn("c", 0), interfaces: [] };
    const answers = [spared, behind, unwatched, heldOn("d", 0)];
    const [row] = blockedRows([blockOf()], { answers }) as [BlockedRow];
    expect(row.hosts.map(({ state }) => state)).toEqual([
      "spared",
      "waiting",
      "waiting",
      "applied",
    ]);
    expect(renderBlocked([row], { nowUs: TIME_US, columns: "all" })).toContain("1/4 (1 spared)");
  });

  it("tells hosts in a dry run from those that drop", () => {
    const answers = [heldOn("a", 3), heldOn("b", 0), { ...heldOn("c", 0), interfaces: [] }];
    const [row] = blockedRows([blockOf()], { answers, dry: ["a", "c"] }) as [BlockedRow];
    expect(row.hosts.map(({ state }) => state)).toEqual(["dry_run", "applied", "waiting"]);
    const text = renderBlocked([row], { nowUs: TIME_US, columns: "all" });
    expect(text).toContain("1/3 (1 in a dry run)");
    expect(JSON.parse(jsonBlocked(row, []))).toMatchObject({
      hosts: [{ host: "a", state: "dry_run", dropped: 3 }, {}, {}],
    });
  });

  it("as JSON has what tail's blocks have, and the hosts", () => {
    const [row] = blockedRows([blockOf()], { answers: [heldOn("host-a", 12)] }) as [BlockedRow];
    expect(JSON.parse(jsonBlocked(row, ["host-c"]))).toMatchObject({
      kind: "block",
      source: "192.0.2.56",
      expires: null,
      dropped: 12,
      hosts: [
        { host: "host-a", state: "applied", dropped: 12, firstDrop: "2021-04-28T13:28:05.123Z" },
      ],
      unanswered: ["host-c"],
    });
  });

  it("has an order that doesn't depend on how it came", () => {
    const block = (source: string, issuedUs: number, expiresUs: number | null = null) =>
      blockOf({ source, issuedUs, expiresUs });
    const blocks = [
      block("192.0.2.10", 2),
      block("192.0.2.9", 2, 50),
      block("2001:db8::/64", 1, 60),
      block("192.0.2.2", 3),
    ];
    const answers = [heldOn("a", 5, "192.0.2.10"), heldOn("b", 9, "192.0.2.2")];
    const rows = blockedRows(blocks, { answers });
    const order = (by: Parameters<typeof sortBlocked>[1]) => {
      const sources = sortBlocked(rows, by).map(({ block }) => block.source);
      expect(sortBlocked(rows.toReversed(), by).map(({ block }) => block.source)).toEqual(sources);
      return sources;
    };
    expect(order("since")).toEqual(["2001:db8::/64", "192.0.2.9", "192.0.2.10", "192.0.2.2"]);
    expect(order("source")).toEqual(["192.0.2.2", "192.0.2.9", "192.0.2.10", "2001:db8::/64"]);
    expect(order("expires")).toEqual(["192.0.2.9", "2001:db8::/64", "192.0.2.2", "192.0.2.10"]);
    expect(order("dropped")).toEqual(["192.0.2.2", "192.0.2.10", "192.0.2.9", "2001:db8::/64"]);
  });
});

describe("what an argument stands for", () => {
  it.each([
    ["192.0.2.56", "192.0.2.56"],
    ["192.0.2.0/24", "192.0.2.0/24"],
    ["2001:db8::7", "2001:db8::/64"],
    ["2001:db8::7/128", "2001:db8::7"],
  ])("%s means the source %s", (text, source) => {
    expect(formatPrefix(sourceOf(text, 64))).toBe(source);
  });

  it("text that is no address, or a slip, is refused", () => {
    expect(() => sourceOf("example.com", 64)).toThrow(AddressError);
    expect(() => sourceOf("10.1.2.3/16", 64)).toThrow("name that, or 10.1.2.3 alone");
  });

  it.each([
    ["192.0.2.254/31", ["192.0.2.254", "192.0.2.255"]],
    ["192.0.2.9/32", ["192.0.2.9"]],
    ["2001:db8::7", ["2001:db8::/64"]],
    ["2001:db8:0:4::/63", ["2001:db8:0:4::/64", "2001:db8:0:5::/64"]],
  ])("blocking %s is blocking %j", (text, sources) => {
    expect(sourcesOf(text, 64)).toEqual(sources);
  });

  it("the largest CIDRs that are taken have as many sources as the limit says", () => {
    expect(new Set(sourcesOf("10.0.0.0/22", 64)).size).toBe(MAX_SOURCES);
    expect(sourcesOf("10.0.0.0/22", 64).at(-1)).toBe("10.0.3.255");
    expect(sourcesOf("2001:db8::/54", 64).at(-1)).toBe("2001:db8:0:3ff::/64");
    expect(sourcesOf("2001:db8::/118", 128)).toHaveLength(MAX_SOURCES);
  });

  it.each([
    ["10.0.0.0/21", "the largest CIDR is a /22"],
    ["0.0.0.0/0", "the largest CIDR is a /22"],
    ["2001:db8::/53", "the largest CIDR is a /54"],
    ["::/0", "the largest CIDR is a /54"],
    ["10.1.2.3/24", "name that, or 10.1.2.3 alone"],
    ["2001:db8::7/128", "name 2001:db8::/64"],
  ])("%s is refused with the way out", (text, wayOut) => {
    expect(() => sourcesOf(text, 64)).toThrow(wayOut);
  });

  it.each([
    ["192.0.2.0/24", "192.0.2.9", true],
    ["192.0.2.0/24", "192.0.3.9", false],
    ["2001:db8::/32", "2001:db8:1::/64", true],
    ["2001:db8::/65", "2001:db8::/64", false],
    ["0.0.0.0/0", "2001:db8::/64", false],
    ["0.0.0.0/0", "192.0.2.9", true],
    ["::/0", "2001:db8::/64", true],
    ["::/0", "192.0.2.9", false],
  ])("in %s, %s: %s", (cidr, source, isIn) => {
    expect(isWithin(sourceOf(cidr, 64), source)).toBe(isIn);
  });
});
