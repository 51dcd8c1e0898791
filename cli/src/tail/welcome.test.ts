import { describe, expect, it } from "vitest";
import { welcomeLines } from "./welcome.ts";

const config = { interfaces: ["lo"], portThreshold: 3, windowSeconds: 60, whitelistSelf: true };

describe("the welcome", () => {
  it("names interface, thresholds and policy", () => {
    expect(welcomeLines(config)).toEqual([
      "Packetwatch is watching lo",
      "A source that tries 3 ports of one address within 60 seconds is blocked",
      "Own addresses are never blocked (PW_WHITELIST_SELF)",
    ]);
  });

  it("follows the configuration", () => {
    const other = {
      interfaces: ["eth0", "eth1"],
      portThreshold: 1,
      windowSeconds: 1,
      whitelistSelf: false,
    };
    expect(welcomeLines(other)).toEqual([
      "Packetwatch is watching eth0, eth1",
      "A source that tries 1 port of one address within 1 second is blocked",
      "Own addresses are blocked like any other (PW_WHITELIST_SELF)",
    ]);
  });
});
