import { type BpfObject, openObject, openRingBuffer, type RingBuffer } from "@packetwatch/bpf";
import {
  type KernelCounters,
  mapNames,
  PROGRAM_NAME,
  SETTINGS_NAME,
  writeSettings,
} from "@packetwatch/contracts";
import { DEFAULT_IPV6_SOURCE_BITS, sourceMaskWords } from "@packetwatch/net";
import { PacketwatchMaps } from "../../test/support/loaded-packetwatch.ts";

/** As many repetitions fit into a ring of 16 MiB; a test run stops for nothing to be drained. */
export const RING_BYTES = 16 * 2 ** 20;
export const RING_RECORDS = RING_BYTES / 64 - 1;

/** Own addresses, gateway, resolver and an operator's network: what a host's allow list has at least. */
const ALLOWED = ["198.51.100.2/32", "2001:db8:ffff::2/128", "198.51.100.1/32", "10.20.0.0/16"];

export type ProgramOptions = {
  readonly objectPath: string;
  readonly blockedEntries: number;
  readonly listenerLookup?: "on" | "off";
};

/** One build of the program in the kernel, attached to nothing. */
export class LoadedProgram {
  readonly maps: PacketwatchMaps;
  readonly #object: BpfObject;
  readonly #ring: RingBuffer;

  constructor({ objectPath, blockedEntries, listenerLookup = "off" }: ProgramOptions) {
    const spec = openObject(objectPath);
    spec.setMaxEntries(mapNames.events, RING_BYTES);
    spec.setMaxEntries(mapNames.blocked, blockedEntries);
    const ipv6SourceMask = sourceMaskWords(DEFAULT_IPV6_SOURCE_BITS);
    // As capture has it, so that asking costs what it costs; but the ring is never that full.
    const thinAboveBytes = RING_BYTES;
    spec.setGlobal(
      SETTINGS_NAME,
      writeSettings({ ipv6SourceMask, listenerLookup, thinAboveBytes }),
    );
    this.#object = spec.load();
    this.#ring = openRingBuffer(this.#object.map(mapNames.events));
    this.maps = new PacketwatchMaps((name) => this.#object.map(name));
    this.maps.enforce("on");
    for (const cidr of ALLOWED) this.maps.allow(cidr);
  }

  get object(): BpfObject {
    return this.#object;
  }

  get program() {
    return this.#object.program(PROGRAM_NAME);
  }

  counters(): KernelCounters {
    return this.maps.counters();
  }

  /** Empties the ring; returns how many records it had. */
  drain(): number {
    return this.#ring.consume(() => undefined, RING_RECORDS + 1);
  }

  close(): void {
    this.#ring.close();
    this.#object.close();
  }
}
