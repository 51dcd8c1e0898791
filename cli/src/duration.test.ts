import { describe, expect, it } from "vitest";
import {
  durationArgument,
  formatDuration,
  longDurationArgument,
  parseDuration,
} from "./duration.ts";

describe("a length of time", () => {
  it.each([
    ["90", 90],
    ["90s", 90],
    ["500ms", 0.5],
    ["1.5m", 90],
    ["2h", 7200],
    ["1d", 86_400],
    [" 10m ", 600],
  ])("%j is %d seconds", (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each(["", "m", "-1s", "1 m", "1h30m", "1e3", "10min", "Infinity"])("%j is none", (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  it.each(["0", "0s", "20.1d", "soon"])(
    "an option can't be %j, and says what it can be",
    (text) => {
      expect(() => durationArgument(text)).toThrow("such as 90s, 10m");
    },
  );

  it.each([
    ["1s", 1],
    ["30d", 2_592_000],
    ["3650d", 315_360_000],
  ])("what no timer waits for may be %j", (text, seconds) => {
    expect(longDurationArgument(text)).toBe(seconds);
  });

  it.each(["0", "999ms", "3651d", "soon"])("what no timer waits for can't be %j", (text) => {
    expect(() => longDurationArgument(text)).toThrow("It is a time from 1s to 3650d, such as");
  });

  it.each([
    [0.25, "0.25s"],
    [1, "1s"],
    [59.6, "1m"],
    [90, "1m 30s"],
    [3600, "1h"],
    [90_061, "1d 1h"],
    [0, "0s"],
  ])("%d seconds are written %j", (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });
});
