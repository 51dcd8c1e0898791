import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fuzzed, fuzzSeed } from "../../../test/support/fuzz-budget.ts";
import { decodeAlert } from "./alert.v1.ts";
import { decodeApplied } from "./applied.v1.ts";
import { ContractError } from "./contract-error.ts";
import { decodeHostBlocksReply, decodeHostBlocksRequest } from "./host-blocks.v1.ts";
import { encodeJson, MAX_JSON_BYTES } from "./json.ts";
import { decodeTelemetry } from "./telemetry.v1.ts";
import { decodeVerdict } from "./verdict.v1.ts";

const RUNS = 400;

const evidence = {
  count: 3,
  windowSeconds: 60,
  destinations: ["198.51.100.1"],
  ports: [22, 23, 80],
  hosts: ["web-1"],
  firstSeenUs: 1_700_000_000_000_000,
  lastSeenUs: 1_700_000_001_000_000,
};
const block = {
  version: 1,
  kind: "block",
  id: "9e107d9d372bb682",
  source: "203.0.113.9",
  rule: "vertical",
  decidedBy: "detector/d-1",
  issuedUs: 1_700_000_002_000_000,
  expiresUs: null,
  evidence,
};
const unblock = {
  version: 1,
  kind: "unblock",
  id: "1",
  source: "2001:db8::/64",
  decidedBy: "operator/x",
  issuedUs: 1,
  reason: "mine",
};
const applied = {
  version: 1,
  host: "web-1",
  interfaces: ["eth0"],
  verdictId: "1",
  source: "203.0.113.9",
  action: "blocked",
  streamSequence: 7,
  appliedUs: 1,
  reactionUs: 2,
};
const telemetry = {
  version: 1,
  service: "capture",
  instance: "c-1",
  host: "web-1",
  sentUs: 1,
  metrics: [
    {
      name: "a_total",
      help: "a",
      type: "counter",
      aggregator: "sum",
      values: [{ value: 1, labels: { x: "y" } }],
    },
  ],
};

/** Each decoder with messages to begin from; the first ones must be accepted as they stand. */
const decoders = [
  { name: "verdict", decode: decodeVerdict, messages: [unblock, block] },
  { name: "alert", decode: decodeAlert, messages: [{ ...block, kind: "alert" }] },
  { name: "applied", decode: decodeApplied, messages: [applied] },
  { name: "telemetry", decode: decodeTelemetry, messages: [telemetry] },
  {
    name: "host blocks request",
    decode: decodeHostBlocksRequest,
    messages: [{ version: 1, sources: ["203.0.113.9"] }],
  },
  {
    name: "host blocks reply",
    decode: decodeHostBlocksReply,
    messages: [{ version: 1, host: "web-1", interfaces: ["eth0"], blocks: [] }],
  },
] as const;

type Decode = (payload: Uint8Array) => unknown;

/** The same again after a round trip, or a refusal with a short reason. */
function expectReadOrRefused(decode: Decode, payload: Uint8Array): "read" | "refused" {
  let message: unknown;
  try {
    message = decode(payload);
  } catch (error) {
    expect(error).toBeInstanceOf(ContractError);
    expect((error as ContractError).message.length).toBeLessThan(2000);
    return "refused";
  }
  expect(decode(encodeJson(message))).toEqual(message);
  return "read";
}

/** What JSON can hold, with the values that programs trip over. */
const hostileValue = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom<unknown>(
    null,
    -1,
    0.5,
    2 ** 53,
    -0,
    1e308,
    "",
    "x".repeat(70_000),
    "\u0000",
    "../../etc/passwd",
    "0.0.0.0/0",
    "::/0",
    [],
    {},
    Array.from({ length: 5000 }, () => 1),
  ),
);
const hostileKey = fc.constantFrom("version", "__proto__", "constructor", "toString", "length");

/** Puts a value somewhere into a message: in place of a member, or as another. */
const tampering = fc.record({
  path: fc.array(fc.nat({ max: 12 }), { maxLength: 4 }),
  key: hostileKey,
  value: hostileValue,
});

function tamper(
  message: unknown,
  { path, key, value }: { path: number[]; key: string; value: unknown },
): unknown {
  const copy = structuredClone(message) as Record<string, unknown>;
  let place = copy;
  for (const step of path) {
    const keys = Object.keys(place);
    const next = place[keys[step % Math.max(1, keys.length)] ?? ""];
    if (typeof next !== "object" || next === null) break;
    place = next as Record<string, unknown>;
  }
  const keys = Object.keys(place);
  const chosen = keys[(path.at(-1) ?? 0) % Math.max(1, keys.length)] ?? key;
  const where = Array.isArray(place) || path.length % 2 === 0 ? chosen : key;
  if (Array.isArray(place) && place.length === 0) place.push(value);
  // Not an assignment: "__proto__" must become a member, as JSON.parse makes it one.
  else define(place, where, value);
  return copy;
}

function define(place: object, key: string, value: unknown): void {
  Object.defineProperty(place, key, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

describe.each(decoders)("a hostile $name (FUZZ_SEED=" + fuzzSeed + ")", ({ decode, messages }) => {
  it("any bytes are read whole or refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expectReadOrRefused(decode, bytes);
      }),
      fuzzed(RUNS),
    );
  });

  it("any JSON is read whole or refused", () => {
    fc.assert(
      fc.property(hostileValue, (value) => {
        expectReadOrRefused(decode, encodeJson(value));
      }),
      fuzzed(RUNS),
    );
  });

  it("a message that was tampered with is read whole or refused, and leaves Object alone", () => {
    fc.assert(
      fc.property(fc.constantFrom<unknown>(...messages), tampering, (message, change) => {
        expectReadOrRefused(decode, encodeJson(tamper(message, change)));
        expect(Object.keys(Object.prototype)).toEqual([]);
      }),
      fuzzed(RUNS),
    );
  });

  it.each([0, 2, 99, "1", null])("version %j is refused", (version) => {
    for (const message of messages) {
      expect(() => decode(encodeJson({ ...message, version }))).toThrow(ContractError);
    }
  });

  it("is refused before it is parsed where it is longer than a message may be", () => {
    const long = new Uint8Array(MAX_JSON_BYTES + 1).fill(0x20);
    expect(() => decode(long)).toThrow(expect.objectContaining({ code: "too_long" }));
  });

  it("deep nesting ends in a refusal", () => {
    const deep = new TextEncoder().encode("[".repeat(200_000) + "]".repeat(200_000));
    expect(expectReadOrRefused(decode, deep)).toBe("refused");
  });
});

it("the messages that are tampered with are whole where nothing is done to them", () => {
  const accepted = decoders.map(({ name, decode, messages }) => [
    name,
    messages.some((message) => expectReadOrRefused(decode, encodeJson(message)) === "read"),
  ]);
  expect(accepted.filter(([, isRead]) => isRead === false)).toEqual([]);
});
