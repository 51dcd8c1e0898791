import { constants } from "node:os";
import type { BpfProgram } from "./bpf-program.ts";
import { openPin, pinDescriptor } from "./bpffs.ts";
import type { Descriptor } from "./descriptor.ts";
import { hostIsLittleEndian } from "./endian.ts";
import { noInterface } from "./interface.ts";
import { libbpf } from "./libbpf.ts";
import { readObjectInfo } from "./object-info.ts";
import { syscallFailure } from "./syscall-failure.ts";

export interface LinkInfo {
  /** The kernel's id of the link. */
  readonly id: number;
  /** The id of the program that it runs now. */
  readonly programId: number;
  /** The interface that it is attached to; 0 when that has gone or the link was detached. */
  readonly ifindex: number;
}

/** An attachment of a program to an interface. The kernel ends it when the last descriptor and pin have gone. */
export class BpfLink {
  readonly #descriptor: Descriptor;

  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
  }

  get fd(): number {
    return this.#descriptor.fd;
  }

  info(): LinkInfo {
    const info = readObjectInfo(this.fd, this.#descriptor.subject);
    return {
      id: info.getUint32(4, hostIsLittleEndian),
      programId: info.getUint32(8, hostIsLittleEndian),
      ifindex: info.getUint32(16, hostIsLittleEndian),
    };
  }

  /** Keeps the attachment beyond this process; makes the folder. PIN_EXISTS, NO_BPFFS. */
  pin(path: string): void {
    pinDescriptor(this.#descriptor, path);
  }

  /** Replaces the program between two packets: no packet goes unseen. NO_INTERFACE if the interface has gone. */
  updateProgram(program: BpfProgram): void {
    const status = libbpf().bpf_link_update(this.fd, program.fd, null);
    if (status < 0) throw this.#updateFailure(program, -status);
  }

  /** Detaches now, whoever else holds the link or its pin; it stays as an empty shell. Since Linux 5.9. */
  detach(): void {
    const status = libbpf().bpf_link_detach(this.fd);
    if (status < 0)
      throw syscallFailure({
        operation: "detach",
        subject: this.#descriptor.subject,
        errno: -status,
      });
  }

  /** Gives up this process's hold; an unpinned link ends here. */
  close(): void {
    this.#descriptor.close();
  }

  #updateFailure(program: BpfProgram, errno: number) {
    const subject = `${this.#descriptor.subject} (to program ${program.name})`;
    const gone = errno === constants.errno.ENOLINK || errno === constants.errno.ENODEV;
    return gone
      ? noInterface("update", subject)
      : syscallFailure({ operation: "update", subject, errno });
  }
}

/** Opens a pinned link; PIN_MISSING if nothing is pinned at the path. */
export function openPinnedLink(path: string): BpfLink {
  return new BpfLink(openPin(path, "link"));
}
