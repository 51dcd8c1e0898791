import { createSynEvent } from "@packetwatch/contracts";
import {
  type AddressWords,
  createPrefix,
  parseAddress,
  parsePrefix,
  prefixContains,
} from "@packetwatch/net";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BlockedSources } from "./blocked-sources.ts";

function attemptOf([s0, s1, s2, s3]: AddressWords, timeUs = 0) {
  return { ...createSynEvent(), s0, s1, s2, s3, timeUs };
}
const attemptFrom = (address: string, timeUs?: number) => attemptOf(parseAddress(address), timeUs);
const FOREVER = Number.POSITIVE_INFINITY;

describe("blocked sources", () => {
  it.each([
    ["192.0.2.56", "192.0.2.56", true],
    ["192.0.2.56", "192.0.2.57", false],
    ["192.0.2.0/24", "192.0.2.255", true],
    ["192.0.2.0/24", "192.0.3.0", false],
    ["255.255.255.255", "255.255.255.255", true],
    ["2001:db8::/64", "2001:db8::ffff:1", true],
    ["2001:db8::/64", "2001:db8:0:1::1", false],
    ["2001:db8::1", "2001:db8::1", true],
    ["ffff:ffff:ffff:ffff::/64", "ffff:ffff:ffff:ffff::1", true],
    ["::/0", "192.0.2.56", false],
  ])("%s covers %s is %s", (source, address, covered) => {
    const blocked = new BlockedSources();
    blocked.block(parsePrefix(source), FOREVER);
    expect(blocked.covers(attemptFrom(address))).toBe(covered);
  });

  it("covers what one of the prefixes contains, after any blocks and unblocks", () => {
    const word = fc.constantFrom(0, 1, 0x80000000, 0xffffffff, 0xffff);
    const ipv6 = fc
      .tuple(word, word, word, word)
      .filter(([a, b, c]) => a !== 0 || b !== 0 || c !== 0xffff);
    const prefix = fc
      .tuple(ipv6, fc.constantFrom(64, 48, 128, 65))
      .map(([words, bits]) => createPrefix(words, bits));
    const step = fc.record({ prefix, isBlock: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), ipv6, (steps, address) => {
        const blocked = new BlockedSources();
        const inForce = new Map<string, ReturnType<typeof createPrefix>>();
        for (const { prefix, isBlock } of steps) {
          const key = JSON.stringify(prefix);
          expect(isBlock || blocked.unblock(prefix) === inForce.has(key)).toBe(true);
          if (isBlock) blocked.block(prefix, FOREVER);
          if (isBlock) inForce.set(key, prefix);
          else inForce.delete(key);
        }
        const covered = [...inForce.values()].some((one) => prefixContains(one, address));
        expect(blocked.covers(attemptOf(address))).toBe(covered);
        expect(blocked.size).toBe(inForce.size);
      }),
    );
  });

  it("a block counts up to its expiry, and a later one in place of it", () => {
    const blocked = new BlockedSources();
    const source = parsePrefix("192.0.2.56");
    blocked.block(source, 100);
    expect(blocked.covers(attemptFrom("192.0.2.56", 99))).toBe(true);
    expect(blocked.covers(attemptFrom("192.0.2.56", 100))).toBe(false);
    blocked.block(source, 200);
    expect(blocked.takeExpired(100)).toEqual([]);
    expect(blocked.takeExpired(200)).toEqual([{ source, expiresUs: 200 }]);
    expect(blocked.size).toBe(0);
  });

  it("holds no more than its capacity: what was blocked first is forgotten first", () => {
    const blocked = new BlockedSources(3);
    for (const last of [1, 2, 1, 3, 4]) blocked.block(parsePrefix(`192.0.2.${last}`), FOREVER);
    expect(blocked.size).toBe(3);
    const covered = [1, 2, 3, 4].map((last) => blocked.covers(attemptFrom(`192.0.2.${last}`)));
    expect(covered).toEqual([true, false, true, true]);
  });
});
