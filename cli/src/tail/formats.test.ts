import { MAX_EVIDENCE_ENTRIES, SynBatch, createSynEvent, synFlags } from "@packetwatch/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  alertOf,
  type Attempt,
  blockOf,
  horizontalEvidence,
  synBatch,
  TIME_US,
  verticalEvidence,
} from "../testing/payloads.ts";
import { JsonFormat } from "./json-format.ts";
import { LineFormat } from "./line-format.ts";
import { coloured, plain, type RowFormat } from "./row-format.ts";
import { TableFormat } from "./table-format.ts";
import { IsoTime, LocalTime } from "./time-text.ts";

// Node reads TZ anew when it is set.
const timeZone = process.env["TZ"];
beforeAll(() => {
  process.env["TZ"] = "Europe/Berlin";
});
afterAll(() => {
  if (timeZone === undefined) delete process.env["TZ"];
  else process.env["TZ"] = timeZone;
});

const table = (paint = plain) => new TableFormat({ paint, reader: "the terminal" });
const line = (paint = plain) => new LineFormat({ paint, reader: "the terminal" });

function connection(format: RowFormat, attempt: Attempt): string {
  const family = attempt.source?.includes(":") ? 6 : 4;
  const batch = new SynBatch(synBatch([attempt], { family }));
  const event = createSynEvent();
  batch.read(0, event);
  return format.connections(batch.header)(event);
}

const ipv6 = { source: "2001:db8::1", destination: "2001:db8:1::5" };
const unblock = {
  source: "192.0.2.56",
  timeUs: TIME_US,
  verdictId: "u1",
  decidedBy: "operator/a",
  reason: null,
};
const whitelist = {
  action: "added",
  address: "10.0.0.5",
  host: "host-a",
  timeUs: TIME_US,
} as const;
const skipped = { attempts: 12_345, verdicts: 0, timeUs: TIME_US };

/** Cases titled by what is expected of them. */
function titled<R>(cases: readonly (readonly [R, string])[]): (readonly [string, R])[] {
  return cases.map(([given, expected]) => [expected, given]);
}

describe("the line format", () => {
  it.each([
    [{}, "New connection: 192.0.2.56:5973 -> 10.0.0.5:80"],
    [ipv6, "New connection: [2001:db8::1]:5973 -> [2001:db8:1::5]:80"],
    [
      { flags: synFlags.wouldDrop },
      "New connection (would be dropped): 192.0.2.56:5973 -> 10.0.0.5:80",
    ],
  ])("an attempt %j is one line in local time", (attempt, text) => {
    expect(connection(line(), attempt)).toBe(`2021-04-28 15:28:05: ${text}\n`);
  });

  it("addresses that differ in any one word are told apart", () => {
    const format = line();
    const addresses = [
      "1:0:2:0:3:0:4:0",
      "1:0:2:0:3:0:4:1",
      "1:0:2:0:3:1:4:1",
      "1:0:2:1:3:1:4:1",
      "1:1:2:1:3:1:4:1",
    ];
    const rows = addresses.map((address) =>
      connection(format, { source: address, destination: address }),
    );
    expect(rows.map((row) => row.slice(21).match(/[0-9a-f]*(:[0-9a-f]+){7}/g))).toEqual(
      addresses.map((address) => [address, address]),
    );
  });

  const cut = {
    destinations: ["10.0.0.5"],
    ports: [...Array(MAX_EVIDENCE_ENTRIES).keys()],
  };
  it.each(
    titled<Parameters<typeof blockOf>[0]>([
      [{}, "Port scan detected: 192.0.2.56 -> 10.0.0.5 on ports 80,81,82,83"],
      [
        { offence: 3 },
        "Port scan detected: 192.0.2.56 -> 10.0.0.5 on ports 80,81,82,83 (block 3 in a row)",
      ],
      [
        { source: "2001:db8::/64" },
        "Port scan detected: 2001:db8::/64 -> 10.0.0.5 on ports 80,81,82,83",
      ],
      [
        { rule: "horizontal", evidence: horizontalEvidence },
        "Address scan detected: 192.0.2.56 -> 10.0.0.5,10.0.0.6 on port 22",
      ],
      [
        { rule: "spread", evidence: verticalEvidence },
        "Spread scan detected: 192.0.2.56 -> 4 targets: 10.0.0.5 on ports 80,81,82,83",
      ],
      [
        { evidence: { ...verticalEvidence, ...cut, count: 65 } },
        `Port scan detected: 192.0.2.56 -> 10.0.0.5 on ports ${cut.ports.join(",")},...`,
      ],
      [{ evidence: null }, "Port scan detected: 192.0.2.56"],
      [
        {
          rule: "operator",
          decidedBy: "operator/alice",
          evidence: null,
          reason: "too\u001b[2Jloud",
        },
        "Blocked by operator/alice: 192.0.2.56 (too?[2Jloud)",
      ],
    ]),
  )("a block reads %s", (text, members) => {
    expect(line().block(blockOf(members))).toBe(`2021-04-28 15:28:05: ${text}\n`);
  });

  it.each(
    titled([
      [line().unblock(unblock), "Removed from blacklist: 192.0.2.56"],
      [
        line().unblock({ ...unblock, reason: "expired" }),
        "Removed from blacklist: 192.0.2.56 (expired)",
      ],
      [line().alert(alertOf()), "Alert: horizontal: 192.0.2.56 -> 10.0.0.5,10.0.0.6 on port 22"],
      [line().whitelist(whitelist), "Added to whitelist: 10.0.0.5"],
      [line().whitelist({ ...whitelist, action: "removed" }), "Removed from whitelist: 10.0.0.5"],
    ]),
  )("another row reads %s", (text, row) => {
    expect(row.slice("2021-04-28 15:28:05: ".length)).toBe(`${text}\n`);
  });

  it("what was skipped is said without a time", () => {
    const text = "... skipped 12345 attempts: the terminal can't keep up\n";
    expect(line().skipped(skipped)).toBe(text);
    expect(table().skipped(skipped)).toBe(text);
    expect(line().skipped({ ...skipped, attempts: 1, verdicts: 2 })).toContain(
      "1 attempt and 2 verdicts:",
    );
  });

  it("only a block is coloured", () => {
    expect(line(coloured).block(blockOf())).toBe(
      `\u001b[31m${line().block(blockOf()).trimEnd()}\u001b[0m\n`,
    );
    expect(connection(line(coloured), {})).not.toContain("\u001b");
  });
});

describe("the table", () => {
  it("opens with the welcome lines and the header", () => {
    expect(table().opening(["Welcome"], ["10.0.0.1"])).toBe(
      "Welcome\nTIME                 SOURCE           IP               PORT   MESSAGE\n",
    );
  });

  it("opens as wide as the addresses that it lists first, so that one header is enough", () => {
    const format = table();
    const address = "fe80::3c64:21ff:feec:93a2";
    const header = format.opening([], ["10.0.0.1", address]);
    const row = format.whitelist({ action: "added", address, host: "web-1", timeUs: 0 });
    expect(row.split("\n")).toHaveLength(2);
    expect(row.indexOf("Added")).toBe(header.indexOf("MESSAGE"));
  });

  it("has source, destination and its port in the columns of the header", () => {
    expect(connection(table(), {})).toBe(
      "2021-04-28 15:28:05  192.0.2.56       10.0.0.5         80     New connection\n",
    );
  });

  it.each(
    titled([
      [table().block(blockOf()), "192.0.2.56       10.0.0.5         -      Added to blacklist"],
      [
        table().block(blockOf({ rule: "operator", evidence: null })),
        "192.0.2.56       -                -      Added to blacklist",
      ],
      [table().unblock(unblock), "192.0.2.56       -                -      Removed from blacklist"],
      [table().whitelist(whitelist), "10.0.0.5         -                -      Added to whitelist"],
      [
        table().alert(alertOf()),
        "192.0.2.56       -                22     Alert: horizontal, 2 addresses within 300 seconds",
      ],
    ]),
  )("a row of the table reads %s", (text, row) => {
    expect(row.slice("2021-04-28 15:28:05  ".length)).toBe(`${text}\n`);
  });

  it("grows for a longer address, with a new header, and stays so", () => {
    const format = table();
    const grown = connection(format, { ...ipv6, source: "2001:db8:aaaa:bbbb:cccc::1" });
    const [header, row] = grown.split("\n");
    expect(header).toBe(
      `TIME                 SOURCE${" ".repeat(35)}IP               PORT   MESSAGE`,
    );
    expect(row?.indexOf("2001:db8:1::5")).toBe(header?.indexOf("IP "));
    expect(connection(format, {}).split("\n")).toHaveLength(2);
    expect(connection(format, {}).indexOf("10.0.0.5")).toBe(header?.indexOf("IP "));
  });

  it("only a block is coloured, up to the end of its row", () => {
    expect(table(coloured).block(blockOf())).toBe(
      `\u001b[31m${table().block(blockOf()).trimEnd()}\u001b[0m\n`,
    );
    expect(connection(table(coloured), {})).not.toContain("\u001b");
  });
});

describe("the JSON format", () => {
  const json = new JsonFormat();
  const time = "2021-04-28T13:28:05.123Z";

  it("an attempt has these members, in UTC", () => {
    const row = connection(json, { flags: synFlags.allowed });
    expect(row.endsWith("}\n")).toBe(true);
    expect(JSON.parse(row)).toEqual({
      kind: "connection",
      time,
      host: "host-a",
      interface: "eth0",
      source: "192.0.2.56",
      sourcePort: 5973,
      destination: "10.0.0.5",
      destinationPort: 80,
      allowed: true,
      wouldDrop: false,
    });
  });

  it("names from the batch are escaped", () => {
    const host = 'a"\n\u001b\u009b';
    const batch = new SynBatch(synBatch([{}], { host }));
    const row = json.connections(batch.header)(createSynEvent());
    expect(row).toContain('"host":"a\\"\\n\\u001b\\u009b"');
    expect((JSON.parse(row) as { host: string }).host).toBe(host);
  });

  it("a block has its evidence", () => {
    expect(JSON.parse(json.block(blockOf({ expiresUs: TIME_US + 60_000_000 })))).toEqual({
      kind: "block",
      time,
      id: "block-1",
      source: "192.0.2.56",
      rule: "vertical",
      decidedBy: "detector/d1",
      expires: "2021-04-28T13:29:05.123Z",
      evidence: {
        count: 4,
        windowSeconds: 60,
        destinations: ["10.0.0.5"],
        ports: [80, 81, 82, 83],
        hosts: ["host-a"],
        firstSeen: "2021-04-28T13:28:04.123Z",
        lastSeen: time,
      },
      reason: null,
    });
  });

  it("a block that is longer than the first says which one in a row it is", () => {
    expect(JSON.parse(json.block(blockOf({ offence: 3 })))).toMatchObject({ offence: 3 });
  });

  it.each([
    [
      json.unblock(unblock),
      {
        kind: "unblock",
        time,
        id: "u1",
        source: "192.0.2.56",
        decidedBy: "operator/a",
        reason: null,
      },
    ],
    [
      json.whitelist(whitelist),
      { kind: "whitelist", time, action: "added", host: "host-a", address: "10.0.0.5" },
    ],
    [json.skipped(skipped), { kind: "skipped", time, attempts: 12_345, verdicts: 0 }],
  ])("%s", (row, members) => {
    expect(JSON.parse(row)).toEqual(members);
  });

  it("an alert names its rule", () => {
    expect(JSON.parse(json.alert(alertOf()))).toMatchObject({
      kind: "alert",
      rule: "horizontal",
      id: "alert-1",
    });
  });
});

describe("times", () => {
  it.each([
    [0, "1970-01-01T00:00:00.000Z"],
    [999_999, "1970-01-01T00:00:00.999Z"],
    [-1, "1969-12-31T23:59:59.999Z"],
    [TIME_US, "2021-04-28T13:28:05.123Z"],
    [2 ** 64, "+275760-09-13T00:00:00.000Z"],
  ])("%d µs is %s", (timeUs, text) => {
    expect(new IsoTime().format(timeUs)).toBe(text);
  });

  it("a remembered second gives way to the next, and to one before", () => {
    const time = new LocalTime();
    const texts = [TIME_US, TIME_US + 1, TIME_US + 1_000_000, TIME_US].map((us) => time.format(us));
    expect(texts.map((text) => text.slice(-2))).toEqual(["05", "05", "06", "05"]);
  });

  it("no time of a batch is too far away to be written", () => {
    expect(() => new LocalTime().format(2 ** 64)).not.toThrow();
  });
});
