import {
  type AllowEntry,
  encodeAllowEntry,
  encodeEnforcement,
  type Enforcement,
} from "@packetwatch/contracts";
import { formatPrefix } from "@packetwatch/net";
import { describe, expect, it } from "vitest";
import {
  allowedByOperators,
  createOperatorSettings,
  decideEnforcement,
} from "./operator-settings.ts";

const NOW_US = 1_800_000_000_000_000;

function createSettings() {
  const rejected: string[] = [];
  const settings = createOperatorSettings((reason) => void rejected.push(reason));
  let sequence = 0;
  const send = (
    list: "allowlist" | "enforcement",
    message: { subject: string; payload?: Uint8Array; markerReason?: string },
  ) =>
    settings[list].take({
      payload: new Uint8Array(0),
      markerReason: undefined,
      sequence: ++sequence,
      ...message,
    });
  const allow = (prefix: string, expiresUs: number | null = null) => {
    const entry: AllowEntry = { version: 1, prefix, addedBy: "operator/a", addedUs: 1, expiresUs };
    send("allowlist", { subject: prefix, payload: encodeAllowEntry(entry) });
  };
  const set = (enforce: Enforcement["enforce"], where: Partial<Enforcement> = {}) => {
    const setting: Enforcement = {
      version: 1,
      host: null,
      enforce,
      setBy: "operator/a",
      setUs: 1,
      untilUs: null,
      ...where,
    };
    const subject = `${setting.host} ${setting.untilUs === null ? "lasting" : "trial"}`;
    send("enforcement", { subject, payload: encodeEnforcement(setting) });
  };
  const allowed = (nowUs = NOW_US) => allowedByOperators(settings, nowUs).map(formatPrefix);
  const decide = (nowUs = NOW_US, host = "web-1") => decideEnforcement(settings, { host, nowUs });
  return { settings, rejected, send, allow, set, allowed, decide };
}

describe("what operators allow", () => {
  it("is the last value of each key, until it is removed", () => {
    const { allow, send, allowed } = createSettings();
    allow("192.0.2.1");
    allow("2001:db8::/32");
    allow("192.0.2.1", NOW_US + 1);
    expect(allowed()).toEqual(["192.0.2.1", "2001:db8::/32"]);
    send("allowlist", { subject: "192.0.2.1", markerReason: "PURGE" });
    expect(allowed()).toEqual(["2001:db8::/32"]);
  });

  it.each([
    [-1, []],
    [0, []],
    [1, ["192.0.2.1"]],
  ])("an entry that ends %d µs from now: %j", (distanceUs, expected) => {
    const { allow, allowed } = createSettings();
    allow("192.0.2.1", NOW_US + distanceUs);
    expect(allowed()).toEqual(expected);
  });

  it("an entry that breaks the contract is counted, and takes the place of the one before", () => {
    const { settings, allow, send, allowed, rejected } = createSettings();
    allow("192.0.2.1");
    send("allowlist", { subject: "192.0.2.1", payload: new TextEncoder().encode("{") });
    expect(allowed()).toEqual([]);
    expect(rejected).toEqual(["bad_json"]);
    expect(settings.allowlist.sequence).toBe(2);
  });

  it("a bucket that was made anew takes nothing away before it holds something", () => {
    const { settings, allow, allowed } = createSettings();
    allow("192.0.2.1");
    settings.allowlist.restart();
    expect(allowed()).toEqual(["192.0.2.1"]);
    allow("192.0.2.2");
    settings.allowlist.finish();
    expect(allowed()).toEqual(["192.0.2.2"]);
  });

  it("what is read again replaces what was held when all of it has come, be it nothing", () => {
    const { settings, allow, allowed } = createSettings();
    allow("192.0.2.1");
    allow("192.0.2.2");
    settings.allowlist.restart();
    allow("192.0.2.2");
    expect(allowed()).toEqual(["192.0.2.1", "192.0.2.2"]);
    expect(settings.allowlist.sequence).toBe(0);
    settings.allowlist.finish();
    expect(allowed()).toEqual(["192.0.2.2"]);
    expect(settings.allowlist.sequence).toBe(3);
    settings.allowlist.restart();
    settings.allowlist.finish();
    expect(allowed()).toEqual([]);
  });
});

describe("whether a host drops", () => {
  const nothing = { set: undefined, setBy: "variable", untilUs: undefined, setAfter: undefined };

  it("is PW_ENFORCE's matter where nothing is set, or set back to it", () => {
    const { set, decide } = createSettings();
    expect(decide()).toEqual(nothing);
    set("off");
    set("default");
    expect(decide()).toEqual(nothing);
  });

  it("is what was set last, for the host or for the fleet", () => {
    const { set, decide } = createSettings();
    set("off", { host: "web-1" });
    set("off", { host: "web-2" });
    expect(decide()).toMatchObject({ set: "off", setBy: "host", setAfter: "off" });
    set("on");
    expect(decide()).toMatchObject({ set: "on", setBy: "fleet", setAfter: "on" });
    set("off", { host: "web-2" });
    expect(decide()).toMatchObject({ set: "on", setBy: "fleet" });
    expect(decide(NOW_US, "web-2")).toMatchObject({ set: "off", setBy: "host" });
  });

  it("a trial holds until its end, and then each host has what it had", () => {
    const { set, decide } = createSettings();
    set("off", { host: "web-1" });
    set("on", { untilUs: NOW_US + 10 });
    const trial = { set: "on", setBy: "fleet", untilUs: NOW_US + 10 };
    expect(decide()).toEqual({ ...trial, setAfter: "off" });
    expect(decide(NOW_US, "web-2")).toEqual({ ...trial, setAfter: undefined });
    expect(decide(NOW_US + 10)).toMatchObject({ set: "off", setBy: "host", untilUs: undefined });
    expect(decide(NOW_US + 10, "web-2")).toEqual(nothing);
  });

  it("a trial that is confirmed stays", () => {
    const { set, decide } = createSettings();
    set("on", { untilUs: NOW_US + 10 });
    set("on");
    expect(decide(NOW_US + 11)).toMatchObject({ set: "on", setBy: "fleet", untilUs: undefined });
  });

  it("a trial within a longer trial falls back to that one", () => {
    const { set, decide } = createSettings();
    set("off", { untilUs: NOW_US + 100 });
    set("on", { host: "web-1", untilUs: NOW_US + 10 });
    expect(decide()).toEqual({
      set: "on",
      setBy: "host",
      untilUs: NOW_US + 10,
      setAfter: "off",
    });
    expect(decide(NOW_US + 10)).toEqual({
      set: "off",
      setBy: "fleet",
      untilUs: NOW_US + 100,
      setAfter: undefined,
    });
  });
});
