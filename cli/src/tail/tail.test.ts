import { synFlags } from "@packetwatch/contracts";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  alertPayload,
  blockPayload,
  synBatch,
  TIME_US,
  unblockPayload,
} from "../testing/payloads.ts";
import { LineFormat } from "./line-format.ts";
import { plain } from "./row-format.ts";
import { Tail } from "./tail.ts";

const SECOND_US = 1_000_000;

/** A tail whose rows are read back without their times. */
function createTail({
  maxRows = Number.POSITIVE_INFINITY,
  hosts,
}: { readonly maxRows?: number; readonly hosts?: readonly string[] } = {}) {
  const state = { text: "", isFull: false, skipped: 0 };
  const output = {
    get isFull() {
      return state.isFull;
    },
    appendAttempts: (rows: string) => {
      state.text += rows;
    },
    append: (row: string) => {
      state.text += row;
    },
    skipAttempts: (count: number) => {
      state.skipped += count;
    },
  };
  const format = new LineFormat({ paint: plain, reader: "the reader" });
  const onlyHosts = hosts === undefined ? {} : { onlyHosts: new Set(hosts) };
  const tail = new Tail({ format, output, host: "host-a", maxRows, ...onlyHosts });
  tail.open([], []);
  const rows = () => {
    const lines = state.text.split("\n").filter((line) => line !== "");
    state.text = "";
    return lines.map((line) => line.slice("2021-04-28 15:28:05: ".length));
  };
  return { tail, rows, state };
}

const attempt = "New connection: 192.0.2.56:5973 -> 10.0.0.5:80";

describe("tail", () => {
  it("lists every attempt of a batch in its order", () => {
    const { tail, rows } = createTail();
    tail.synBatch(synBatch([{ port: 80 }, { port: 22 }]));
    expect(rows()).toEqual([attempt, attempt.replace(":80", ":22")]);
  });

  it("lists what the wanted hosts saw, and the blocks of all", () => {
    const { tail, rows } = createTail({ hosts: ["host-a", "host-b"] });
    for (const host of ["host-a", "host-b", "host-c"]) tail.synBatch(synBatch([{}], { host }));
    expect(rows()).toEqual([attempt, attempt]);
    tail.verdict(blockPayload());
    expect(rows()).toHaveLength(1);
  });

  it("a blocked source's attempts are not listed until it is unblocked", () => {
    const { tail, rows } = createTail();
    tail.verdict(blockPayload());
    tail.synBatch(
      synBatch([{ timeUs: TIME_US - 5 }, { timeUs: TIME_US + 5 }, { source: "192.0.2.57" }]),
    );
    tail.verdict(unblockPayload());
    tail.synBatch(synBatch([{}]));
    expect(rows()).toEqual([
      "Port scan detected: 192.0.2.56 -> 10.0.0.5 on ports 80,81,82,83",
      "New connection: 192.0.2.57:5973 -> 10.0.0.5:80",
      "Removed from blacklist: 192.0.2.56",
      attempt,
    ]);
  });

  it("a block that expires lets attempts be listed from that time on, and says so", () => {
    const { tail, rows } = createTail();
    tail.verdict(blockPayload({ expiresUs: TIME_US + SECOND_US }));
    rows();
    tail.synBatch(synBatch([{ timeUs: TIME_US + SECOND_US - 1 }, { timeUs: TIME_US + SECOND_US }]));
    expect(rows()).toEqual([attempt]);
    tail.expire(TIME_US + SECOND_US - 1);
    expect(rows()).toEqual([]);
    tail.expire(TIME_US + SECOND_US);
    tail.expire(TIME_US + SECOND_US);
    expect(rows()).toEqual(["Removed from blacklist: 192.0.2.56 (expired)"]);
  });

  it.each([
    ["allow-listed", synFlags.allowed, attempt],
    [
      "let through by a dry run",
      synFlags.wouldDrop,
      attempt.replace("connection", "connection (would be dropped)"),
    ],
  ])("an attempt of a blocked source that is %s is listed: it wasn't dropped", (_, flags, row) => {
    const { tail, rows } = createTail();
    tail.verdict(blockPayload());
    rows();
    tail.synBatch(synBatch([{ flags }]));
    expect(rows()).toEqual([row]);
  });

  it("a verdict or an alert that comes twice is listed once, even behind an unblock", () => {
    const { tail, rows } = createTail();
    tail.verdict(blockPayload());
    tail.verdict(unblockPayload());
    tail.verdict(blockPayload());
    tail.alert(alertPayload());
    tail.alert(alertPayload());
    expect(rows()).toHaveLength(3);
    tail.synBatch(synBatch([{}]));
    expect(rows()).toEqual([attempt]);
  });

  it("own addresses are listed when they come and when they go", () => {
    const { tail, rows } = createTail();
    tail.ownAddresses(["127.0.0.1", "::1"], TIME_US);
    tail.ownAddresses(["127.0.0.1", "::1"], TIME_US);
    tail.ownAddresses(["::1", "10.0.0.5"], TIME_US);
    expect(rows()).toEqual([
      "Added to whitelist: 127.0.0.1",
      "Added to whitelist: ::1",
      "Added to whitelist: 10.0.0.5",
      "Removed from whitelist: 127.0.0.1",
    ]);
  });

  it("nothing is written beyond the limit", () => {
    const { tail, rows } = createTail({ maxRows: 3 });
    tail.verdict(blockPayload({ source: "192.0.2.99" }));
    tail.synBatch(synBatch([{}, {}, {}, {}]));
    expect(tail.isDone).toBe(true);
    tail.verdict(blockPayload({ id: "block-2" }));
    tail.synBatch(synBatch([{}]));
    expect(rows()).toHaveLength(3);
  });

  it("while the output is full, attempts that would be listed are skipped and counted, verdicts are not", () => {
    const { tail, rows, state } = createTail();
    tail.verdict(blockPayload({ source: "192.0.2.99" }));
    rows();
    state.isFull = true;
    tail.synBatch(synBatch([{}, {}, { source: "192.0.2.99" }]));
    tail.verdict(blockPayload({ id: "block-2" }));
    expect(state.skipped).toBe(2);
    expect(rows()).toHaveLength(1);
  });

  it("malformed payloads are counted by reason, and nothing else is lost", () => {
    const { tail, rows } = createTail();
    const good = synBatch([{}]);
    const future = Uint8Array.from(good, (byte, index) => (index === 0 ? 2 : byte));
    tail.synBatch(future);
    tail.synBatch(future);
    expect(tail.rejections.describe()).toBe("2 payloads rejected: bad_version");
    tail.verdict(new TextEncoder().encode("{"));
    tail.alert(new TextEncoder().encode("{}"));
    tail.synBatch(good);
    expect(rows()).toEqual([attempt]);
    expect(tail.rejections.describe()).toBe(
      "4 payloads rejected: 2 bad_version, 1 bad_json, 1 bad_schema",
    );
  });

  it("nothing is said of rejections where there are none", () => {
    expect(createTail().tail.rejections.describe()).toBeUndefined();
  });

  it("survives any bytes on any subject", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(255), (bytes, at) => {
        const { tail } = createTail();
        const mutated = synBatch([{}, {}]);
        mutated.set(bytes.subarray(0, 8), at % (mutated.length - 8));
        for (const payload of [bytes, mutated]) {
          tail.synBatch(payload);
          tail.verdict(payload);
          tail.alert(payload);
        }
        expect(tail.rejections.describe()).toMatch(/payloads rejected/);
      }),
      { numRuns: 500 },
    );
  });

  it("lists 200,000 attempts of 100 batches to the row", () => {
    const { tail, rows } = createTail();
    const batch = synBatch(Array.from({ length: 2000 }, (_, port) => ({ port })));
    tail.verdict(blockPayload({ source: "192.0.2.99" }));
    rows();
    for (let count = 0; count < 100; count++) tail.synBatch(batch);
    expect(rows()).toHaveLength(200_000);
  });
});
