import { expect, test } from "vitest";
import { compile } from "../test/compile.ts";
import { decodeBtf } from "./btf.ts";
import { openObject } from "./object-spec.ts";

const { btf } = openObject(compile("fixture"));

test("a struct's members have the compiler's offsets and sizes", () => {
  expect(btf.structs.get("fixture_layout")).toEqual({
    name: "fixture_layout",
    size: 64,
    members: [
      { name: "tag", offset: 0, size: 1 },
      { name: "time", offset: 8, size: 8 },
      { name: "ports", offset: 16, size: 12 },
      { name: "pointer", offset: 32, size: 8 },
      { name: "nested", offset: 40, size: 16 },
      { name: "kind", offset: 56, size: 4 },
      { name: "low", offset: 60, size: 4 },
      { name: "high", offset: 60, size: 4 },
    ],
  });
});

test("enumerators have their values", () => {
  expect(["FIXTURE_FIRST", "FIXTURE_SECOND"].map((name) => btf.enumerators.get(name))).toEqual([
    3n,
    4n,
  ]);
});

// Clang says since version 15 whether an enum is signed or 64 bits wide.
test.each([
  ["of a signed enum", kindOf(6, "signed"), [0xffff_fffe], -2n],
  ["of an unsigned enum", kindOf(6, "unsigned"), [0xffff_fffe], 0xffff_fffen],
  ["of an unsigned 64-bit enum", kindOf(19, "unsigned"), [1, 0xffff_ffff], 0xffff_ffff_0000_0001n],
  ["of a signed 64-bit enum", kindOf(19, "signed"), [1, 0xffff_ffff], -0xffff_ffffn],
] as const)("an enumerator %s has its value", (_, info, words, value) => {
  const types = [1, info, 8, 3, ...words];
  expect(decodeBtf(encodeBtf(types, "\0e\0V\0")).enumerators.get("V")).toBe(value);
});

/** A header, types of 32-bit words and strings. */
function encodeBtf(types: readonly number[], strings: string): Uint8Array {
  const header = Uint32Array.of(
    0x1_eb9f,
    24,
    0,
    types.length * 4,
    types.length * 4,
    strings.length,
  );
  return Buffer.concat([
    new Uint8Array(header.buffer),
    new Uint8Array(Uint32Array.from(types).buffer),
    Buffer.from(strings),
  ]);
}

test("globals have their section and place", () => {
  const { globals } = btf;
  const [first, second] = ["first_setting", "second_setting"].map((name) => globals.get(name));
  expect(first).toEqual({ name: "first_setting", section: ".rodata", offset: 0, size: 4 });
  expect(second).toEqual({ name: "second_setting", section: ".rodata", offset: 8, size: 16 });
  expect(globals.get("sequence")).toMatchObject({ section: ".bss", size: 8 });
});

test("what is not BTF is refused", () => {
  expect(() => decodeBtf(new Uint8Array(64))).toThrow(/magic/);
});

/** The info word of an enum of one enumerator. */
function kindOf(kind: number, sign: "signed" | "unsigned"): number {
  return (sign === "signed" ? 0x8000_0000 : 0) + kind * 2 ** 24 + 1;
}
