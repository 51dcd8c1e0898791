import assert from "node:assert/strict";
import { lastErrno, libc } from "./libc.ts";
import { syscallFailure } from "./syscall-failure.ts";

// From <linux/fcntl.h>. Duplicates stay clear of the standard streams and are not inherited by children.
const F_DUPFD_CLOEXEC = 1030;
const firstFd = 3;

/** Owner of one file descriptor: `close()` twice is harmless, `fd` after close throws. */
export class Descriptor {
  /** For messages: "map blocked". */
  readonly subject: string;
  #fd: number | undefined;

  constructor(fd: number, subject: string) {
    this.#fd = fd;
    this.subject = subject;
  }

  get fd(): number {
    assert(this.#fd !== undefined, `${this.subject} is used after it was closed`);
    return this.#fd;
  }

  close(): void {
    if (this.#fd === undefined) return;
    libc.close(this.#fd);
    this.#fd = undefined;
  }
}

/** A descriptor of its own for something that another owner will close. */
export function duplicateDescriptor(fd: number, subject: string): Descriptor {
  const duplicate = libc.fcntl(fd, F_DUPFD_CLOEXEC, "int", firstFd);
  if (duplicate < 0)
    throw syscallFailure({ operation: "duplicate descriptor of", subject, errno: lastErrno() });
  return new Descriptor(duplicate, subject);
}
