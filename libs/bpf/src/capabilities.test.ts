import { expect, test } from "vitest";
import { asNobody } from "../test/unprivileged.ts";
import { missingCapabilities } from "./capabilities.ts";

const status = (bits: readonly bigint[]) =>
  `Name:\tnode\nCapEff:\t${bits
    .reduce((sum, bit) => sum | (1n << bit), 0n)
    .toString(16)
    .padStart(16, "0")}\n`;

test.each([
  ["none", [], ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]],
  ["all three", [12n, 38n, 39n], []],
  ["CAP_BPF", [39n], ["CAP_NET_ADMIN", "CAP_PERFMON"]],
  ["CAP_SYS_ADMIN, which stands in for two,", [21n], ["CAP_NET_ADMIN"]],
] as const)("with %s the missing ones are named", (_, bits, missing) => {
  expect(missingCapabilities(status(bits))).toEqual(missing);
});

test("what this thread lacks is read from the kernel", () => {
  expect(missingCapabilities()).toEqual([]);
  expect(asNobody(() => missingCapabilities())).toEqual([
    "CAP_BPF",
    "CAP_NET_ADMIN",
    "CAP_PERFMON",
  ]);
});
