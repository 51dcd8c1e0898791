import { parsePrefix } from "@packetwatch/net";
import { describe, expect, it } from "vitest";
import { type AllowEntry, decodeAllowEntry, encodeAllowEntry } from "./allow-entry.v1.ts";
import { allowKey, bucketStream, bucketSubject, enforcementKey, everyKey } from "./buckets.ts";
import { decodeEnforcement, encodeEnforcement, type Enforcement } from "./enforcement.v1.ts";
import { decodeHostState, encodeHostState, type HostState } from "./host-state.v1.ts";
import { jsonBytes, type Member, withMember } from "./testing/json-message.ts";
import { refusal } from "./testing/refusal.ts";

const entry: AllowEntry = {
  version: 1,
  prefix: "192.0.2.0/24",
  comment: "the monitoring",
  addedBy: "operator/alice@desk",
  addedUs: 1_619_623_685_000_250,
  expiresUs: null,
};
const enforcement: Enforcement = {
  version: 1,
  host: "web-1",
  enforce: "off",
  setBy: "operator/alice@desk",
  setUs: 1_619_623_685_000_250,
  untilUs: 1_619_623_745_000_250,
};
const hostState: HostState = {
  version: 1,
  host: "web-1",
  sentUs: 1_619_623_685_000_250,
  interfaces: ["eth0"],
  enforcing: "on",
  enforcedBy: "variable",
  trialUntilUs: null,
  allowlistSequence: 7,
  enforcementSequence: 0,
  allowed: [{ prefix: "192.0.2.1", reasons: ["gateway", "resolver"] }],
  omitted: 0,
  refused: 0,
};

// Published messages: they are read for ever.
const golden = {
  entry:
    '{"version":1,"prefix":"192.0.2.0/24","comment":"the monitoring","addedBy":"operator/alice@desk","addedUs":1619623685000250,"expiresUs":null}',
  enforcement:
    '{"version":1,"host":"web-1","enforce":"off","setBy":"operator/alice@desk","setUs":1619623685000250,"untilUs":1619623745000250}',
  hostState:
    '{"version":1,"host":"web-1","sentUs":1619623685000250,"interfaces":["eth0"],"enforcing":"on","enforcedBy":"variable","trialUntilUs":null,"allowlistSequence":7,"enforcementSequence":0,"allowed":[{"prefix":"192.0.2.1","reasons":["gateway","resolver"]}],"omitted":0,"refused":0}',
};

const text = (payload: Uint8Array) => new TextDecoder().decode(payload);
const bytes = (json: string) => new TextEncoder().encode(json);

describe("settings are written and read as published", () => {
  it("an allow entry", () => {
    expect(text(encodeAllowEntry(entry))).toBe(golden.entry);
    expect(decodeAllowEntry(bytes(golden.entry))).toEqual(entry);
  });

  it("an enforcement", () => {
    expect(text(encodeEnforcement(enforcement))).toBe(golden.enforcement);
    expect(decodeEnforcement(bytes(golden.enforcement))).toEqual(enforcement);
  });

  it("a host state", () => {
    expect(text(encodeHostState(hostState))).toBe(golden.hostState);
    expect(decodeHostState(bytes(golden.hostState))).toEqual(hostState);
  });
});

const refusedEntries: readonly (readonly [readonly Member[], unknown])[] = [
  [["version"], 2],
  [["prefix"], "192.0.2.1/24"],
  [["prefix"], "192.0.2.1/32"],
  [["prefix"], "::/0"],
  [["prefix"], "::/80"],
  [["prefix"], "somewhere"],
  [["comment"], "x".repeat(513)],
  [["addedBy"], ""],
  [["expiresUs"], -1],
  [["expiresUs"], undefined],
];

it.each(refusedEntries)("an allow entry where %j is %j is refused", (path, value) => {
  const error = refusal(() => decodeAllowEntry(jsonBytes(withMember(entry, path, value))));
  expect(error.code).toBe("bad_schema");
  expect(error.message).toContain(`allow entry v1: ${path.join(".")}: `);
});

const refusedEnforcements: readonly (readonly [readonly Member[], unknown])[] = [
  [["enforce"], true],
  [["host"], ""],
  [["host"], undefined],
  [["untilUs"], "soon"],
];

it.each(refusedEnforcements)("an enforcement where %j is %j is refused", (path, value) => {
  const error = refusal(() => decodeEnforcement(jsonBytes(withMember(enforcement, path, value))));
  expect(error.message).toContain(`enforcement v1: ${path.join(".")}: `);
});

const refusedStates: readonly (readonly [readonly Member[], unknown])[] = [
  [["enforcing"], "maybe"],
  [["allowed", 0, "reasons"], []],
  [["allowed", 0, "reasons", 0], "because"],
  [["allowlistSequence"], -1],
  [["allowed"], Array.from({ length: 2049 }, () => hostState.allowed[0])],
];

it.each(refusedStates)("a host state with bad %j is refused", (path, value) => {
  const error = refusal(() => decodeHostState(jsonBytes(withMember(hostState, path, value))));
  expect(error.message).toContain(`host state v1: ${path.join(".")}`);
});

describe("keys", () => {
  it.each([
    ["192.0.2.1", "ip4.192.0.2.1"],
    ["192.0.2.0/24", "ip4.192.0.2.0.s24"],
    ["0.0.0.0/0", "ip4.0.0.0.0.s0"],
    ["2001:db8::/64", "ip6.2001.db8.0.0"],
    ["2000::/3", "ip6.2000.s3"],
  ])("%s lies at %s", (prefix, key) => {
    expect(allowKey(parsePrefix(prefix))).toBe(key);
  });

  it.each([
    [undefined, "lasting", "lasting.fleet"],
    [undefined, "trial", "trial.fleet"],
    ["web-1.example", "trial", "trial.host.web-1_example"],
  ] as const)("the setting of %s, %s, lies at %s", (host, kind, key) => {
    expect(enforcementKey({ host, kind })).toBe(key);
  });

  it("a bucket is a stream of its keys' subjects", () => {
    expect([bucketStream("b"), bucketSubject("b", "k.x"), everyKey("b")]).toEqual([
      "KV_b",
      "$KV.b.k.x",
      "$KV.b.>",
    ]);
  });
});
