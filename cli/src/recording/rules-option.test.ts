import { defaultRules } from "@packetwatch/detection";
import { InvalidArgumentError } from "commander";
import { describe, expect, it } from "vitest";
import { changeRules, describeRules, rulesArgument } from "./rules-option.ts";

describe("--rules", () => {
  it.each([
    ["vertical=3/60s:block", { vertical: { threshold: 3, windowUs: 60e6, action: "block" } }],
    ["vertical=3/60:off", { vertical: { threshold: 3, windowUs: 60e6, action: "off" } }],
    ["spread=1024/1d:alert", { spread: { threshold: 1024, windowUs: 86_400e6, action: "alert" } }],
    ["horizontal=1/1ms:alert", { horizontal: { threshold: 1, windowUs: 1000, action: "alert" } }],
    [
      " vertical = off , spread = 9 / 5m : block ",
      {
        vertical: { action: "off" },
        spread: { threshold: 9, windowUs: 300e6, action: "block" },
      },
    ],
  ])("%j is read", (text, changes) => {
    expect(rulesArgument(text)).toEqual(changes);
  });

  it.each([
    ["", "vertical, horizontal or spread"],
    ["diagonal=off", '"diagonal=off": a rule is vertical, horizontal or spread'],
    ["toString=off", "a rule is vertical"],
    ["vertical", "it is vertical=SETTING"],
    ["vertical=off=on", "it is vertical=SETTING"],
    ["vertical=off,vertical=off", "vertical is there twice"],
    ["vertical=3", "THRESHOLD/WINDOW:ACTION"],
    ["vertical=3/60s", "THRESHOLD/WINDOW:ACTION"],
    ["vertical=block", "THRESHOLD/WINDOW:ACTION"],
    ["vertical=0/60s:block", "the threshold is a whole number from 1 to 1024"],
    ["vertical=1025/60s:block", "the threshold is a whole number from 1 to 1024"],
    ["vertical=3.5/60s:block", "the threshold is"],
    ["vertical=3/0s:block", "the window is seconds from 0.001 to 86400"],
    ["vertical=3/2d:block", "the window is seconds from 0.001 to 86400"],
    ["vertical=3/soon:block", "500ms, 60s, 5m, 1h"],
    ["vertical=3/60s:ban", "the action is block, alert or off"],
    ["vertical=3/60s:block,", "a rule is"],
  ])("%j is refused, and the error says what may be there", (text, part) => {
    const error = catching(() => rulesArgument(text));
    expect(error).toBeInstanceOf(InvalidArgumentError);
    expect(error.message).toContain(part);
    expect(error.message).toContain("Example: vertical=3/60s:block");
  });

  it("changes the rules that it names, and no other", () => {
    const rules = changeRules(defaultRules, rulesArgument("vertical=9/1h:alert,spread=off"));
    expect(rules).toEqual({
      vertical: { threshold: 9, windowUs: 3600e6, action: "alert" },
      horizontal: defaultRules.horizontal,
      spread: { ...defaultRules.spread, action: "off" },
    });
    expect(describeRules(rules)).toBe(
      "vertical 9 ports in 1h: alert; horizontal 25 addresses in 5m: alert; spread off",
    );
  });
});

function catching(action: () => unknown): Error {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}
