import { join } from "node:path";
import { type BpfMap, openPinnedMap, openRingBuffer } from "@packetwatch/bpf";
import { mapNames } from "@packetwatch/contracts";
import { PacketwatchMaps } from "./loaded-packetwatch.ts";
import { readSynRecords, type SynRecord } from "./syn-record.ts";

/** The pinned maps of a watched interface, opened as any service would. */
export class PinnedPacketwatch {
  readonly maps: PacketwatchMaps;
  readonly #pinFolder: string;
  readonly #opened = new Map<string, BpfMap>();

  constructor(pinFolder: string) {
    this.#pinFolder = pinFolder;
    this.maps = new PacketwatchMaps((name) => this.#open(name));
  }

  readRecords(): readonly SynRecord[] {
    const ring = openRingBuffer(this.#open(mapNames.events));
    try {
      return readSynRecords(ring);
    } finally {
      ring.close();
    }
  }

  close(): void {
    for (const map of this.#opened.values()) map.close();
    this.#opened.clear();
  }

  #open(name: string): BpfMap {
    const opened = this.#opened.get(name) ?? openPinnedMap(join(this.#pinFolder, name), {});
    this.#opened.set(name, opened);
    return opened;
  }
}
