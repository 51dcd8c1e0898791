import { type AddressWords, parseAddress, parsePrefix, sourceMaskWords } from "@packetwatch/net";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  ALLOW_KEY_BYTES,
  BLOCK_BYTES,
  COUNTERS_BYTES,
  countersLayout,
  LIVE_BYTES,
  readAllowKey,
  readBlock,
  readCounters,
  readSourceKey,
  SETTINGS_BYTES,
  SOURCE_KEY_BYTES,
  SYN_RECORD_BYTES,
  synRecordLayout,
  unparsedReasons,
  writeAllowKey,
  writeBlock,
  isEnforcing,
  liveLayout,
  readLive,
  writeLive,
  writeSettings,
  writeSourceKey,
} from "./kernel.v1.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const joined = (...parts: readonly string[]) => parts.join("");
const word = fc.integer({ min: 0, max: 0xffffffff });
const words: fc.Arbitrary<AddressWords> = fc.tuple(word, word, word, word);
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

/** The bytes inside a larger buffer, as a map's batch read hands them out. */
function inside(bytes: Uint8Array): Uint8Array {
  return new Uint8Array([...new Uint8Array(8).fill(0xaa), ...bytes, 0xaa]).subarray(8, -1);
}

describe("map entries survive writing and reading", () => {
  it("a block", () => {
    fc.assert(
      fc.property(fc.record({ expiresNs: u64, dropped: u64, firstDropNs: u64 }), (block) => {
        expect(writeBlock(block)).toHaveLength(BLOCK_BYTES);
        expect(readBlock(inside(writeBlock(block)))).toEqual(block);
      }),
    );
  });

  it("a source key", () => {
    fc.assert(
      fc.property(words, (source) => {
        expect(writeSourceKey(source)).toHaveLength(SOURCE_KEY_BYTES);
        expect(readSourceKey(inside(writeSourceKey(source)))).toEqual(source);
      }),
    );
  });

  it("an allowed prefix", () => {
    fc.assert(
      fc.property(words, fc.nat({ max: 128 }), (address, bits) => {
        const prefix = { words: address, bits };
        expect(writeAllowKey(prefix)).toHaveLength(ALLOW_KEY_BYTES);
        expect(readAllowKey(inside(writeAllowKey(prefix)))).toEqual(prefix);
      }),
    );
  });
});

describe("bytes are those of bpf/packetwatch.h", () => {
  it("a block holds little-endian numbers", () => {
    const block = { expiresNs: 0x0102030405060708n, dropped: 9n, firstDropNs: 2n ** 63n };
    expect(hex(writeBlock(block))).toBe(
      joined("0807060504030201", "0900000000000000", "0000000000000080"),
    );
  });

  it.each([
    ["192.0.2.1", "00000000000000000000ffffc0000201"],
    ["2001:db8::1", "20010db8000000000000000000000001"],
  ])("the key of %s is in network byte order", (address, bytes) => {
    expect(hex(writeSourceKey(parseAddress(address)))).toBe(bytes);
  });

  it.each([
    ["192.0.2.0/24", joined("78000000", "00000000000000000000ffffc0000200")],
    ["::/0", joined("00000000", "00000000000000000000000000000000")],
    ["2001:db8::1", joined("80000000", "20010db8000000000000000000000001")],
  ])("the allow key of %s begins with its length, as the LPM trie demands", (prefix, bytes) => {
    expect(hex(writeAllowKey(parsePrefix(prefix)))).toBe(bytes);
  });

  it("settings hold the mask in network byte order", () => {
    const ipv6SourceMask = sourceMaskWords(56);
    const on = writeSettings({ ipv6SourceMask, listenerLookup: "on" });
    expect(hex(on)).toBe(joined("ffffffffffffff00", "0000000000000000", "01", "00000000000000"));
    expect(on).toHaveLength(SETTINGS_BYTES);
    expect(writeSettings({ ipv6SourceMask, listenerLookup: "off" })[16]).toBe(0);
  });

  it("enforcement is one number", () => {
    const nothingSet = "00".repeat(LIVE_BYTES - 4);
    expect(hex(writeLive({ enforce: "on" }))).toBe(`01000000${nothingSet}`);
    expect(hex(writeLive({ enforce: "off" }))).toBe(`00000000${nothingSet}`);
    const trial = { enforce: "off", set: "on", setAfter: "off", untilNs: 0x0102n } as const;
    const written = "0000000001000000020000000000000002010000000000000000000000000000";
    expect(hex(writeLive(trial))).toBe(written);
    expect(readLive(writeLive(trial))).toEqual({ ...trial, allowChanges: 0, listUs: 0 });
    expect(writeLive({ enforce: "on" })).toHaveLength(LIVE_BYTES);
  });

  it("changes of the allow list are a number of 32 bits that begins anew", () => {
    const last = { ...readLive(writeLive({ enforce: "on" })), allowChanges: 0xffff_ffff };
    const written = `010000000000000000000000ffffffff${"00".repeat(16)}`;
    expect(hex(writeLive(last))).toBe(written);
    expect(readLive(writeLive(last))).toEqual(last);
    const next = writeLive({ ...last, allowChanges: last.allowChanges + 1 });
    expect(readLive(next).allowChanges).toBe(0);
  });

  it("the time of the list lies behind the rest", () => {
    const listUs = 1_800_000_000_000_000;
    const written = writeLive({ enforce: "off", listUs });
    expect(hex(written)).toBe(`${"00".repeat(24)}0080982817650600`);
    expect(readLive(written).listUs).toBe(listUs);
  });

  it.each([3, 0xffff_ffff])(
    "a setting of %d, which nobody writes, is off as in the kernel",
    (code) => {
      const bytes = writeLive({ enforce: "on" });
      const view = new DataView(bytes.buffer);
      view.setUint32(liveLayout.set, code, true);
      expect(readLive(bytes)).toMatchObject({ enforce: "on", set: "off" });
      expect(isEnforcing(readLive(bytes), 5n)).toBe(false);
      view.setUint32(liveLayout.set, 0, true);
      view.setUint32(liveLayout.set_after, code, true);
      view.setBigUint64(liveLayout.until_ns, 5n, true);
      expect(isEnforcing(readLive(bytes), 4n)).toBe(true);
      expect(isEnforcing(readLive(bytes), 5n)).toBe(false);
    },
  );

  it("a record has no gap", () => {
    const offsets = Object.values(synRecordLayout);
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    expect(synRecordLayout.reserved + 2).toBe(SYN_RECORD_BYTES);
  });
});

describe("counters", () => {
  /** A CPU's slot in which the counter at offset 8n is `first + n`. */
  const slot = (first: bigint, slotBytes: number) => {
    const view = new DataView(new ArrayBuffer(slotBytes));
    for (let offset = 0; offset < slotBytes; offset += 8) {
      view.setBigUint64(offset, first + BigInt(offset / 8), true);
    }
    return new Uint8Array(view.buffer);
  };

  it.each([COUNTERS_BYTES, COUNTERS_BYTES + 8])(
    "are summed over all CPUs, slots of %d bytes",
    (slotBytes) => {
      const slots = inside(
        new Uint8Array([...slot(1000n, slotBytes), ...slot(2n ** 32n, slotBytes)]),
      );
      const start = 1000 + 2 ** 32;
      expect(readCounters(slots, slotBytes)).toEqual({
        synIpv4: start,
        synIpv6: start + 2,
        reported: start + 4,
        ringFull: start + 6,
        dropped: start + 8,
        wouldDrop: start + 10,
        allowed: start + 12,
        spared: start + 14,
        flagsHidden: start + 16,
        thinned: start + 18,
        unparsed: {
          ethernet: start + 20,
          vlan: start + 22,
          ipv4: start + 24,
          ipv6: start + 26,
          ipv6_extension: start + 28,
          tcp: start + 30,
        },
      });
    },
  );

  it("lie side by side", () => {
    expect(Object.values(countersLayout)).toEqual([0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80]);
    expect(COUNTERS_BYTES).toBe(80 + 8 * unparsedReasons.length);
  });
});
