import fc from "fast-check";
import { expect, it } from "vitest";
import { fuzzed, fuzzSeed } from "../../../test/support/fuzz-budget.ts";
import { AddressError, formatAddress, parseAddress } from "./address.ts";
import { formatPrefix, parsePrefix } from "./prefix.ts";

const RUNS = 10_000;

/** Text made of what addresses are made of, and any other. */
const nearlyAddress = fc
  .array(
    fc.constantFrom(
      "1",
      "0",
      "255",
      "256",
      "ffff",
      "g",
      ".",
      ":",
      "::",
      "/",
      "/24",
      "/129",
      "-",
      "%eth0",
      " ",
      "0x7f",
      "٣",
    ),
    { maxLength: 14 },
  )
  .map((parts) => parts.join(""));
const hostileText = fc.oneof(
  nearlyAddress,
  fc.ipV4(),
  fc.ipV6(),
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.constantFrom(":".repeat(100_000), "1".repeat(100_000), `${"0:".repeat(7)}0`, "/".repeat(1000)),
);

/** What is taken must be the same again when it is written and read. */
function expectReadOrRefused<T>(
  text: string,
  parse: (text: string) => T,
  format: (value: T) => string,
): void {
  let value: T;
  try {
    value = parse(text);
  } catch (error) {
    expect(error).toBeInstanceOf(AddressError);
    expect((error as Error).message.length).toBeLessThan(500);
    return;
  }
  expect(parse(format(value))).toEqual(value);
}

it(`any text is an address that can be written, or refused (FUZZ_SEED=${fuzzSeed})`, () => {
  fc.assert(
    fc.property(hostileText, (text) => expectReadOrRefused(text, parseAddress, formatAddress)),
    fuzzed(RUNS),
  );
});

it(`any text is a prefix that can be written, or refused (FUZZ_SEED=${fuzzSeed})`, () => {
  const withLength = fc
    .tuple(
      hostileText,
      fc.oneof(fc.integer({ min: -1, max: 130 }), fc.constantFrom("", "1e1", "0x8", "08", "8.0")),
    )
    .map(([text, bits]) => `${text}/${bits}`);
  fc.assert(
    fc.property(fc.oneof(hostileText, withLength), (text) =>
      expectReadOrRefused(text, parsePrefix, formatPrefix),
    ),
    fuzzed(RUNS),
  );
});
