import { expect, it } from "vitest";
import { warmUp } from "./warm-up.ts";

it("warming up takes every verdict", () => {
  expect(warmUp()).toBe(50);
});
