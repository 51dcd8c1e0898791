import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ContractError } from "./contract-error.ts";
import {
  encodeSynRecordingEntry,
  encodeSynRecordingHeader,
  MAX_RECORDED_BATCH_BYTES,
  type SynRecordingEntry,
  SynRecordingReader,
} from "./syn-recording.v1.ts";
import { refusal } from "./testing/refusal.ts";

const entry: SynRecordingEntry = {
  shard: 45,
  storedUs: 1_619_623_685_000_123,
  batch: Uint8Array.from([1, 4, 0, 0]),
};
const HEADER_BYTES = encodeSynRecordingHeader().length;
const ENTRY_BYTES = encodeSynRecordingEntry(entry).length;

function recordingOf(entries: readonly SynRecordingEntry[]): Uint8Array {
  return joined([encodeSynRecordingHeader(), ...entries.map(encodeSynRecordingEntry)]);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** Everything that is read from these pieces. The batches are copied: they are views. */
function readPieces(pieces: readonly Uint8Array[]) {
  const entries: SynRecordingEntry[] = [];
  const malformed: string[] = [];
  const reader = new SynRecordingReader({
    onEntry: (read) => entries.push({ ...read, batch: read.batch.slice() }),
    onMalformed: ({ code }) => malformed.push(code),
  });
  for (const piece of pieces) reader.push(piece);
  return { entries, malformed, end: reader.end() };
}

const read = (bytes: Uint8Array) => readPieces([bytes]);

function cutAt(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b)];
  return [...edges, bytes.length].slice(1).map((end, index) => bytes.slice(edges[index], end));
}

function changed(bytes: Uint8Array, offset: number, ...values: readonly number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, offset);
  return copy;
}

const entries = fc.array(
  fc.record({
    shard: fc.nat({ max: 63 }),
    storedUs: fc.maxSafeNat(),
    batch: fc.uint8Array({ minLength: 1, maxLength: 300 }),
  }),
  { maxLength: 20 },
);

describe("a recording gives back what was written", () => {
  it("every entry, in order, however the bytes are cut into pieces", () => {
    fc.assert(
      fc.property(entries, fc.array(fc.nat(), { maxLength: 30 }), (list, cuts) => {
        const pieces = cutAt(recordingOf(list), cuts);
        const whole = { entries: list, malformed: [], end: { kind: "whole", unreadBytes: 0 } };
        expect(readPieces(pieces)).toEqual(whole);
      }),
      { numRuns: 500 },
    );
  });

  it("in pieces of one byte", () => {
    const bytes = recordingOf([entry, entry]);
    expect(readPieces([...bytes].map((byte) => Uint8Array.of(byte))).entries).toEqual([
      entry,
      entry,
    ]);
  });

  it("a recording without entries is a recording", () => {
    expect(read(recordingOf([])).end).toEqual({ kind: "whole", unreadBytes: 0 });
  });

  it.each([0, 1, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER])(
    "a stored time of %d microseconds is kept",
    (storedUs) => {
      expect(read(recordingOf([{ ...entry, storedUs }])).entries[0]?.storedUs).toBe(storedUs);
    },
  );

  it("the largest batch is kept", () => {
    const large = { ...entry, batch: new Uint8Array(MAX_RECORDED_BATCH_BYTES).fill(7) };
    const kept = read(recordingOf([large, entry])).entries;
    expect(kept.map(({ batch }) => batch.length)).toEqual([MAX_RECORDED_BATCH_BYTES, 4]);
    expect(Buffer.compare(kept[0]?.batch ?? new Uint8Array(0), large.batch)).toBe(0);
  });
});

describe("what can't be written is a programmer's error", () => {
  it.each<[string, Partial<SynRecordingEntry>]>([
    ["an empty batch", { batch: new Uint8Array(0) }],
    ["a batch over the limit", { batch: new Uint8Array(MAX_RECORDED_BATCH_BYTES + 1) }],
    ["shard 64", { shard: 64 }],
    ["shard -1", { shard: -1 }],
    ["half a shard", { shard: 0.5 }],
    ["a negative time", { storedUs: -1 }],
    ["a time past all safe integers", { storedUs: 2 ** 53 }],
  ])("%s", (_name, members) => {
    expect(() => encodeSynRecordingEntry({ ...entry, ...members })).toThrow(/recorded|no shard/);
  });
});

// Published bytes: they are read for ever, and a writer that gives others is another version.
const GOLDEN =
  "505753594e5245430100000000000000" +
  "040000002d000000bb0b6a060ac10500" +
  "01040000" +
  "0200000000000000ffffffffffff1f00" +
  "0203";

describe("version 1 is frozen", () => {
  it("golden bytes are written and read", () => {
    const last = { shard: 0, storedUs: Number.MAX_SAFE_INTEGER, batch: Uint8Array.of(2, 3) };
    expect(Buffer.from(recordingOf([entry, last])).toString("hex")).toBe(GOLDEN);
    expect(read(new Uint8Array(Buffer.from(GOLDEN, "hex"))).entries).toEqual([entry, last]);
  });
});

describe("a recording that was cut off", () => {
  const bytes = recordingOf([entry, entry]);

  it("is read up to its last whole entry, wherever it was cut", () => {
    for (let length = HEADER_BYTES; length < bytes.length; length++) {
      const whole = Math.floor((length - HEADER_BYTES) / ENTRY_BYTES);
      const unreadBytes = (length - HEADER_BYTES) % ENTRY_BYTES;
      expect(read(bytes.subarray(0, length))).toEqual({
        entries: Array.from({ length: whole }, () => entry),
        malformed: [],
        end: { kind: unreadBytes === 0 ? "whole" : "truncated", unreadBytes },
      });
    }
  });

  it("is refused where not even its header is whole", () => {
    for (let length = 0; length < HEADER_BYTES; length++) {
      expect(refusal(() => read(bytes.subarray(0, length))).code).toBe("too_short");
    }
  });

  it("is damaged where zeros follow, which is what a crash can leave", () => {
    const { entries: kept, end } = readPieces([bytes, new Uint8Array(4096), new Uint8Array(10)]);
    expect({ kept, end }).toEqual({
      kept: [entry, entry],
      end: { kind: "damaged", unreadBytes: 4106 },
    });
  });
});

describe("what is no recording", () => {
  const bytes = recordingOf([entry, entry]);

  it.each([
    ["another magic", changed(bytes, 0, 0x51), "bad_value"],
    ["a magic that ends wrong", changed(bytes, 7, 0x51), "bad_value"],
    ["one byte of something else", Uint8Array.of(0x7b), "bad_value"],
    ["version 0", changed(bytes, 8, 0), "bad_version"],
    ["version 2", changed(bytes, 8, 2), "bad_version"],
    ["nothing", new Uint8Array(0), "too_short"],
  ])("%s is refused", (_name, wrong, code) => {
    const error = refusal(() => read(wrong));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^syn recording v1: /);
  });

  it.each([
    ["shard 64", 4, [64]],
    ["a time past all safe integers", 14, [0x20, 0]],
  ])("an entry of %s is counted, and the next one is read", (_name, offset, values) => {
    const {
      entries: kept,
      malformed,
      end,
    } = read(changed(bytes, HEADER_BYTES + offset, ...values));
    expect({ kept, malformed, end }).toEqual({
      kept: [entry],
      malformed: ["bad_value"],
      end: { kind: "whole", unreadBytes: 0 },
    });
  });

  it.each([
    ["0", [0, 0, 0, 0]],
    ["one byte more than the largest", [1, 0, 16, 0]],
    ["4 GiB", [255, 255, 255, 255]],
  ])("nothing is looked for behind an entry of length %s", (_name, length) => {
    const wrong = changed(bytes, HEADER_BYTES + ENTRY_BYTES, ...length);
    expect(read(wrong)).toEqual({
      entries: [entry],
      malformed: [],
      end: { kind: "damaged", unreadBytes: ENTRY_BYTES },
    });
  });

  it("reserved bytes are not looked at", () => {
    const wrong = changed(changed(bytes, 9, 1, 2, 3, 4, 5, 6, 7), HEADER_BYTES + 5, 9, 9, 9);
    expect(read(wrong)).toEqual(read(bytes));
  });

  it("any bytes changed or cut are refused with a ContractError, or account for every byte", () => {
    const outcome = (pieces: readonly Uint8Array[]) => {
      try {
        return readPieces(pieces);
      } catch (error) {
        if (error instanceof ContractError) return error.code;
        throw error;
      }
    };
    const change = fc.record({ offset: fc.nat(), value: fc.nat({ max: 255 }) });
    fc.assert(
      fc.property(
        entries,
        fc.array(change, { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(), { maxLength: 8 }),
        fc.nat({ max: 40 }),
        (list, changes, cuts, bytesCut) => {
          const mutated = recordingOf(list);
          for (const { offset, value } of changes) mutated[offset % mutated.length] = value;
          const cut = mutated.slice(0, Math.max(0, mutated.length - bytesCut));
          const result = outcome([cut]);
          expect(outcome(cutAt(cut, cuts))).toEqual(result);
          if (typeof result === "string" || result.malformed.length > 0) return;
          const readBytes = recordingOf(result.entries).length;
          expect(readBytes + result.end.unreadBytes).toBe(cut.length);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
