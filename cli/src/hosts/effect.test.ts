import { expect, it } from "vitest";
import { describeEffect, type Effect, effectJson, isWhole } from "./effect.ts";

const effect: Effect = {
  done: [],
  spared: [],
  full: [],
  idle: [],
  late: [],
  silent: [],
  durationMs: 4,
  waitedMs: 5000,
};
const silent = [{ host: "host-c", silentSeconds: 12 }];

it.each([
  ["lifted", { done: ["a"] }, "lifted on 1/1 host in 4 ms", true],
  ["blocked", { done: ["a", "b", "c"] }, "blocked on 3/3 hosts in 4 ms", true],
  ["16 sources lifted", { done: ["a"] }, "16 sources lifted on 1/1 host in 4 ms", true],
  [
    "lifted",
    { done: ["a", "b"], silent },
    "lifted on 2/3 hosts in 4 ms; host-c not heard for 12s",
    false,
  ],
  [
    "allowed",
    { done: ["a"], late: ["b"] },
    "allowed on 1/2 hosts in 4 ms; b not confirmed within 5s",
    false,
  ],
  [
    "blocked",
    { done: ["a"], spared: ["b"] },
    "blocked on 1/2 hosts in 4 ms; b spared: allow-listed there",
    true,
  ],
  [
    "allowed",
    { done: ["a"], full: ["b"] },
    "allowed on 1/2 hosts in 4 ms; b no room in the allow map",
    false,
  ],
  [
    "dropping",
    { done: ["a"], idle: ["b"] },
    "dropping on 1/2 hosts in 4 ms; b watches no interface yet: is capture running there?",
    false,
  ],
  ["lifted", {}, "lifted on no host: none is heard; each does it when its enforcer is back", false],
] as const)("%s, %j reads %s", (verb, changes, text, isDone) => {
  const what = { ...effect, ...changes };
  expect(describeEffect({ verb, map: "allow map" }, what)).toBe(text);
  expect(isWhole(what)).toBe(isDone);
});

it("as JSON has every host by what it did, and how long that took", () => {
  expect(effectJson({ ...effect, done: ["a"], silent })).toEqual({
    done: ["a"],
    spared: [],
    full: [],
    idle: [],
    late: [],
    silent,
    durationMs: 4,
  });
});
