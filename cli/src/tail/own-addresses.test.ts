import type { NetworkInterfaceInfo } from "node:os";
import { describe, expect, it } from "vitest";
import { ownAddresses } from "./own-addresses.ts";

const info = (address: string) => ({ address }) as NetworkInterfaceInfo;
const interfaces = {
  lo: [info("127.0.0.1"), info("::1")],
  eth0: [info("10.0.0.5"), info("FE80:0::1%eth0")],
  "eth0:1": [info("10.0.0.6"), info("10.0.0.5")],
  eth01: [info("10.0.0.7")],
};

describe("own addresses", () => {
  it.each([
    [["lo"], ["127.0.0.1", "::1"]],
    [["eth0"], ["10.0.0.5", "fe80::1", "10.0.0.6"]],
    [
      ["eth0", "lo"],
      ["127.0.0.1", "::1", "10.0.0.5", "fe80::1", "10.0.0.6"],
    ],
    [["eth9"], []],
  ])("of %j are %j: canonical, each once, with those that have a label", (names, addresses) => {
    expect(ownAddresses(interfaces, names)).toEqual(addresses);
  });
});
