import { expect, it } from "vitest";
import { causeText, counted } from "./printable.ts";

it.each([
  [0, "port", "0 ports"],
  [1, "batch", "1 batch"],
  [2, "batch", "2 batches"],
  [2, "entry", "2 entries"],
  [8, "key", "8 keys"],
  [3, "process", "3 processes"],
])("%d of %s read %j", (count, noun, text) => {
  expect(counted(count, noun)).toBe(text);
});

it.each([
  ["ENOENT: no such file or directory, open '/a, b'", "ENOENT: no such file or directory"],
  ["EISDIR: illegal operation on a directory, read", "EISDIR: illegal operation on a directory"],
  ["ENOSPC", "ENOSPC"],
])("of %j the cause is %j", (message, cause) => {
  expect(causeText(new Error(message))).toBe(cause);
});
