import { libbpf } from "./libbpf.ts";
import { syscallFailure } from "./syscall-failure.ts";

/** Larger than any of the kernel's bpf_*_info structs; the kernel fills in what it knows. */
const infoBytes = 512;
/** BPF_OBJ_NAME_LEN of <linux/bpf.h>. */
const nameBytes = 16;

/** The kernel's description of a program, map or link (BPF_OBJ_GET_INFO_BY_FD), in host byte order. */
export function readObjectInfo(fd: number, subject: string): DataView {
  const info = new DataView(new ArrayBuffer(infoBytes));
  const status = libbpf().bpf_obj_get_info_by_fd(fd, info, Uint32Array.of(infoBytes));
  if (status < 0) throw syscallFailure({ operation: "read info of", subject, errno: -status });
  return info;
}

/** A NUL-padded object name; the kernel cuts names to 15 bytes. */
export function readObjectName(info: DataView, offset: number): string {
  return Buffer.from(info.buffer, offset, nameBytes).toString("latin1").replace(/\0.*$/s, "");
}
