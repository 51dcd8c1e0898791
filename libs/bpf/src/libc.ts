// oxlint-disable max-params -- the signatures are C's.
import koffi from "koffi";

/** An address in this process's memory; `null` is the null pointer. */
export type Pointer = bigint;

export interface Libc {
  readonly mmap: (
    address: Pointer | null,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ) => Pointer;
  readonly munmap: (address: Pointer, length: number) => number;
  readonly getpagesize: () => number;
  readonly strerror: (errno: number) => string;
  readonly close: (fd: number) => number;
  readonly fcntl: (fd: number, command: number, type: "int", argument: number) => number;
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly ioctl: (fd: number, request: number, type: "void *", argument: Uint8Array) => number;
  readonly if_nametoindex: (name: string) => number;
  readonly clock_gettime: (clock: number, timespec: BigInt64Array) => number;
  readonly vsnprintf: (
    into: Uint8Array,
    size: number,
    format: Pointer,
    arguments_: Pointer,
  ) => number;
}

function bindLibc(): Libc {
  // The process's own symbols: the same call works with glibc and with musl.
  const process = koffi.load(null);
  return {
    mmap: process.func("void *mmap(void *, size_t, int, int, int, int64_t)"),
    munmap: process.func("int munmap(void *, size_t)"),
    getpagesize: process.func("int getpagesize()"),
    strerror: process.func("str strerror(int)"),
    close: process.func("int close(int)"),
    fcntl: process.func("int fcntl(int, int, ...)"),
    socket: process.func("int socket(int, int, int)"),
    ioctl: process.func("int ioctl(int, unsigned long, ...)"),
    if_nametoindex: process.func("unsigned int if_nametoindex(str)"),
    clock_gettime: process.func("int clock_gettime(int, void *)"),
    vsnprintf: process.func("int vsnprintf(void *, size_t, void *, void *)"),
  };
}

export const libc: Libc = bindLibc();

/** The errno that the last call left behind; read it before the next call. */
export function lastErrno(): number {
  return koffi.errno();
}
