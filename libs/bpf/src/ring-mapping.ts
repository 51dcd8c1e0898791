import koffi from "koffi";
import type { Descriptor } from "./descriptor.ts";
import { lastErrno, libc, type Pointer } from "./libc.ts";
import { syscallFailure } from "./syscall-failure.ts";

// From <sys/mman.h>.
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

const protections = { read: PROT_READ, write: PROT_READ | PROT_WRITE } as const;

interface Region {
  readonly address: Pointer;
  readonly length: number;
}

export interface MapMemoryOptions {
  /** Bytes from the start of what the descriptor offers, in whole pages. */
  readonly offset: number;
  readonly length: number;
  readonly access: keyof typeof protections;
}

// The address space of a closed mapping is given back when nothing can reach its views any more.
const unreachable = new FinalizationRegistry<Region>(({ address, length }) =>
  libc.munmap(address, length),
);

/** A piece of kernel memory in this process. */
export class RingMapping {
  readonly buffer: ArrayBuffer;
  readonly #region: Region;

  constructor(region: Region) {
    this.#region = region;
    this.buffer = koffi.view(region.address, region.length);
  }

  /**
   * Lets go of the kernel's memory. A view that somebody kept must not crash the process, and an external
   * ArrayBuffer can't be detached in Node 20, so the addresses are covered with empty memory: it reads as zero.
   */
  close(): void {
    const { address, length } = this.#region;
    libc.mmap(address, length, protections.write, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    unreachable.register(this.buffer, this.#region);
  }
}

export function mapMemory(
  descriptor: Descriptor,
  { offset, length, access }: MapMemoryOptions,
): RingMapping {
  const address = libc.mmap(null, length, protections[access], MAP_SHARED, descriptor.fd, offset);
  if (address !== MAP_FAILED) return new RingMapping({ address, length });
  throw syscallFailure({
    operation: "map into memory",
    subject: descriptor.subject,
    errno: lastErrno(),
  });
}
