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
    ["fd00::/64", false],
    ["2001::/16", false],
  ])("covers a block of %s: %s", (block, isCovered) => {
    const operators = prefixes("192.0.2.1", "198.51.100.0/24", "2001:db8::/32", "fd00::7");
    expect(new AllowList([], operators).covers(parsePrefix(block))).toBe(isCovered);
  });

  it("covers what one of the prefixes holds whole", () => {
    const word = fc.constantFrom(0, 1, 0xffff, 0x20010db8);
    const words: fc.Arbitrary<AddressWords> = fc.tuple(word, word, word, word);
    const prefix = fc
      .tuple(words, fc.constantFrom(128, 127, 96, 64, 32))
      .map(([address, bits]) => createPrefix(address, bits));
    fc.assert(
      fc.property(fc.array(prefix, { maxLength: 8 }), prefix, (operators, block) => {
        const isCovered = operators.some(
          (one) => one.bits <= block.bits && prefixContains(one, block.words),
        );
        expect(new AllowList([], operators).covers(block)).toBe(isCovered);
      }),
    );
  });
});
