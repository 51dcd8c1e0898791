import { defaultRules } from "@packetwatch/detection";
import { expect, it } from "vitest";
import { warmUp } from "./warm-up.ts";

it("warming up goes all the way to verdicts", () => {
  expect(warmUp(defaultRules)).toBeGreaterThanOrEqual(50);
});
