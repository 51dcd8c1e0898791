import { join } from "node:path";
import { type BpfObject, openObject, openPinnedMap, type XdpAction } from "@packetwatch/bpf";
import { mapNames, PROGRAM_NAME, SETTINGS_NAME, writeSettings } from "@packetwatch/contracts";
import { DEFAULT_IPV6_SOURCE_BITS, parseAddress, sourceMaskWords } from "@packetwatch/net";
import { OBJECT_PATH } from "./loaded-packetwatch.ts";
import { ETHERNET_HEADER_BYTES, ethernet, ipv4 } from "./packets.ts";
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
 * Connection attempts for a host without a wire: the program once more, with
 * the host's pinned maps, run by BPF_PROG_TEST_RUN. Capture reads them from
 * the ring as any others. To be made anew when the maps are.
 */
export class SynInjector {
  readonly #object: BpfObject;
  readonly #frame = ethernet(ipv4(tcp({})));
  readonly #view = new DataView(this.#frame.buffer, this.#frame.byteOffset);

  /** `pinFolder` is that of an interface. */
  constructor(pinFolder: string) {
    const spec = openObject(OBJECT_PATH);
    for (const name of Object.values(mapNames)) {
      const path = join(pinFolder, name);
      const pinned = openPinnedMap(path, {});
      spec.setMaxEntries(name, pinned.maxEntries);
      spec.setPinPath(name, path);
      pinned.close();
    }
    const ipv6SourceMask = sourceMaskWords(DEFAULT_IPV6_SOURCE_BITS);
    spec.setGlobal(SETTINGS_NAME, writeSettings({ ipv6SourceMask, listenerLookup: "off" }));
    this.#object = spec.load();
  }

  /** What became of it; of several, of the last. */
  send({ source, port, times = 1 }: Attempt): XdpAction {
    this.#view.setUint32(SOURCE_OFFSET, parseAddress(source)[3]);
    this.#view.setUint16(PORT_OFFSET, port);
    const program = this.#object.program(PROGRAM_NAME);
    return program.testRun({ data: this.#frame, repeat: times }).action;
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
    this.#object.close();
  }
}
