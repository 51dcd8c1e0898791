import { expect, it } from "vitest";
import { RejectionLog } from "./rejection-log.ts";

it("counts every rejection, and logs sums at growing intervals", () => {
  const logged: { readonly atMs: number; readonly messages: number }[] = [];
  const counted: string[] = [];
  let nowMs = 0;
  const log = new RejectionLog({
    counter: {
      inc: ({ reason }) => counted.push(reason),
      labels: () => ({ inc: () => undefined }),
    },
    warn: (fields) => logged.push({ atMs: nowMs, ...(fields as { messages: number }) }),
    now: () => nowMs,
  });
  for (; nowMs < 10_000; nowMs += 100) log.add({ reason: "bad_json", subject: "s", detail: "d" });
  expect(counted).toHaveLength(100);
  expect(logged.map(({ atMs, messages }) => [atMs, messages])).toEqual([
    [0, 1],
    [1000, 10],
    [3000, 20],
    [7000, 40],
  ]);
});
