import assert from "node:assert/strict";
import { constants } from "node:os";
import type { BpfError } from "./bpf-error.ts";
import { pinDescriptor } from "./bpffs.ts";
import type { Descriptor } from "./descriptor.ts";
import { hostIsLittleEndian } from "./endian.ts";
import { noInterface } from "./interface.ts";
import { libbpf } from "./libbpf.ts";
import { readObjectInfo, readObjectName } from "./object-info.ts";
import { syscallFailure } from "./syscall-failure.ts";

/** enum xdp_action of <linux/bpf.h>, in its order. */
export const xdpActions = [
  "XDP_ABORTED",
  "XDP_DROP",
  "XDP_PASS",
  "XDP_TX",
  "XDP_REDIRECT",
] as const;
export type XdpAction = (typeof xdpActions)[number];

/** The action that a driver takes for a program's return value: one that isn't known is XDP_ABORTED. */
export function xdpAction(returnValue: number): XdpAction {
  return xdpActions[returnValue] ?? "XDP_ABORTED";
}

export interface ProgramInfo {
  /** The kernel's id of the loaded program; another load of the same code has another. */
  readonly id: number;
  /** Cut to 15 bytes by the kernel. */
  readonly name: string;
  /** 16 hex digits over the instructions: the same code has the same tag. */
  readonly tag: string;
}

export interface TestRun {
  /** The packet, from its Ethernet header; at least 14 bytes. */
  readonly data: Uint8Array;
  /** Runs in a row on the same packet, for timing; 1 if left out. */
  readonly repeat?: number;
  /** What the program sees as ctx->ingress_ifindex; must exist in this network namespace. Loopback if left out. */
  readonly ingressIfindex?: number;
}

export interface TestRunResult {
  readonly returnValue: number;
  /** `returnValue` as an XDP program's action. */
  readonly action: XdpAction;
  /** The packet as the program left it. */
  readonly dataOut: Uint8Array;
  /** Average of one run in nanoseconds. */
  readonly durationNs: number;
}

/** sizeof(struct bpf_test_run_opts). */
const optionsBytes = 80;
/** XDP_PACKET_HEADROOM of <linux/bpf.h>: as much as a program can put in front of a packet. */
const headroomBytes = 256;
/** struct xdp_md: six u32 fields, data_end the second and ingress_ifindex the fourth. */
const contextBytes = 24;

/** A loaded program. Owns its descriptor: the kernel keeps the program while a link or a pin refers to it. */
export class BpfProgram {
  readonly name: string;
  readonly #descriptor: Descriptor;

  constructor(name: string, descriptor: Descriptor) {
    this.name = name;
    this.#descriptor = descriptor;
  }

  get fd(): number {
    return this.#descriptor.fd;
  }

  get id(): number {
    return this.info().id;
  }

  info(): ProgramInfo {
    const info = readObjectInfo(this.fd, this.#descriptor.subject);
    return {
      id: info.getUint32(4, hostIsLittleEndian),
      tag: Buffer.from(info.buffer, 8, 8).toString("hex"),
      name: readObjectName(info, 64),
    };
  }

  /** Runs the program on a packet without a network (BPF_PROG_TEST_RUN). A context needs Linux 5.15. */
  testRun(run: TestRun): TestRunResult {
    const options = testRunOptionsOf(run);
    const status = libbpf().bpf_prog_test_run_opts(this.fd, options.struct);
    if (status < 0) throw this.#testRunFailure(-status);
    const { retval, duration, data_size_out } = options.struct;
    return {
      returnValue: retval,
      action: xdpAction(retval),
      dataOut: options.dataOut.subarray(0, data_size_out),
      durationNs: duration,
    };
  }

  /** Keeps the program beyond this process; makes the folder. PIN_EXISTS, NO_BPFFS. */
  pin(path: string): void {
    pinDescriptor(this.#descriptor, path);
  }

  close(): void {
    this.#descriptor.close();
  }

  #testRunFailure(errno: number): BpfError {
    const subject = this.#descriptor.subject;
    if (errno === constants.errno.ENODEV)
      return noInterface("test-run", `${subject} on the given interface`);
    if (errno !== constants.errno.EINVAL)
      return syscallFailure({ operation: "test-run", subject, errno });
    const hint = "a packet has 14 bytes to about a page, and its ingress interface exists";
    return syscallFailure({ operation: "test-run", subject, errno, hint });
  }
}

function testRunOptionsOf({ data, repeat = 1, ingressIfindex }: TestRun) {
  const dataOut = new Uint8Array(data.length + headroomBytes);
  const context = ingressIfindex === undefined ? null : xdpContext(data.length, ingressIfindex);
  const struct = {
    sz: optionsBytes,
    data_in: data,
    data_out: dataOut,
    data_size_in: data.length,
    data_size_out: dataOut.length,
    ctx_in: context,
    ctx_out: null,
    ctx_size_in: context?.length ?? 0,
    ctx_size_out: 0,
    retval: 0,
    repeat,
    duration: 0,
    flags: 0,
    cpu: 0,
    batch_size: 0,
  };
  return { struct, dataOut };
}

/** The kernel takes a context whose data_end is the length of the packet (xdp_md fields are offsets here). */
function xdpContext(length: number, ingressIfindex: number): Uint8Array {
  assert(ingressIfindex > 0, "an interface index is positive");
  const context = new DataView(new ArrayBuffer(contextBytes));
  context.setUint32(4, length, hostIsLittleEndian);
  context.setUint32(12, ingressIfindex, hostIsLittleEndian);
  return new Uint8Array(context.buffer);
}
