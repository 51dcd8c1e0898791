import { describe, expect, it } from "vitest";
import { unknownVariables } from "./unknown-variables.ts";
import { type Variable, variables } from "./variables.ts";

describe("a PW_ variable that nothing reads is reported", () => {
  it.each([
    [
      "PW_PORTSCAN_TRESHOLD",
      " (did you mean PW_PORTSCAN_TIME_THRESHOLD or PW_PORTSCAN_PORT_THRESHOLD?)",
    ],
    ["PW_PORTSCAN_PORT_TRESHOLD", " (did you mean PW_PORTSCAN_PORT_THRESHOLD?)"],
    ["PW_IFDEVS", " (did you mean PW_IFDEV?)"],
    ["PW_ifdev", " (did you mean PW_IFDEV?)"],
    ["PW_WHITELISTSELF", " (did you mean PW_WHITELIST_SELF?)"],
    ["PW_NATS_URLS", " (did you mean PW_NATS_URL?)"],
    ["PW_COLOUR", ""],
    ["PW_", ""],
  ])("%s%s", (name, suggestion) => {
    expect(unknownVariables({ [name]: "1" })).toEqual([`${name}${suggestion}`]);
  });

  it("also where it is empty", () => {
    expect(unknownVariables({ PW_IFDEVS: "" })).toHaveLength(1);
  });

  it("all known variables and those of others are no concern", () => {
    const known = Object.values<Variable>(variables).map(({ name }) => [name, "x"]);
    const others = { PATH: "/bin", PWD: "/", pw_ifdev: "lo", XPW_IFDEV: "lo" };
    expect(unknownVariables({ ...Object.fromEntries(known), ...others })).toEqual([]);
  });

  it("at most 32 of them, each cut to 64 characters", () => {
    const many = Array.from({ length: 100 }, (_, index) => [
      `PW_${index}${"X".repeat(10_000)}`,
      "",
    ]);
    const reported = unknownVariables(Object.fromEntries(many));
    expect(reported).toHaveLength(32);
    for (const name of reported) expect(name).toHaveLength(64);
  });
});
