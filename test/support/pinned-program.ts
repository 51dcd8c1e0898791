import { join } from "node:path";
import { type BpfObject, type BpfProgram, openObject, openPinnedMap } from "@packetwatch/bpf";
import {
  mapNames,
  PROGRAM_NAME,
  SETTINGS_NAME,
  thinAboveBytes,
  writeSettings,
} from "@packetwatch/contracts";
import { DEFAULT_IPV6_SOURCE_BITS, sourceMaskWords } from "@packetwatch/net";
import { OBJECT_PATH } from "./loaded-packetwatch.ts";

export type PinnedProgramOptions = {
  /** That of an interface. */
  readonly pinFolder: string;
  /** `on`: a crowded ring leaves out repetitions, as where capture has loaded it. `off`: never. */
  readonly thinning: "on" | "off";
};

/**
 * The program once more, with the pinned maps of a watched interface: what it
 * reports, capture reads as any others. To be made anew when the maps are.
 */
export class PinnedProgram {
  readonly #object: BpfObject;

  constructor({ pinFolder, thinning }: PinnedProgramOptions) {
    const spec = openObject(OBJECT_PATH);
    const entries = new Map<string, number>();
    for (const name of Object.values(mapNames)) {
      const path = join(pinFolder, name);
      const pinned = openPinnedMap(path, {});
      entries.set(name, pinned.maxEntries);
      pinned.close();
      spec.setMaxEntries(name, pinned.maxEntries);
      spec.setPinPath(name, path);
    }
    const ringBytes = entries.get(mapNames.events) ?? 0;
    const ipv6SourceMask = sourceMaskWords(DEFAULT_IPV6_SOURCE_BITS);
    spec.setGlobal(
      SETTINGS_NAME,
      writeSettings({
        ipv6SourceMask,
        listenerLookup: "off",
        thinAboveBytes: thinning === "on" ? thinAboveBytes(ringBytes) : 0,
      }),
    );
    this.#object = spec.load();
  }

  get program(): BpfProgram {
    return this.#object.program(PROGRAM_NAME);
  }

  close(): void {
    this.#object.close();
  }
}
