import { describe, expect, it } from "vitest";
import { isMounted } from "./bpffs.ts";

const sysfs = "24 30 0:22 / /sys rw,nosuid shared:7 - sysfs sysfs rw";

describe("bpffs", () => {
  const tables = [
    [
      "mounted",
      `${sysfs}\n33 24 0:29 / /sys/fs/bpf rw,nosuid shared:11 - bpf bpf rw,mode=700\n`,
      true,
    ],
    ["mounted without optional fields", "33 24 0:29 / /sys/fs/bpf rw - bpf none rw\n", true],
    ["not mounted", `${sysfs}\n`, false],
    ["mounted elsewhere", "33 24 0:29 / /mnt/bpf rw shared:11 - bpf bpf rw\n", false],
    [
      "something else is mounted there",
      "33 24 0:29 / /sys/fs/bpf rw shared:11 - tmpfs tmpfs rw\n",
      false,
    ],
  ] as const;
  it.each(tables)("%s", (_what, mountinfo, expected) => {
    expect(isMounted(mountinfo)).toBe(expected);
  });
});
