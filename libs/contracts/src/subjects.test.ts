import { parsePrefix, SHARD_COUNT } from "@packetwatch/net";
import { describe, expect, it } from "vitest";
import {
  alertSubject,
  appliedSubject,
  parseSynSubject,
  subjects,
  subjectToken,
  synSubject,
  telemetrySubject,
  verdictSubject,
} from "./subjects.ts";

describe("verdict subjects have a token for each octet or group", () => {
  it.each([
    ["203.0.113.9", "ip4.203.0.113.9"],
    ["0.0.0.0", "ip4.0.0.0.0"],
    ["255.255.255.255", "ip4.255.255.255.255"],
    ["203.0.113.0/24", "ip4.203.0.113.0.s24"],
    ["0.0.0.0/0", "ip4.0.0.0.0.s0"],
    ["2001:db8:0:1::/64", "ip6.2001.db8.0.1"],
    ["::/64", "ip6.0.0.0.0"],
    ["ffff:ffff:ffff:ffff::/64", "ip6.ffff.ffff.ffff.ffff"],
    ["2001:db8:1::/48", "ip6.2001.db8.1.s48"],
    ["2001:db8:1:ff00::/56", "ip6.2001.db8.1.ff00.s56"],
    ["2001:db8:0:10::/60", "ip6.2001.db8.0.10.s60"],
    ["2001:db8::/49", "ip6.2001.db8.0.0.s49"],
    ["2001:db8::8000:0:0:0/65", "ip6.2001.db8.0.0.8000.s65"],
    ["2001::/16", "ip6.2001.s16"],
    ["::/0", "ip6.0.s0"],
    ["2001:db8::1", "ip6.2001.db8.0.0.0.0.0.1.s128"],
  ])("%s: %s", (source, tokens) => {
    expect(verdictSubject(parsePrefix(source))).toBe(`packetwatch.v1.verdict.${tokens}`);
  });

  it("prefixes of any length of one address have subjects of their own", () => {
    const lengths = Array.from({ length: 129 }, (_, bits) => bits);
    const all = new Set(lengths.map((bits) => verdictSubject(parsePrefix(`2001:db8::/${bits}`))));
    expect(all.size).toBe(129);
  });
});

it("an alert's subject begins with its rule", () => {
  expect(alertSubject("horizontal", parsePrefix("203.0.113.9"))).toBe(
    "packetwatch.v1.alert.horizontal.ip4.203.0.113.9",
  );
});

describe("free text becomes one token", () => {
  it.each([
    ["web-1_A", "web-1_A"],
    ["web-1.example.net", "web-1_example_net"],
    ["*", "_"],
    [">", "_"],
    ["a.>", "a__"],
    ["$SYS.REQ", "_SYS_REQ"],
    ["two words\r\nPUB x 0", "two_words__PUB_x_0"],
    ["\0", "_"],
    ["é", "_"],
    ["😀", "__"],
    ["", "_"],
    [".", "_"],
  ])("%j becomes %s", (text, token) => {
    expect(subjectToken(text)).toBe(token);
  });

  it("a token has at most 255 characters", () => {
    expect(subjectToken("x".repeat(10_000))).toBe("x".repeat(255));
  });

  it("hosts, services and instances can't add tokens", () => {
    expect(appliedSubject("a.b")).toBe("packetwatch.v1.applied.a_b");
    expect(telemetrySubject("cap.ture", "*")).toBe("packetwatch.v1.telemetry.cap_ture._");
  });
});

describe("SYN subjects", () => {
  it("every shard has one, which is read back", () => {
    for (let shard = 0; shard < SHARD_COUNT; shard++) {
      expect(synSubject(shard)).toBe(`packetwatch.v1.syn.${shard}`);
      expect(parseSynSubject(synSubject(shard))).toBe(shard);
    }
  });

  it.each([
    "packetwatch.v1.syn.64",
    "packetwatch.v1.syn.99",
    "packetwatch.v1.syn.100",
    "packetwatch.v1.syn.07",
    "packetwatch.v1.syn.-1",
    "packetwatch.v1.syn.1e1",
    "packetwatch.v1.syn.",
    "packetwatch.v1.syn.1\n",
    "packetwatch.v1.syn.1.2",
    "packetwatch.v2.syn.1",
    "packetwatchXv1.syn.1",
    "x.packetwatch.v1.syn.1",
    "",
  ])("%j is none", (subject) => {
    expect(parseSynSubject(subject)).toBeUndefined();
  });
});

it("the wildcards are those of the published contract", () => {
  expect(subjects).toEqual({
    everySyn: "packetwatch.v1.syn.*",
    everyVerdict: "packetwatch.v1.verdict.>",
    everyAlert: "packetwatch.v1.alert.>",
    everyApplied: "packetwatch.v1.applied.*",
    breaker: "packetwatch.v1.breaker",
    everyTelemetry: "packetwatch.v1.telemetry.*.*",
    everyHostBlocks: "packetwatch.v1.host.*.blocks",
  });
});
