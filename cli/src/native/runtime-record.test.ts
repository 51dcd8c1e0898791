import { expect, it } from "vitest";
import { recordedEnvironment } from "./runtime-record.ts";

it("of PW_ variables a recorded run has its own alone, and of others those of now", () => {
  const now = { PATH: "/bin", PW_IFDEV: "eth1", PW_PIN_DIR: "/sys/fs/bpf/other" };
  expect(recordedEnvironment(now, { PW_PIN_DIR: "/sys/fs/bpf/first" })).toEqual({
    PATH: "/bin",
    PW_PIN_DIR: "/sys/fs/bpf/first",
  });
});
