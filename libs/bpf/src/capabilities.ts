import { readFileSync } from "node:fs";

// Bit numbers from <linux/capability.h>.
const capabilityBits = {
  CAP_NET_ADMIN: 12n,
  CAP_SYS_ADMIN: 21n,
  CAP_PERFMON: 38n,
  CAP_BPF: 39n,
} as const;

export type Capability = "CAP_BPF" | "CAP_NET_ADMIN" | "CAP_PERFMON";

const required: readonly Capability[] = ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"];

/**
 * The capabilities out of CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON that this thread does not have in effect.
 * CAP_SYS_ADMIN stands in for CAP_BPF and CAP_PERFMON (it is what kernels before 5.8 ask for).
 */
export function missingCapabilities(
  status: string = readFileSync("/proc/thread-self/status", "utf8"),
): readonly Capability[] {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  const has = (bit: bigint) => (effective & (1n << bit)) !== 0n;
  return required.filter((name) => {
    if (has(capabilityBits[name])) return false;
    return name === "CAP_NET_ADMIN" || !has(capabilityBits.CAP_SYS_ADMIN);
  });
}

/** The way out of EPERM and EACCES. */
export function permissionHint(missing: readonly Capability[] = missingCapabilities()): string {
  const here =
    missing.length === 0
      ? "this process has them: look at seccomp, lockdown and the pin's owner"
      : `missing here: ${missing.join(", ")}`;
  return `run as root or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (${here})`;
}
