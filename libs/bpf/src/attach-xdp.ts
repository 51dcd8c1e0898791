import { constants } from "node:os";
import type { BpfError } from "./bpf-error.ts";
import { BpfLink } from "./bpf-link.ts";
import type { BpfProgram } from "./bpf-program.ts";
import { Descriptor } from "./descriptor.ts";
import { hostIsLittleEndian } from "./endian.ts";
import { interfaceIndex, interfaceMtu, noInterface } from "./interface.ts";
import { kernelFeatures, kernelTooOld } from "./kernel-features.ts";
import { libbpf } from "./libbpf.ts";
import { syscallFailure } from "./syscall-failure.ts";

/** Where the program runs: in the driver ("native"), or in the network stack on any driver ("skb"), slower. */
export type XdpMode = "native" | "skb";

export interface AttachXdpOptions {
  readonly program: BpfProgram;
  readonly interfaceName: string;
  readonly mode: XdpMode;
}

// From <linux/bpf.h> and <linux/if_link.h>.
const BPF_XDP = 37;
const modeFlags: Readonly<Record<XdpMode, number>> = { skb: 1 << 1, native: 1 << 2 };

/** The leading fields of struct bpf_link_create_opts, up to the flags; libbpf takes the rest as zero. */
const linkOptionsBytes = 16;
const defaultMtu = 1500;
const { EBUSY, EEXIST, EINVAL, ENODEV, EOPNOTSUPP, ERANGE } = constants.errno;

/**
 * Attaches a program to an interface with a bpf_link, since Linux 5.9: it ends when the link is closed,
 * unless the link was pinned. Throws NO_INTERFACE, INTERFACE_BUSY, NATIVE_UNSUPPORTED, MTU_TOO_LARGE,
 * NO_PERMISSION, KERNEL_TOO_OLD or SYSCALL.
 */
export function attachXdp(options: AttachXdpOptions): BpfLink {
  const { program, interfaceName, mode } = options;
  const ifindex = interfaceIndex(interfaceName);
  const fd = libbpf().bpf_link_create(program.fd, ifindex, BPF_XDP, linkOptions(modeFlags[mode]));
  if (fd < 0) throw attachFailure({ ...options, ifindex, errno: -fd });
  return new BpfLink(new Descriptor(fd, `xdp link on ${interfaceName}`));
}

function linkOptions(flags: number): Uint8Array {
  const options = new DataView(new ArrayBuffer(linkOptionsBytes));
  options.setBigUint64(0, BigInt(linkOptionsBytes), hostIsLittleEndian);
  options.setUint32(8, flags, hostIsLittleEndian);
  return new Uint8Array(options.buffer);
}

interface AttachFailure extends AttachXdpOptions {
  readonly ifindex: number;
  readonly errno: number;
}

function attachFailure(failure: AttachFailure): BpfError {
  const { interfaceName, mode, ifindex, errno } = failure;
  const operation = "attach xdp to";
  const subject = `${interfaceName} (ifindex ${ifindex}, ${mode})`;
  if (errno === ENODEV) return noInterface(operation, subject);
  const features = kernelFeatures();
  if (errno === EINVAL && !features.xdpLink) return kernelTooOld("xdpLink", features.release);
  return syscallFailure({ operation, subject, errno, ...explain(failure) });
}

type Explanation = Partial<Pick<Parameters<typeof syscallFailure>[0], "code" | "reason" | "hint">>;

function explain({ interfaceName, mode, errno }: AttachFailure): Explanation {
  const detach = `detach it with 'ip link set ${interfaceName} xdp off', or remove the pin of its bpf_link (see 'bpftool link')`;
  if (errno === EBUSY)
    return { code: "INTERFACE_BUSY", reason: "another program is attached", hint: detach };
  if (errno === EEXIST)
    return {
      code: "INTERFACE_BUSY",
      reason: "a program is attached in the other mode",
      hint: detach,
    };
  if (mode === "skb") return {};
  if (errno === EOPNOTSUPP) return nativeUnsupported;
  if (errno === ERANGE || errno === EINVAL) return explainMtu(interfaceName, errno);
  return {};
}

const nativeUnsupported: Explanation = {
  code: "NATIVE_UNSUPPORTED",
  reason: "the driver has no native XDP",
  hint: "use mode skb, which every interface has",
};

/** Drivers refuse a large MTU with either errno; EINVAL has other causes too, so it counts only for a large MTU. */
function explainMtu(interfaceName: string, errno: number): Explanation {
  const mtu = interfaceMtu(interfaceName);
  if (errno === EINVAL && mtu <= defaultMtu) return {};
  const hint = `lower it or its peer's ('ip link set ${interfaceName} mtu ${defaultMtu}'), load the program with frags (Linux 5.18), or use mode skb`;
  return {
    code: "MTU_TOO_LARGE",
    reason: `the driver refuses native XDP at this MTU (here ${mtu})`,
    hint,
  };
}
