import { release as kernelRelease } from "node:os";
import { BpfError } from "./bpf-error.ts";
import { libbpf } from "./libbpf.ts";

/** What packetwatch asks of the kernel, with the version that brought it. */
export const kernelFeatureTable = {
  ringBuffer: { name: "BPF ring buffer", since: [5, 8] },
  xdpLink: { name: "XDP bpf_link", since: [5, 9] },
  xdpFrags: { name: "XDP multi-buffer (frags)", since: [5, 18] },
} as const satisfies Record<
  string,
  { readonly name: string; readonly since: readonly [major: number, minor: number] }
>;

export type KernelFeature = keyof typeof kernelFeatureTable;

export interface KernelFeatures extends Readonly<Record<KernelFeature, boolean>> {
  /** As uname says: "6.1.0-38-amd64". */
  readonly release: string;
}

/** BPF_MAP_TYPE_RINGBUF of <linux/bpf.h>. */
const ringBufferMapType = 27;

/**
 * The features of the running kernel. By version, except for the ring buffer, for which a probe also counts:
 * distributions bring features to older versions. (A probe without CAP_BPF fails, so it can only add.)
 */
export function kernelFeatures(release: string = kernelRelease()): KernelFeatures {
  return {
    release,
    ringBuffer:
      isReached("ringBuffer", release) ||
      libbpf().libbpf_probe_bpf_map_type(ringBufferMapType, null) === 1,
    xdpLink: isReached("xdpLink", release),
    xdpFrags: isReached("xdpFrags", release),
  };
}

/** Throws KERNEL_TOO_OLD, with the feature and its version, if the running kernel lacks it. */
export function requireKernel(
  feature: KernelFeature,
  features: KernelFeatures = kernelFeatures(),
): void {
  if (!features[feature]) throw kernelTooOld(feature, features.release);
}

export function kernelTooOld(feature: KernelFeature, release: string): BpfError {
  const { name, since } = kernelFeatureTable[feature];
  return new BpfError({
    code: "KERNEL_TOO_OLD",
    operation: "use",
    subject: name,
    reason: `Linux ${release} does not have it`,
    hint: `run Linux ${since.join(".")} or later`,
  });
}

function isReached(feature: KernelFeature, release: string): boolean {
  const [major, minor] = kernelFeatureTable[feature].since;
  const [runningMajor = 0, runningMinor = 0] = release.split(/[.-]/).map(Number);
  return runningMajor > major || (runningMajor === major && runningMinor >= minor);
}
