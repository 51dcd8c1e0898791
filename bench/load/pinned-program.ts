import { join } from "node:path";
import { type BpfObject, openObject, openPinnedMap } from "@packetwatch/bpf";
import {
  mapNames,
  PROGRAM_NAME,
  SETTINGS_NAME,
  thinAboveBytes,
  writeSettings,
} from "@packetwatch/contracts";
import { DEFAULT_IPV6_SOURCE_BITS, sourceMaskWords } from "@packetwatch/net";
import { built } from "../support/paths.ts";

/** The program once more, with the pinned maps of a watched interface: what it reports, capture reads. */
export class PinnedProgram {
  readonly #object: BpfObject;

  constructor(pinFolder: string) {
    const spec = openObject(built("packetwatch.bpf.o"));
    const ringBytes = openPinnedSize(join(pinFolder, mapNames.events));
    for (const name of Object.values(mapNames)) {
      const path = join(pinFolder, name);
      const pinned = openPinnedMap(path, {});
      spec.setMaxEntries(name, pinned.maxEntries);
      spec.setPinPath(name, path);
      pinned.close();
    }
    const ipv6SourceMask = sourceMaskWords(DEFAULT_IPV6_SOURCE_BITS);
    spec.setGlobal(
      SETTINGS_NAME,
      writeSettings({
        ipv6SourceMask,
        listenerLookup: "off",
        thinAboveBytes: thinAboveBytes(ringBytes),
      }),
    );
    this.#object = spec.load();
  }

  get program() {
    return this.#object.program(PROGRAM_NAME);
  }

  close(): void {
    this.#object.close();
  }
}

function openPinnedSize(path: string): number {
  const pinned = openPinnedMap(path, {});
  pinned.close();
  return pinned.maxEntries;
}
