import { constants } from "node:os";
import { describe, expect, test } from "vitest";
import { BpfError, bpfErrorCodes } from "./bpf-error.ts";
import { permissionHint } from "./capabilities.ts";
import { syscallFailure } from "./syscall-failure.ts";

const { EBUSY, EINVAL, ENOENT, EPERM } = constants.errno;

describe("BpfError", () => {
  test("its message is operation, subject, cause and way out", () => {
    const error = syscallFailure({
      operation: "attach xdp to",
      subject: "eth0 (ifindex 2, native)",
      errno: EBUSY,
      code: "INTERFACE_BUSY",
      reason: "another program is attached",
      hint: "detach it with 'ip link set eth0 xdp off'",
    });
    expect(error.message).toBe(
      "attach xdp to eth0 (ifindex 2, native): EBUSY: another program is attached; detach it with 'ip link set eth0 xdp off'",
    );
  });

  test("it carries its fields and the errno as its cause", () => {
    const error = syscallFailure({
      operation: "update",
      subject: "map blocked",
      errno: EINVAL,
      completed: 3,
    });
    expect(error).toMatchObject({
      code: "SYSCALL",
      operation: "update",
      subject: "map blocked",
      errnoName: "EINVAL",
      completed: 3,
    });
    expect(error.cause).toMatchObject({
      code: "EINVAL",
      errno: EINVAL,
      message: "EINVAL: Invalid argument",
    });
  });

  test("it has a cause even where no system call failed", () => {
    const error = new BpfError({
      code: "NO_BPFFS",
      operation: "pin under",
      subject: "/tmp",
      reason: "why",
      hint: "mount",
    });
    expect(error.cause).toBeInstanceOf(Error);
    expect(error.errnoName).toBeUndefined();
  });

  test("a verifier's last lines follow the message, indented", () => {
    const verifierLog = { tail: ["0: r1 = 0", "refused"], path: undefined };
    const error = new BpfError({
      code: "VERIFIER",
      operation: "load",
      subject: "p",
      reason: "no",
      hint: "look",
      verifierLog,
    });
    expect(error.message.split("\n")).toEqual(["load p: no; look", "  0: r1 = 0", "  refused"]);
  });

  test.each(Object.entries(bpfErrorCodes))(
    "%s is retryable as the table says",
    (code, { retryable }) => {
      const error = new BpfError({
        code: code as keyof typeof bpfErrorCodes,
        operation: "o",
        subject: "s",
        reason: "r",
        hint: "h",
      });
      expect(error.retryable).toBe(retryable);
    },
  );

  test.each([
    ["EBUSY", EBUSY, true],
    ["ENOENT", ENOENT, false],
  ])("a system call that failed with %s is retryable: %s %s", (_, errno, retryable) => {
    expect(syscallFailure({ operation: "o", subject: "s", errno }).retryable).toBe(retryable);
  });

  test("EPERM is NO_PERMISSION and names the capabilities", () => {
    const error = syscallFailure({ operation: "load", subject: "x", errno: EPERM });
    expect(error.code).toBe("NO_PERMISSION");
    expect(error.message).toMatch(/CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON/);
  });

  test("the kernel's and libbpf's own numbers have names", () => {
    expect(syscallFailure({ operation: "o", subject: "s", errno: 524 }).errnoName).toBe("ENOTSUPP");
    expect(syscallFailure({ operation: "o", subject: "s", errno: 4001 }).errnoName).toBe(
      "LIBBPF_FORMAT",
    );
    expect(
      syscallFailure({ operation: "o", subject: "s", errno: constants.errno.EOPNOTSUPP }).errnoName,
    ).toBe("EOPNOTSUPP");
  });

  test("the permission hint names what is missing here", () => {
    expect(permissionHint(["CAP_BPF"])).toMatch(/missing here: CAP_BPF\)/);
    expect(permissionHint([])).toMatch(/seccomp/);
  });
});
