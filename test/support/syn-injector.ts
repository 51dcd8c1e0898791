import type { XdpAction } from "@packetwatch/bpf";
import { parseAddress } from "@packetwatch/net";
import { ETHERNET_HEADER_BYTES, ethernet, ipv4 } from "./packets.ts";
import { PinnedProgram } from "./pinned-program.ts";
import { tcp } from "./segments.ts";

/** The source address and the destination port in an IPv4 frame without options. */
const SOURCE_OFFSET = ETHERNET_HEADER_BYTES + 12;
const PORT_OFFSET = ETHERNET_HEADER_BYTES + 20 + 2;

export type Attempt = {
  /** IPv4. */
  readonly source: string;
  readonly port: number;
  /** The same SYN so many times; default 1. */
  readonly times?: number;
};

/**
 * Connection attempts for a host without a wire: its program, run by
 * BPF_PROG_TEST_RUN. To be made anew when the host's maps are.
 */
export class SynInjector {
  readonly #pinned: PinnedProgram;
  readonly #frame = ethernet(ipv4(tcp({})));
  readonly #view = new DataView(this.#frame.buffer, this.#frame.byteOffset);

  /** `pinFolder` is that of an interface. */
  constructor(pinFolder: string) {
    this.#pinned = new PinnedProgram({ pinFolder, thinning: "off" });
  }

  /** What became of it; of several, of the last. */
  send({ source, port, times = 1 }: Attempt): XdpAction {
    this.#view.setUint32(SOURCE_OFFSET, parseAddress(source)[3]);
    this.#view.setUint16(PORT_OFFSET, port);
    return this.#pinned.program.testRun({ data: this.#frame, repeat: times }).action;
  }

  /** One attempt on each of these ports; ends with the first that is dropped. */
  scan(source: string, ports: readonly number[]): XdpAction {
    let action: XdpAction = "XDP_PASS";
    for (const port of ports) {
      action = this.send({ source, port });
      if (action === "XDP_DROP") break;
    }
    return action;
  }

  close(): void {
    this.#pinned.close();
  }
}
