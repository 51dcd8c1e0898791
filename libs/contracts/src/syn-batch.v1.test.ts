import { parseAddress } from "@packetwatch/net";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ContractError } from "./contract-error.ts";
import {
  createSynEvent,
  MAX_SYN_BATCH_BYTES,
  SynBatch,
  type SynBatchHeader,
  SynBatchWriter,
  type SynEvent,
} from "./syn-batch.v1.ts";
import { type Attempt, attempts, eventOf, kernelRecord } from "./testing/kernel-record.ts";
import { refusal } from "./testing/refusal.ts";

const header: SynBatchHeader = {
  family: 4,
  host: "web-1",
  interfaceName: "eth0",
  ipv6SourceBits: 64,
};
const START_US = 1_619_623_685_000_000;
const LONGEST_SPAN_US = 0x7fffffff;

const attempt4: Attempt = {
  timeUs: START_US,
  source: parseAddress("192.0.2.56"),
  destination: parseAddress("10.0.0.5"),
  sourcePort: 5973,
  destinationPort: 80,
  window: 64_240,
  tcpFlags: 0x02,
  ttl: 63,
  flags: 0x46,
};
const attempt6: Attempt = {
  ...attempt4,
  source: parseAddress("2001:db8:1:2:3:4:5:6"),
  destination: parseAddress("fd00::5"),
};

function write(writer: SynBatchWriter, attempt: Attempt): void {
  const record = kernelRecord(attempt);
  writer.append(attempt.timeUs, new DataView(record.buffer), 0);
}

function batchOf(header: SynBatchHeader, list: readonly Attempt[]): Uint8Array {
  const writer = new SynBatchWriter(header);
  for (const attempt of list) write(writer, attempt);
  return writer.take();
}

function readAll(bytes: Uint8Array): SynEvent[] {
  const batch = new SynBatch(bytes);
  const event = createSynEvent();
  return Array.from({ length: batch.count }, (_, index) => {
    batch.read(index, event);
    return { ...event };
  });
}

function changed(bytes: Uint8Array, offset: number, ...values: readonly number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, offset);
  return copy;
}

/** The same bytes with others around them: whoever reads outside reads nonsense. */
function surrounded(bytes: Uint8Array): Uint8Array {
  const around = new Uint8Array(bytes.length + 2048).fill(0xa5);
  around.set(bytes, 1021);
  return around.subarray(1021, 1021 + bytes.length);
}

describe("a batch gives back what was written", () => {
  it.each([4, 6] as const)(
    "every field of every IPv%d record, in order",
    (family) => {
      fc.assert(
        fc.property(fc.array(attempts(family), { maxLength: 200 }), (list) => {
          const bytes = batchOf({ ...header, family }, list);
          expect(readAll(surrounded(bytes))).toEqual(list.map(eventOf));
        }),
        { numRuns: 300 },
      );
    },
    60_000,
  );

  it("a record is taken from its offset in the kernel's memory", () => {
    const memory = new Uint8Array(8192).fill(0x77);
    memory.set(kernelRecord(attempt6), 4104);
    const writer = new SynBatchWriter({ ...header, family: 6 });
    writer.append(START_US, new DataView(memory.buffer, 8), 4096);
    expect(readAll(writer.take())).toEqual([eventOf(attempt6)]);
  });

  it("records older than the first one keep their times and their places", () => {
    const times = [START_US, START_US - 1, START_US - LONGEST_SPAN_US, START_US + LONGEST_SPAN_US];
    const bytes = batchOf(
      header,
      times.map((timeUs) => ({ ...attempt4, timeUs })),
    );
    expect(readAll(bytes).map(({ timeUs }) => timeUs)).toEqual(times);
  });

  it.each([0, 1, 2 ** 32 - 1, 2 ** 32, START_US, Number.MAX_SAFE_INTEGER - LONGEST_SPAN_US])(
    "a base time of %d microseconds is kept",
    (timeUs) => {
      const bytes = batchOf(header, [{ ...attempt4, timeUs }]);
      expect(readAll(bytes)[0]?.timeUs).toBe(timeUs);
    },
  );

  it("a writer that was emptied begins with a base time and records of its own", () => {
    const writer = new SynBatchWriter(header);
    write(writer, attempt4);
    write(writer, attempt4);
    const first = writer.take();
    expect(writer.count).toBe(0);
    const later = { ...attempt4, timeUs: START_US + 10 * LONGEST_SPAN_US, ttl: 1 };
    expect(writer.accepts(later.timeUs)).toBe(true);
    write(writer, later);
    expect(readAll(writer.take())).toEqual([eventOf(later)]);
    expect(readAll(first)).toEqual([eventOf(attempt4), eventOf(attempt4)]);
  });

  it("a batch without records is a batch", () => {
    expect(readAll(new SynBatchWriter(header).take())).toEqual([]);
  });
});

it("a record that isn't there can't be read", () => {
  const batch = new SynBatch(surrounded(batchOf(header, [attempt4])));
  expect(() => batch.read(1, createSynEvent())).toThrow(RangeError);
});

describe("a writer is bounded", () => {
  it.each([
    [4, 2729],
    [6, 1364],
  ] as const)("the largest IPv%d batch has %d records and fits", (family, capacity) => {
    const writer = new SynBatchWriter({ ...header, family });
    while (writer.accepts(START_US)) write(writer, family === 4 ? attempt4 : attempt6);
    expect(writer.count).toBe(capacity);
    expect(writer.isFull).toBe(true);
    const bytes = writer.take();
    expect(bytes.length).toBeLessThanOrEqual(MAX_SYN_BATCH_BYTES);
    expect(bytes.length).toBeGreaterThan(MAX_SYN_BATCH_BYTES - 48);
    expect(new SynBatch(bytes).count).toBe(capacity);
    expect(writer.isFull).toBe(false);
  });

  it("a smaller limit holds as many whole records as fit", () => {
    const headerBytes = new SynBatchWriter(header).take().length;
    const capacityOf = (bytes: number) => {
      const writer = new SynBatchWriter(header, bytes);
      while (writer.accepts(START_US)) write(writer, attempt4);
      return writer.count;
    };
    expect(capacityOf(headerBytes + 24)).toBe(1);
    expect(capacityOf(headerBytes + 47)).toBe(1);
    expect(capacityOf(headerBytes + 48)).toBe(2);
    expect(() => new SynBatchWriter(header, headerBytes + 23)).toThrow(/holds no record/);
  });

  it("a limit over the contract's is the contract's", () => {
    const writer = new SynBatchWriter(header, 10 * MAX_SYN_BATCH_BYTES);
    while (writer.accepts(START_US)) write(writer, attempt4);
    expect(writer.count).toBe(2729);
  });

  it.each([
    [LONGEST_SPAN_US, true],
    [LONGEST_SPAN_US + 1, false],
    [-LONGEST_SPAN_US, true],
    [-LONGEST_SPAN_US - 1, false],
  ])("an event %d microseconds from the first is accepted: %s", (offsetUs, accepted) => {
    const writer = new SynBatchWriter(header);
    expect(writer.accepts(START_US + offsetUs)).toBe(true);
    write(writer, attempt4);
    expect(writer.accepts(START_US + offsetUs)).toBe(accepted);
  });

  it("the longest span is 35 minutes", () => {
    expect(Math.floor(LONGEST_SPAN_US / 60e6)).toBe(35);
  });
});

describe("the header names host and interface", () => {
  const nameRead = (name: string) => {
    const bytes = batchOf({ ...header, host: name, interfaceName: name }, [attempt4]);
    const read = new SynBatch(bytes);
    expect(readAll(bytes)).toEqual([eventOf(attempt4)]);
    expect(read.header.interfaceName).toBe(read.header.host);
    return read.header.host;
  };

  it("both survive as they are", () => {
    fc.assert(
      fc.property(
        fc.record({
          family: fc.constantFrom(4, 6),
          host: fc.string({ unit: "binary", minLength: 1, maxLength: 60 }),
          interfaceName: fc.string({ unit: "binary", minLength: 1, maxLength: 60 }),
          ipv6SourceBits: fc.integer({ min: 1, max: 128 }),
        }),
        (given) => {
          expect(new SynBatch(new SynBatchWriter(given).take()).header).toEqual(given);
        },
      ),
    );
  });

  it.each([
    ["a", 255, 255],
    ["a", 256, 255],
    ["é", 127, 127],
    ["é", 128, 127],
    ["漢", 85, 85],
    ["漢", 86, 85],
    ["😀", 63, 63],
    ["😀", 64, 63],
  ])("%s repeated %d times is cut to %d whole characters", (character, given, kept) => {
    expect(nameRead(character.repeat(given))).toBe(character.repeat(kept));
  });

  it("a byte order mark belongs to a name", () => {
    expect(nameRead("\u{feff}web")).toBe("\u{feff}web");
  });

  it("a name of bytes that are no UTF-8 doesn't cost its records", () => {
    const bytes = changed(batchOf(header, [attempt4]), 18, 0xff, 0xfe);
    expect(readAll(bytes)).toEqual([eventOf(attempt4)]);
    expect(new SynBatch(bytes).header.host).toBe("\u{fffd}\u{fffd}b-1");
  });

  it("a writer without a name is a programmer's error", () => {
    expect(() => new SynBatchWriter({ ...header, host: "" })).toThrow(/has a name/);
    expect(() => new SynBatchWriter({ ...header, interfaceName: "" })).toThrow(/has a name/);
  });
});

// Published bytes: they are read for ever, and a writer that gives others is another version.
const goldenBatches = [
  {
    family: 4 as const,
    attempts: [attempt4, { ...attempt4, timeUs: START_US - 2, destinationPort: 81, ttl: 255 }],
    hex:
      "010402001c004000400b6a060ac105000504" +
      "7765622d31" +
      "65746830" +
      "00" +
      "00000000c00002380a00000517550050faf0023f46000000" +
      "feffffffc00002380a00000517550051faf002ff46000000",
  },
  {
    family: 6 as const,
    attempts: [attempt6, { ...attempt6, timeUs: START_US + 300, window: 1 }],
    hex:
      "010602001c004000400b6a060ac105000504" +
      "7765622d31" +
      "65746830" +
      "00" +
      "0000000020010db8000100020003000400050006fd00000000000000000000000000000517550050faf0023f46000000" +
      "2c01000020010db8000100020003000400050006fd000000000000000000000000000005175500500001023f46000000",
  },
];

describe("version 1 is frozen", () => {
  it.each(goldenBatches)("golden bytes of family $family are written and read", (golden) => {
    const { family, hex } = golden;
    const bytes = batchOf({ ...header, family }, golden.attempts);
    expect(Buffer.from(bytes).toString("hex")).toBe(hex);
    const published = new Uint8Array(Buffer.from(hex, "hex"));
    expect(new SynBatch(published).header).toEqual({ ...header, family });
    expect(readAll(published)).toEqual(golden.attempts.map(eventOf));
  });
});

describe("what is no batch is refused", () => {
  const whole = batchOf(header, [attempt4, attempt4]);
  const whole6 = batchOf({ ...header, family: 6 }, [attempt6, attempt6]);

  it.each([
    [4, whole],
    [6, whole6],
  ])("every truncation of an IPv%d batch", (_family, bytes) => {
    for (let length = 0; length < bytes.length; length++) {
      const code = refusal(() => new SynBatch(bytes.subarray(0, length))).code;
      expect([length, code]).toEqual([length, length < 18 ? "too_short" : "bad_length"]);
    }
  });

  it.each([
    ["one byte more", new Uint8Array([...whole, 0]), "bad_length"],
    ["a record less than counted", whole.subarray(0, whole.length - 24), "bad_length"],
    ["a record more than counted", new Uint8Array([...whole, ...new Uint8Array(24)]), "bad_length"],
    ["a count of 1", changed(whole, 2, 1), "bad_length"],
    ["a count of 65535", changed(whole, 2, 0xff, 0xff), "bad_length"],
    ["the other family", changed(whole, 1, 6), "bad_length"],
    ["version 0", changed(whole, 0, 0), "bad_version"],
    ["version 2", changed(whole, 0, 2), "bad_version"],
    ["family 5", changed(whole, 1, 5), "bad_family"],
    ["a header that ends in the fixed part", changed(whole, 4, 16), "bad_length"],
    ["a header 4 bytes longer than its names", changed(whole, 4, 32), "bad_length"],
    ["a header longer than the batch", changed(whole, 4, 0xff, 0xff), "bad_length"],
    ["a host that reaches over the batch", changed(whole, 16, 255), "bad_length"],
    ["a host without a name", changed(whole, 16, 0, 9), "bad_length"],
    ["an interface without a name", changed(whole, 16, 9, 0), "bad_length"],
    ["IPv6 sources of 0 bits", changed(whole, 6, 0), "bad_value"],
    ["IPv6 sources of 129 bits", changed(whole, 6, 129), "bad_value"],
    ["a base time past all safe integers", changed(whole, 14, 0x20), "bad_value"],
    ["a base time of 2 ** 64 - 1", changed(whole, 8, ...new Uint8Array(8).fill(255)), "bad_value"],
    ["no byte at all", new Uint8Array(0), "too_short"],
    ["64 KiB and a byte", new Uint8Array(MAX_SYN_BATCH_BYTES + 1).fill(1), "too_long"],
  ])("%s", (_name, bytes, code) => {
    const error = refusal(() => new SynBatch(surrounded(bytes)));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^syn batch v1: /);
  });

  it("reserved bytes are not looked at", () => {
    const bytes = changed(changed(whole, 7, 0xff), whole.length - 3, 0xff, 0xff, 0xff);
    expect(readAll(bytes)).toEqual(readAll(whole));
  });

  // The outcome is the same with other bytes around: nothing outside has been read.
  const outcome = (bytes: Uint8Array): readonly SynEvent[] | string => {
    try {
      return readAll(bytes);
    } catch (error) {
      if (error instanceof ContractError) return error.code;
      throw error;
    }
  };

  it("random bytes are refused with a ContractError, or read within their bounds", () => {
    const start = fc.tuple(fc.constantFrom(0, 1, 1, 1, 2), fc.constantFrom(4, 6, 4, 6, 5));
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 400 }), ([version, family], tail) => {
        const bytes = new Uint8Array([version, family, ...tail]);
        expect(outcome(surrounded(bytes))).toEqual(outcome(bytes));
        expect(outcome(surrounded(tail))).toEqual(outcome(tail));
      }),
      { numRuns: 20_000 },
    );
  }, 60_000);

  it("a batch with any bytes changed is refused with a ContractError, or read within its bounds", () => {
    const change = fc.record({
      // The header decides what is read, so most changes are there.
      offset: fc.oneof(fc.nat({ max: 30 }), fc.nat({ max: whole6.length - 1 })),
      value: fc.oneof(fc.constantFrom(0, 1, 2, 4, 6, 255), fc.nat({ max: 255 })),
    });
    const cuts = fc.oneof(fc.constant(0), fc.nat({ max: 60 }));
    fc.assert(
      fc.property(
        fc.constantFrom(whole, whole6),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        cuts,
        (batch, changes, bytesCut) => {
          const bytes = batch.slice();
          for (const { offset, value } of changes) bytes[offset % bytes.length] = value;
          const cut = bytes.subarray(0, bytes.length - bytesCut);
          expect(outcome(surrounded(cut))).toEqual(outcome(cut));
        },
      ),
      { numRuns: 20_000 },
    );
  }, 60_000);
});
