import { expect, test } from "vitest";
import { verdictId, type VerdictIdOptions } from "./verdict-id.ts";

const verdict: VerdictIdOptions = {
  rule: "vertical",
  sourceKey: [0, 0, 0xffff, 0xcb007109],
  event: {
    timeUs: 1_704_067_200_000_001,
    destination: [0, 0, 0xffff, 0xc0000201],
    sourcePort: 40_000,
    destinationPort: 82,
  },
};

test("an id is 128 bits, the same in every process and release", () => {
  expect(verdictId(verdict)).toMatchInlineSnapshot(`"5a73e0a981fcd946224311d08cc75b95"`);
});

test.each<Partial<VerdictIdOptions> & { title: string }>([
  { title: "rule", rule: "horizontal" },
  { title: "source", sourceKey: [0, 0, 0xffff, 0xcb00710a] },
  {
    title: "time, by a microsecond",
    event: { ...verdict.event, timeUs: verdict.event.timeUs + 1 },
  },
  { title: "destination", event: { ...verdict.event, destination: [0, 0, 0xffff, 0xc0000202] } },
  { title: "source port", event: { ...verdict.event, sourcePort: 40_001 } },
  { title: "destination port", event: { ...verdict.event, destinationPort: 83 } },
])("another $title is another id", ({ title: _title, ...change }) => {
  expect(verdictId({ ...verdict, ...change })).not.toBe(verdictId(verdict));
});
