import { expect, test } from "vitest";
import { bpfErrorOf } from "../test/bpf-error-of.ts";
import { asNobody } from "../test/unprivileged.ts";
import { kernelFeatures, requireKernel } from "./kernel-features.ts";

test.each([
  ["5.8.18", { xdpLink: false, xdpFrags: false }],
  ["5.9.0-rc1", { xdpLink: true, xdpFrags: false }],
  ["5.17.15-arch1", { xdpLink: true, xdpFrags: false }],
  ["5.18.0", { xdpLink: true, xdpFrags: true }],
  ["6.1.0-38-amd64", { ringBuffer: true, xdpLink: true, xdpFrags: true }],
])("Linux %s has %o", (release, features) => {
  expect(kernelFeatures(release)).toMatchObject({ release, ...features });
});

test("a ring buffer that an old version has by a backport is found by a probe, which needs capabilities", () => {
  expect(kernelFeatures("4.18.0-553.el8.x86_64").ringBuffer).toBe(true);
  expect(asNobody(() => kernelFeatures("4.18.0").ringBuffer)).toBe(false);
});

test("the running kernel has all that is needed", () => {
  expect(kernelFeatures()).toMatchObject({ ringBuffer: true, xdpLink: true });
  requireKernel("ringBuffer");
});

test.each([
  ["ringBuffer", "use BPF ring buffer: Linux 4.19.0 does not have it; run Linux 5.8 or later"],
  ["xdpLink", "use XDP bpf_link: Linux 4.19.0 does not have it; run Linux 5.9 or later"],
] as const)(
  "a kernel without %s is KERNEL_TOO_OLD, with feature and version",
  (feature, message) => {
    const features = { release: "4.19.0", ringBuffer: false, xdpLink: false, xdpFrags: false };
    expect(bpfErrorOf(() => requireKernel(feature, features))).toMatchObject({
      code: "KERNEL_TOO_OLD",
      message,
    });
  },
);
