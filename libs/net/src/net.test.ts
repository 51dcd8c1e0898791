import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  AddressError,
  type AddressWords,
  formatAddress,
  formatPrefix,
  formatSourceKey,
  parseAddress,
  parseAllowPrefix,
  parsePrefix,
  prefixContains,
  SHARD_COUNT,
  shardOf,
  sourceKey,
} from "./index.ts";

const word = fc.integer({ min: 0, max: 0xffffffff });
const anyAddress: fc.Arbitrary<AddressWords> = fc.oneof(
  fc.tuple(word, word, word, word),
  word.map((last): AddressWords => [0, 0, 0xffff, last]),
  fc.tuple(fc.constant(0), fc.constantFrom(0, 1), fc.constant(0), word),
);

describe("addresses", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ])("%s is written %s", (text, canonical) => {
    expect(formatAddress(parseAddress(text))).toBe(canonical);
  });

  it("every address survives formatting and parsing", () => {
    fc.assert(
      fc.property(anyAddress, (words) => {
        expect(parseAddress(formatAddress(words))).toEqual(words);
      }),
    );
  });

  it.each([
    "",
    "192.0.2",
    "192.0.2.256",
    "01.2.3.4",
    "fe80::1%eth0",
    "::g",
    "1.2.3.4/8",
    " 1.2.3.4",
  ])("%j is refused", (text) => {
    expect(() => parseAddress(text)).toThrow(AddressError);
  });

  it("a refusal shows no more than 64 characters of the input", () => {
    expect(() => parseAddress("x".repeat(10_000))).toThrow(/^.{60,160}$/);
    expect(new AddressError("x".repeat(10_000), "y").input).toBe(`${"x".repeat(64)}...`);
  });
});

describe("prefixes", () => {
  it.each([
    ["192.0.2.77/24", "192.0.2.0/24"],
    ["192.0.2.77", "192.0.2.77"],
    ["192.0.2.77/32", "192.0.2.77"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["2001:db8::1/32", "2001:db8::/32"],
    ["::/0", "::/0"],
    ["::ffff:192.0.2.77/120", "192.0.2.0/24"],
    ["::ffff:192.0.2.77/128", "192.0.2.77"],
    ["::ffff:0:0/96", "0.0.0.0/0"],
    ["::ffff:192.0.2.77/24", "::/24"],
  ])("%s is written %s", (text, canonical) => {
    expect(formatPrefix(parsePrefix(text))).toBe(canonical);
  });

  it.each(["192.0.2.0/33", "::/129", "192.0.2.0/", "192.0.2.0/-1", "1.2.3.4/8/8", "1.2.3.4/1e1"])(
    "%j is refused",
    (text) => {
      expect(() => parsePrefix(text)).toThrow(AddressError);
    },
  );

  it.each([
    ["192.0.2.0/24", "192.0.2.255", true],
    ["192.0.2.0/24", "192.0.3.0", false],
    ["0.0.0.0/0", "2001:db8::1", false],
    ["::/0", "192.0.2.1", true],
    ["2001:db8::/33", "2001:db8:7fff::1", true],
    ["2001:db8::/33", "2001:db8:8000::1", false],
  ])("%s contains %s: %s", (prefix, address, contained) => {
    expect(prefixContains(parsePrefix(prefix), parseAddress(address))).toBe(contained);
  });
});

describe("source keys", () => {
  it.each([
    ["192.0.2.1", 64, "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64"],
    ["2001:db8:1:2:3:4:5:6", 48, "2001:db8:1::/48"],
    ["2001:db8:1:2:3:4:5:6", 128, "2001:db8:1:2:3:4:5:6"],
  ])("%s by /%d is judged as %s", (source, bits, key) => {
    expect(formatSourceKey(sourceKey(parseAddress(source), bits), bits)).toBe(key);
  });

  // The shard is part of the published contract: these may never change.
  it.each([
    ["192.0.2.1", 45],
    ["10.0.0.1", 17],
    ["2001:db8:1:2::", 26],
    ["::", 2],
  ])("the shard of %s is for ever %d", (address, shard) => {
    expect(shardOf(...parseAddress(address))).toBe(shard);
  });

  it("neighbouring addresses spread over all shards evenly", () => {
    const load = Array.from({ length: SHARD_COUNT }, () => 0);
    for (let host = 0; host < 65_536; host++) {
      const shard = shardOf(0, 0, 0xffff, 0x0a000000 + host);
      load[shard] = (load[shard] ?? 0) + 1;
    }
    expect(Math.min(...load)).toBeGreaterThan(850);
    expect(Math.max(...load)).toBeLessThan(1200);
  });
});

describe("a prefix for an allow list", () => {
  it.each([
    "192.0.2.0/24",
    "0.0.0.0/0",
    "2000::/3",
    "2001:db8::/32",
    "::1",
    "::/81",
    "::/96",
    "fe80::/10",
  ])("%s is one", (text) => {
    expect(formatPrefix(parseAllowPrefix(text))).toBe(text);
  });

  it.each(["::/0", "::/1", "::/80", "::ffff:0:0/96"])(
    "%s would hold IPv4 too, and is refused with the way out",
    (text) => {
      expect(() => parseAllowPrefix(text)).toThrow("2000::/3");
    },
  );
});
