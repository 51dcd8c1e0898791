import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bpfErrorOf } from "../test/bpf-error-of.ts";
import { makeTestPinFolder } from "../test/pin-folder.ts";
import { bpffsName, makePinFolder, openPin, removePin, requireBpffs } from "./bpffs.ts";

let pins: ReturnType<typeof makeTestPinFolder>;

beforeAll(() => {
  pins = makeTestPinFolder();
});
afterAll(() => pins.remove());

test("a folder is on bpffs if its nearest parent that exists is", () => {
  requireBpffs(pins.path);
  requireBpffs(join(pins.path, "not", "there", "yet"));
  const error = bpfErrorOf(() => requireBpffs(join(tmpdir(), "not", "there")));
  expect(error).toMatchObject({ code: "NO_BPFFS", subject: join(tmpdir(), "not", "there") });
  expect(error.hint).toContain("mount -t bpf bpf /sys/fs/bpf");
});

test("a pin folder is made with its parents, and making it again is harmless", () => {
  const folder = join(pins.path, "a", "b");
  makePinFolder(folder);
  makePinFolder(folder);
  expect(existsSync(folder)).toBe(true);
});

test("bpffs refuses a name with a dot, and the error says what to do", () => {
  const error = bpfErrorOf(() => makePinFolder(join(pins.path, "eth0.100")));
  expect(error).toMatchObject({ code: "SYSCALL", errnoName: "EPERM" });
  expect(error.hint).toContain("bpffsName");
  makePinFolder(join(pins.path, bpffsName("eth0.100")));
});

test.each([
  ["eth0", "eth0"],
  ["eth0.100", "eth0%2e100"],
  ["a%2eb", "a%252eb"],
])("the name of %s on bpffs is %s", (name, onBpffs) => {
  expect(bpffsName(name)).toBe(onBpffs);
});

test("a missing pin off bpffs is NO_BPFFS, for the file system is what is missing", () => {
  expect(bpfErrorOf(() => openPin(join(tmpdir(), "pwb-none", "map"), "map")).code).toBe("NO_BPFFS");
});

test("a pin that can't be removed is an error, and one that isn't there is not", () => {
  expect(removePin(join(pins.path, "none"))).toBe(false);
  makePinFolder(join(pins.path, "folder"));
  expect(bpfErrorOf(() => removePin(join(pins.path, "folder"))).operation).toBe("remove pin");
});
