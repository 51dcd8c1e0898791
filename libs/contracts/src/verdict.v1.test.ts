import { describe, expect, it } from "vitest";
import { MAX_JSON_BYTES } from "./json.ts";
import { jsonBytes, type Member, withMember } from "./testing/json-message.ts";
import { refusal } from "./testing/refusal.ts";
import {
  type BlockVerdict,
  decodeVerdict,
  decodeVerdictOn,
  encodeVerdict,
  type UnblockVerdict,
} from "./verdict.v1.ts";

const block: BlockVerdict = {
  version: 1,
  id: "vertical-3f2a9c",
  source: "192.0.2.56",
  decidedBy: "detector/web-1-77",
  issuedUs: 1_619_623_685_000_250,
  kind: "block",
  rule: "vertical",
  expiresUs: null,
  evidence: {
    count: 3,
    windowSeconds: 60,
    destinations: ["10.0.0.5"],
    ports: [80, 81, 82],
    hosts: ["web-1"],
    firstSeenUs: 1_619_623_684_000_000,
    lastSeenUs: 1_619_623_685_000_000,
  },
};
const operatorBlock: BlockVerdict = {
  ...block,
  source: "2001:db8:0:1::/64",
  decidedBy: "operator/ada",
  rule: "operator",
  expiresUs: 1_619_627_285_000_000,
  evidence: null,
  reason: "abuse report 17",
};
const unblock: UnblockVerdict = {
  version: 1,
  id: "unblock-1",
  source: "192.0.2.56",
  decidedBy: "operator/ada",
  issuedUs: 1_619_623_690_000_000,
  kind: "unblock",
};

// Published messages: they are read for ever.
const goldenVerdicts = [
  {
    name: "a detector's block",
    verdict: block,
    json: '{"version":1,"id":"vertical-3f2a9c","source":"192.0.2.56","decidedBy":"detector/web-1-77","issuedUs":1619623685000250,"kind":"block","rule":"vertical","expiresUs":null,"evidence":{"count":3,"windowSeconds":60,"destinations":["10.0.0.5"],"ports":[80,81,82],"hosts":["web-1"],"firstSeenUs":1619623684000000,"lastSeenUs":1619623685000000}}',
  },
  {
    name: "an operator's block",
    verdict: operatorBlock,
    json: '{"version":1,"id":"vertical-3f2a9c","source":"2001:db8:0:1::/64","decidedBy":"operator/ada","issuedUs":1619623685000250,"kind":"block","rule":"operator","expiresUs":1619627285000000,"evidence":null,"reason":"abuse report 17"}',
  },
  {
    name: "an unblock",
    verdict: unblock,
    json: '{"version":1,"id":"unblock-1","source":"192.0.2.56","decidedBy":"operator/ada","issuedUs":1619623690000000,"kind":"unblock"}',
  },
];

describe("a verdict", () => {
  it.each(goldenVerdicts)("$name is written and read as published", ({ verdict, json }) => {
    expect(new TextDecoder().decode(encodeVerdict(verdict))).toBe(json);
    expect(decodeVerdict(new TextEncoder().encode(json))).toEqual(verdict);
  });

  it("members that this version doesn't know are dropped", () => {
    const evidence = { ...block.evidence, colour: "red" };
    const extended = { ...block, evidence, colour: "red" };
    expect(decodeVerdict(jsonBytes(extended))).toEqual(block);
  });

  it.each(["192.0.2.56", "0.0.0.0", "2001:db8::/64", "2001:db8:1::/48", "2001:db8::1", "::/64"])(
    "its source may be %s",
    (source) => {
      expect(decodeVerdict(jsonBytes({ ...block, source })).source).toBe(source);
    },
  );

  it.each([
    ["192.0.2.56/32", "a length that goes without saying"],
    ["192.0.2.0/24", "an IPv4 prefix: a source is one address"],
    ["::ffff:192.0.2.56", "IPv4 in IPv6 form"],
    ["::ffff:192.0.2.56/128", "IPv4 in IPv6 form"],
    ["2001:db8::1/64", "host bits"],
    ["2001:DB8::/64", "capitals"],
    ["2001:db8:0:0::/64", "zeros that can be shorter"],
    ["2001:db8::1/128", "a length that goes without saying"],
    ["2001:db8::/064", "a leading zero"],
    ["fe80::1%eth0", "a zone"],
    ["192.0.2.56 ", "a blank"],
    ["web-1", "a name"],
    ["", "nothing"],
  ])("its source may not be %j: %s", (source) => {
    const error = refusal(() => decodeVerdict(jsonBytes({ ...block, source })));
    expect(error.code).toBe("bad_schema");
    expect(error.message).toMatch(/^verdict v1: source: not an IPv4 address or IPv6 CIDR/);
  });
});

const refusedMembers: readonly (readonly [path: readonly Member[], value: unknown])[] = [
  [["version"], 2],
  [["version"], undefined],
  [["version"], "1"],
  [["id"], undefined],
  [["id"], ""],
  [["id"], "x".repeat(256)],
  [["source"], undefined],
  [["source"], 3_221_226_040],
  [["source"], "x".repeat(65)],
  [["decidedBy"], null],
  [["decidedBy"], "x".repeat(256)],
  [["issuedUs"], undefined],
  [["issuedUs"], -1],
  [["issuedUs"], 1.5],
  [["issuedUs"], 2 ** 53],
  [["issuedUs"], "1619623685000000"],
  [["kind"], undefined],
  [["kind"], "Block"],
  [["rule"], "diagonal"],
  [["rule"], undefined],
  [["expiresUs"], undefined],
  [["expiresUs"], -1],
  [["expiresUs"], "never"],
  [["reason"], "x".repeat(513)],
  [["reason"], null],
  [["evidence"], undefined],
  [["evidence"], []],
  [["evidence", "count"], 0],
  [["evidence", "count"], 2.5],
  [["evidence", "windowSeconds"], 0],
  [["evidence", "windowSeconds"], null],
  [["evidence", "destinations"], Array.from({ length: 65 }, () => "10.0.0.5")],
  [["evidence", "destinations", 0], "10.0.0.0/24"],
  [["evidence", "destinations", 0], "::ffff:10.0.0.5"],
  [["evidence", "ports"], undefined],
  [["evidence", "ports"], Array.from({ length: 65 }, () => 80)],
  [["evidence", "ports", 1], 65_536],
  [["evidence", "ports", 1], -1],
  [["evidence", "ports", 1], "81"],
  [["evidence", "hosts"], Array.from({ length: 65 }, () => "web-1")],
  [["evidence", "hosts", 0], ""],
  [["evidence", "firstSeenUs"], -1],
  [["evidence", "lastSeenUs"], 1.5],
];

describe("the verdict of a subject", () => {
  it.each([
    ["packetwatch.v1.verdict.ip4.192.0.2.56", block],
    ["packetwatch.v1.verdict.ip6.2001.db8.0.1", operatorBlock],
  ])("is the one that %s names", (subject, verdict) => {
    expect(decodeVerdictOn(subject, encodeVerdict(verdict))).toEqual(verdict);
  });

  it.each([
    "packetwatch.v1.verdict.ip4.192.0.2.57",
    "packetwatch.v1.verdict.ip4.192.0.2",
    "packetwatch.v1.verdict.ip6.2001.db8.0.1",
    "packetwatch.v1.breaker",
  ])("is refused on %s where it speaks of another source", (subject) => {
    const error = refusal(() => decodeVerdictOn(subject, encodeVerdict(unblock)));
    expect(error.code).toBe("wrong_subject");
    expect(error.message).toBe(`verdict v1: 192.0.2.56 on ${subject}`);
  });
});

describe("a verdict is refused whole", () => {
  it.each(refusedMembers)("where %j is %j", (path, value) => {
    const error = refusal(() => decodeVerdict(jsonBytes(withMember(block, path, value))));
    expect(error.code).toBe("bad_schema");
    expect(error.contract).toBe("verdict v1");
    expect(error.message).toContain(`verdict v1: ${path.join(".")}: `);
  });

  it.each([
    ["no JSON", "{"],
    ["nothing", ""],
    ["two texts", "{}{}"],
    ["NaN", '{"version":NaN}'],
  ])("where it is %s", (_name, text) => {
    const error = refusal(() => decodeVerdict(new TextEncoder().encode(text)));
    expect(error.code).toBe("bad_json");
    expect(error.cause).toBeInstanceOf(SyntaxError);
  });

  it("where it is no UTF-8", () => {
    const bytes = encodeVerdict({ ...block, id: "?" });
    bytes[bytes.indexOf("?".charCodeAt(0))] = 0xff;
    const error = refusal(() => decodeVerdict(bytes));
    expect(error.code).toBe("bad_json");
    expect(error.cause).toBeInstanceOf(TypeError);
  });

  it.each([
    ["null", "null"],
    ["a list", "[]"],
    ["a number", "1"],
    ["a text", '"block"'],
    ["a list of great depth", "[".repeat(400_000) + "]".repeat(400_000)],
  ])("where it is JSON, but %s", (_name, text) => {
    const error = refusal(() => decodeVerdict(new TextEncoder().encode(text)));
    expect(error.code).toBe("bad_schema");
  });

  it("where it is longer than what is parsed", () => {
    const text = JSON.stringify(block);
    const whole = text.padEnd(MAX_JSON_BYTES, " ");
    expect(decodeVerdict(new TextEncoder().encode(whole))).toEqual(block);
    const error = refusal(() => decodeVerdict(new TextEncoder().encode(`${whole} `)));
    expect(error.code).toBe("too_long");
  });

  it("with at most four of its mistakes, each in a few words", () => {
    const evidence = { ...block.evidence, ports: Array.from({ length: 64 }, () => "x") };
    const { message } = refusal(() => decodeVerdict(jsonBytes({ ...block, evidence })));
    expect(message.split("; ")).toHaveLength(4);
    expect(message).toContain("evidence.ports.3: ");
    expect(message.length).toBeLessThan(4 * 2 * 128);
  });
});
