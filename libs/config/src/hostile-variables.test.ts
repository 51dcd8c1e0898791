import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fuzzed, fuzzSeed } from "../../../test/support/fuzz-budget.ts";
import { ConfigError } from "./config-error.ts";
import { loadConfig } from "./load-config.ts";
import { type Variable, variables } from "./variables.ts";

const RUNS = 400;
/** One line about one variable, whatever it holds. */
const MAX_MESSAGE_CHARACTERS = 1000;

const hostileText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc
    .array(
      fc.constantFrom(
        "1",
        "0",
        "-",
        ".",
        ",",
        "e",
        "MiB",
        "nats://",
        "[",
        "]",
        "@",
        ":",
        "/",
        "eth0",
        "\n",
        "\0",
      ),
      { maxLength: 10 },
    )
    .map((parts) => parts.join("")),
  fc.constantFrom(
    "x".repeat(200_000),
    ",".repeat(100_000),
    "9".repeat(1000),
    "__proto__",
    "NaN",
    "\u202e",
  ),
);

const table = Object.values<Variable>(variables).map(({ name, readBy }) => ({ name, readBy }));

describe(`variables hold anything (FUZZ_SEED=${fuzzSeed})`, () => {
  it.each(table)(
    "$name is taken, or refused in one short message that names it",
    ({ name, readBy }) => {
      const [service] = readBy;
      if (service === undefined) throw new Error(`nobody reads ${name}`);
      fc.assert(
        fc.property(hostileText, (text) => {
          try {
            loadConfig(service, { [name]: text });
          } catch (error) {
            expect(error).toBeInstanceOf(ConfigError);
            const { message } = error as ConfigError;
            expect(message).toContain(name);
            expect(message.length).toBeLessThan(MAX_MESSAGE_CHARACTERS);
          }
        }),
        fuzzed(RUNS),
      );
    },
  );
});
