import {
  type AddressWords,
  createPrefix,
  formatPrefix,
  parsePrefix,
  prefixContains,
} from "@packetwatch/net";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AllowList } from "./allow-list.ts";

const prefixes = (...texts: readonly string[]) => texts.map((text) => parsePrefix(text));

describe("what is allowed on a host", () => {
  it("has each prefix once, its own first, with all reasons", () => {
    const list = new AllowList(
      [
        { prefix: parsePrefix("192.0.2.1"), reason: "gateway" },
        { prefix: parsePrefix("192.0.2.1"), reason: "resolver" },
        { prefix: parsePrefix("192.0.2.1"), reason: "resolver" },
        { prefix: parsePrefix("2001:db8::/32"), reason: "variable" },
      ],
      prefixes("198.51.100.0/24", "192.0.2.1"),
    );
    const texts = ["192.0.2.1", "2001:db8::/32", "198.51.100.0/24"];
    expect(list.prefixes.map(formatPrefix)).toEqual(texts);
    expect(list.hostAllowed).toEqual([
      { prefix: "192.0.2.1", reasons: ["gateway", "resolver"] },
      { prefix: "2001:db8::/32", reasons: ["variable"] },
    ]);
  });

  it.each([
    ["192.0.2.1", true],
    ["192.0.2.2", false],
    ["198.51.100.200", true],
    ["2001:db8:0:7::/64", true],
    ["fd00::/64", true],
    ["fd00:0:0:1::/64", false],
  ])("touches a block of %s: %s", (block, isTouched) => {
    const operators = prefixes("192.0.2.1", "198.51.100.0/24", "2001:db8::/32", "fd00::7");
    expect(new AllowList([], operators).touches(parsePrefix(block))).toBe(isTouched);
  });

  it("touches what holds, or is held by, one of the prefixes", () => {
    const word = fc.constantFrom(0, 1, 0xffff, 0x20010db8);
    const words: fc.Arbitrary<AddressWords> = fc.tuple(word, word, word, word);
    const prefix = fc
      .tuple(words, fc.constantFrom(128, 127, 96, 64, 32))
      .map(([address, bits]) => createPrefix(address, bits));
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 8 }), prefix, (operators, block) => {
        const isTouched = operators.some(
          (one) => prefixContains(one, block.words) || prefixContains(block, one.words),
        );
        // Only a wide prefix can hold another, and only a wide block.
        expect(new AllowList([], operators).touches(block)).toBe(isTouched);
      }),
    );
  });
});
