import { expect, it } from "vitest";
import { type Applied, decodeApplied, encodeApplied } from "./applied.v1.ts";
import { jsonBytes, type Member, withMember } from "./testing/json-message.ts";
import { refusal } from "./testing/refusal.ts";

const applied: Applied = {
  version: 1,
  host: "web-1",
  interfaces: ["eth0", "eth1"],
  verdictId: "vertical-3f2a9c",
  source: "192.0.2.56",
  action: "blocked",
  streamSequence: 42,
  appliedUs: 1_619_623_685_001_000,
  reactionUs: 1000.5,
};

// A published message: it is read for ever.
const golden =
  '{"version":1,"host":"web-1","interfaces":["eth0","eth1"],"verdictId":"vertical-3f2a9c","source":"192.0.2.56","action":"blocked","streamSequence":42,"appliedUs":1619623685001000,"reactionUs":1000.5}';

it("what was applied is written and read as published", () => {
  expect(new TextDecoder().decode(encodeApplied(applied))).toBe(golden);
  expect(decodeApplied(new TextEncoder().encode(golden))).toEqual(applied);
});

it.each(["blocked", "lifted", "spared", "failed"] as const)("its action may be %s", (action) => {
  expect(decodeApplied(encodeApplied({ ...applied, action })).action).toBe(action);
});

it("an enforcer's clock behind the sensor's gives a negative reaction, an unknown one null", () => {
  for (const reactionUs of [-5, null]) {
    expect(decodeApplied(encodeApplied({ ...applied, reactionUs })).reactionUs).toBe(reactionUs);
  }
});

it("members that this version doesn't know are dropped", () => {
  expect(decodeApplied(jsonBytes({ ...applied, note: "x" }))).toEqual(applied);
});

const refusedMembers: readonly (readonly [path: readonly Member[], value: unknown])[] = [
  [["version"], 0],
  [["host"], ""],
  [["interfaces"], Array.from({ length: 65 }, () => "eth0")],
  [["interfaces", 1], null],
  [["verdictId"], undefined],
  [["source"], "192.0.2.0/24"],
  [["action"], "ignored"],
  [["streamSequence"], -1],
  [["streamSequence"], 1.5],
  [["appliedUs"], "now"],
  [["reactionUs"], undefined],
];

it.each(refusedMembers)("a report where %j is %j is refused", (path, value) => {
  const error = refusal(() => decodeApplied(jsonBytes(withMember(applied, path, value))));
  expect(error.code).toBe("bad_schema");
  expect(error.message).toContain(`applied v1: ${path.join(".")}: `);
});
