import { expect, test } from "vitest";
import { CACHE_LINE_BYTES, loadTogether } from "./line-memory.ts";

/** One line for each bit, so that what is loaded can be told from the result. */
const lineWords = CACHE_LINE_BYTES / 4;
const words = new Uint32Array(8 * lineWords);
for (let line = 0; line < 8; line++) words[line * lineWords] = 1 << line;
const places = Int32Array.from({ length: 8 }, (_, line) => line * lineWords);

test.each([
  [0, 0],
  [1, 0b1111],
  [4, 0b1111],
  [5, 0b11111111],
  [8, 0b11111111],
])("of the first %i places every one is loaded, four at a time", (count, loaded) => {
  expect(loadTogether(words, places, count)).toBe(loaded);
});
