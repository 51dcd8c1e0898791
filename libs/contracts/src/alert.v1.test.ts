import { expect, it } from "vitest";
import { type Alert, decodeAlert, encodeAlert } from "./alert.v1.ts";
import { jsonBytes, type Member, withMember } from "./testing/json-message.ts";
import { refusal } from "./testing/refusal.ts";

const alert: Alert = {
  version: 1,
  id: "horizontal-9c3f2a",
  source: "2001:db8:0:1::/64",
  rule: "horizontal",
  decidedBy: "detector/web-1-77",
  issuedUs: 1_619_623_685_000_250,
  evidence: {
    count: 25,
    windowSeconds: 0.5,
    destinations: ["fd00::5", "10.0.0.5"],
    ports: [22],
    hosts: ["web-1", "web-2"],
    firstSeenUs: 1_619_623_684_000_000,
    lastSeenUs: 1_619_623_685_000_000,
  },
};

// A published message: it is read for ever.
const golden =
  '{"version":1,"id":"horizontal-9c3f2a","source":"2001:db8:0:1::/64","rule":"horizontal","decidedBy":"detector/web-1-77","issuedUs":1619623685000250,"evidence":{"count":25,"windowSeconds":0.5,"destinations":["fd00::5","10.0.0.5"],"ports":[22],"hosts":["web-1","web-2"],"firstSeenUs":1619623684000000,"lastSeenUs":1619623685000000}}';

it("an alert is written and read as published", () => {
  expect(new TextDecoder().decode(encodeAlert(alert))).toBe(golden);
  expect(decodeAlert(new TextEncoder().encode(golden))).toEqual(alert);
});

it("members that this version doesn't know are dropped", () => {
  expect(decodeAlert(jsonBytes({ ...alert, severity: 9 }))).toEqual(alert);
});

const refusedMembers: readonly (readonly [path: readonly Member[], value: unknown])[] = [
  [["version"], 2],
  [["id"], ""],
  [["source"], "2001:db8:0:1::1/64"],
  [["rule"], "operator"],
  [["decidedBy"], undefined],
  [["issuedUs"], -1],
  [["evidence"], null],
  [["evidence", "hosts", 1], 7],
];

it.each(refusedMembers)("an alert where %j is %j is refused", (path, value) => {
  const error = refusal(() => decodeAlert(jsonBytes(withMember(alert, path, value))));
  expect(error.code).toBe("bad_schema");
  expect(error.message).toContain(`alert v1: ${path.join(".")}: `);
});
