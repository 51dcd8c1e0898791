import { describe, expect, it } from "vitest";
import { PublishTrouble } from "./publish-trouble.ts";

function createTrouble() {
  const said: object[] = [];
  const clock = { ms: 0 };
  const warn = (fields: object) => void said.push(fields);
  const trouble = new PublishTrouble({ warn, now: () => clock.ms });
  const failAt = (ms: number) => {
    clock.ms = ms;
    trouble.failed(new Error("no stream"));
  };
  return { trouble, said, failAt };
}

describe("trouble in publishing", () => {
  it("is said once, when it has lasted 2 seconds", () => {
    const { said, failAt } = createTrouble();
    for (const ms of [0, 1000, 1999]) failAt(ms);
    expect(said).toEqual([]);
    for (const ms of [2000, 5000, 60_000]) failAt(ms);
    expect(said).toEqual([{ cause: "no stream" }]);
  });

  it("is news again after something was stored", () => {
    const { trouble, said, failAt } = createTrouble();
    for (const ms of [0, 2000]) failAt(ms);
    trouble.stored();
    for (const ms of [3000, 4999]) failAt(ms);
    expect(said.length).toBe(1);
    failAt(5000);
    expect(said.length).toBe(2);
  });
});
