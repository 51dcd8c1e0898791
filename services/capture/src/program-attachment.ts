import { existsSync } from "node:fs";
import {
  attachXdp,
  BpfError,
  type BpfLink,
  type BpfProgram,
  findInterface,
  interfaceIndex,
  openPinnedLink,
  queryXdp,
  removePin,
  type XdpMode,
} from "@packetwatch/bpf";

export type AttachmentOptions = {
  readonly interfaceName: string;
  readonly mode: XdpMode | "auto";
  readonly linkPath: string;
  readonly program: BpfProgram;
};

/** The program on its interface, by a pinned link that outlives this process. */
export class ProgramAttachment {
  /** Whether a program was there before. */
  readonly origin: "attached" | "replaced";
  readonly #options: AttachmentOptions;
  #ifindex: number;
  #mode: string;

  constructor(options: AttachmentOptions) {
    this.#options = options;
    // Before: an interface that is made anew meanwhile is attached to once more.
    this.#ifindex = interfaceIndex(options.interfaceName);
    this.origin = attach(options);
    this.#mode = readMode(options);
  }

  get mode(): string {
    return this.#mode;
  }

  /**
   * Attaches once more where the interface was made anew under its name, as VLANs, bonds and tunnels are: the kernel has
   * detached the program with the old one, and the link is an empty shell. Throws BpfError.
   */
  keep(): "kept" | "renewed" | "gone" {
    const { interfaceName, linkPath } = this.#options;
    const ifindex = findInterface(interfaceName);
    if (ifindex === undefined) return "gone";
    // Who has removed the pin has detached the program, and wants it so.
    if (ifindex === this.#ifindex || !existsSync(linkPath)) return "kept";
    attach(this.#options);
    this.#ifindex = ifindex;
    this.#mode = readMode(this.#options);
    return "renewed";
  }
}

function readMode({ interfaceName }: AttachmentOptions): string {
  return queryXdp(interfaceName)?.mode ?? "none";
}

function attach(options: AttachmentOptions): "attached" | "replaced" {
  const { program } = options;
  const link = adoptLink(options);
  if (link) {
    link.updateProgram(program);
    link.close();
    return "replaced";
  }
  const attached = attachInMode(options);
  attached.pin(options.linkPath);
  attached.close();
  return "attached";
}

/** The pinned link if it still is on this interface in a mode that is wanted. */
function adoptLink({ interfaceName, mode, linkPath }: AttachmentOptions): BpfLink | undefined {
  if (!existsSync(linkPath)) return undefined;
  const link = openPinnedLink(linkPath);
  const isHere = link.info().ifindex === interfaceIndex(interfaceName);
  const isInMode = mode === "auto" || queryXdp(interfaceName)?.mode === mode;
  if (isHere && isInMode) return link;
  // The interface was made anew under its old name, or the mode was changed by its variable.
  if (isHere) link.detach();
  link.close();
  removePin(linkPath);
  return undefined;
}

function attachInMode({ interfaceName, mode, program }: AttachmentOptions): BpfLink {
  if (mode !== "auto") return attachXdp({ interfaceName, mode, program });
  try {
    return attachXdp({ interfaceName, mode: "native", program });
  } catch (error) {
    if (!isNativeRefusal(error)) throw error;
    return attachXdp({ interfaceName, mode: "skb", program });
  }
}

function isNativeRefusal(error: unknown): boolean {
  if (!(error instanceof BpfError)) return false;
  return error.code === "NATIVE_UNSUPPORTED" || error.code === "MTU_TOO_LARGE";
}
