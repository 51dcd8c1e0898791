import { loadConfig } from "@packetwatch/config";
import { defaultRules } from "@packetwatch/detection";
import { describe, expect, it } from "vitest";
import { fleetWelcomeLines, welcomeLines } from "./welcome.ts";

const configOf = (variables: Readonly<Record<string, string>>) => loadConfig("cli", variables);

describe("the welcome", () => {
  it("names interface, thresholds and policy", () => {
    expect(welcomeLines(configOf({ PW_IFDEV: "lo" }))).toEqual([
      "Packetwatch is watching lo",
      "A source that tries 3 ports of one address within 60 seconds is blocked",
      "Own addresses are never blocked (PW_WHITELIST_SELF)",
    ]);
  });

  it("follows the configuration", () => {
    const variables = {
      PW_IFDEV: "eth0,eth1",
      PW_PORTSCAN_PORT_THRESHOLD: "1",
      PW_PORTSCAN_TIME_THRESHOLD: "1",
      PW_WHITELIST_SELF: "False",
    };
    expect(welcomeLines(configOf(variables))).toEqual([
      "Packetwatch is watching eth0, eth1",
      "A source that tries 1 port of one address within 1 second is blocked",
      "Own addresses are blocked like any other (PW_WHITELIST_SELF)",
    ]);
  });

  it.each([
    [
      "alert",
      ["A source that tries 3 ports of one address within 60 seconds is reported, and not blocked"],
    ],
    ["off", []],
  ])("of a rule that is to %s is true, too", (action, lines) => {
    const all = welcomeLines(configOf({ PW_IFDEV: "lo", PW_VERTICAL_ACTION: action }));
    expect(all.slice(1, -1)).toEqual(lines);
  });

  it("of a fleet names its hosts and what its detectors block", () => {
    const hosts = [
      { host: "a", interfaces: ["eth0", "eth1"] },
      { host: "b\u001b[2J", interfaces: [] },
      ...["c", "d", "e", "f", "g"].map((host) => ({ host, interfaces: ["eth0"] })),
    ];
    expect(fleetWelcomeLines({ hosts, rules: defaultRules })).toEqual([
      "Packetwatch is watching 7 hosts: a (eth0, eth1), b?[2J (no interface yet), c (eth0), d (eth0), e (eth0), 2 more",
      "A source that tries 3 ports of one address within 60 seconds is blocked",
    ]);
  });

  it("of a fleet that is not heard says nothing", () => {
    expect(fleetWelcomeLines({ hosts: [], rules: undefined })).toEqual([]);
  });
});
