import type { XdpMode } from "./attach-xdp.ts";
import { hostIsLittleEndian } from "./endian.ts";
import { interfaceIndex } from "./interface.ts";
import { libbpf } from "./libbpf.ts";
import { syscallFailure } from "./syscall-failure.ts";

/** The XDP program on an interface. */
export interface AttachedXdp {
  readonly programId: number;
  readonly mode: XdpMode | "offload";
}

/** sizeof(struct bpf_xdp_query_opts): its size, then four program ids and the attach mode. */
const queryOptionsBytes = 32;

/** The program ids of struct bpf_xdp_query_opts, the one that runs first coming first. */
const modeOffsets = [
  ["offload", 16],
  ["native", 12],
  ["skb", 20],
] as const;

/**
 * What is attached to an interface; undefined if nothing is. An unknown name is NO_INTERFACE; an unknown index has
 * nothing attached.
 */
export function queryXdp(ifindexOrName: number | string): AttachedXdp | undefined {
  const ifindex = typeof ifindexOrName === "string" ? interfaceIndex(ifindexOrName) : ifindexOrName;
  const options = new DataView(new ArrayBuffer(queryOptionsBytes));
  options.setBigUint64(0, BigInt(queryOptionsBytes), hostIsLittleEndian);
  const status = libbpf().bpf_xdp_query(ifindex, 0, options);
  if (status < 0)
    throw syscallFailure({
      operation: "query xdp of",
      subject: `ifindex ${ifindex}`,
      errno: -status,
    });
  return attachedXdp(options);
}

function attachedXdp(options: DataView): AttachedXdp | undefined {
  for (const [mode, offset] of modeOffsets) {
    const programId = options.getUint32(offset, hostIsLittleEndian);
    if (programId !== 0) return { programId, mode };
  }
  return undefined;
}
