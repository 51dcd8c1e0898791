import { constants } from "node:os";
import { libc } from "./libc.ts";

/** The kernel's own number for "this map type has no such operation"; it is in no user-space header. */
export const ENOTSUPP = 524;

// From enum libbpf_errno in <bpf/libbpf.h>; libbpf returns these beside the system's numbers.
const otherErrnos: Readonly<Record<number, readonly [name: string, meaning: string]>> = {
  [ENOTSUPP]: ["ENOTSUPP", "operation not supported"],
  4000: ["LIBBPF_LIBELF", "libelf failed"],
  4001: ["LIBBPF_FORMAT", "not a valid BPF object file"],
  4002: ["LIBBPF_KVERSION", "incorrect or no 'version' section"],
  4003: ["LIBBPF_ENDIAN", "the object's byte order is not this machine's"],
  4004: ["LIBBPF_INTERNAL", "internal error of libbpf"],
  4005: ["LIBBPF_RELOC", "relocation failed"],
  4006: ["LIBBPF_LOAD", "loading failed"],
  4007: ["LIBBPF_VERIFY", "the verifier refused the program"],
  4008: ["LIBBPF_PROG2BIG", "the program is too big"],
  4009: ["LIBBPF_KVER", "incorrect kernel version"],
  4010: ["LIBBPF_PROGTYPE", "the kernel does not support this program type"],
  4011: ["LIBBPF_WRNGPID", "wrong process id in a netlink message"],
  4012: ["LIBBPF_INVSEQ", "wrong sequence number in a netlink message"],
  4013: ["LIBBPF_NLPARSE", "a netlink message could not be parsed"],
};

/** Second names of numbers that the kernel's sources call by their first. */
const aliases: ReadonlySet<string> = new Set(["EWOULDBLOCK", "ENOTSUP"]);

const systemNames: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno).flatMap(([name, errno]) =>
    aliases.has(name) ? [] : [[errno, name]],
  ),
);

/** A failed system or libbpf call as an Error: `code` is the errno's name, `errno` its positive number. */
export class ErrnoError extends Error {
  override readonly name = "ErrnoError";
  readonly code: string;
  readonly errno: number;
  /** The system's words: "Device or resource busy". */
  readonly meaning: string;

  constructor(errno: number) {
    const [code, meaning] = describeErrno(errno);
    super(`${code}: ${meaning}`);
    this.code = code;
    this.errno = errno;
    this.meaning = meaning;
  }
}

function describeErrno(errno: number): readonly [name: string, meaning: string] {
  return otherErrnos[errno] ?? [systemNames.get(errno) ?? `errno ${errno}`, libc.strerror(errno)];
}
