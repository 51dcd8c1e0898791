import { join } from "node:path";
import { openObject } from "@packetwatch/bpf";
import { type MapName, mapNames } from "@packetwatch/contracts";
import { makeTestPinFolder } from "../../libs/bpf/test/pin-folder.ts";
import type { Cleanup } from "./cleanup.ts";
import { OBJECT_PATH } from "./loaded-packetwatch.ts";
import { PinnedPacketwatch } from "./pinned-packetwatch.ts";

export type PinnedMaps = {
  readonly interfaceName: string;
  /** As PW_PIN_DIR. */
  readonly pinDir: string;
  readonly pinned: PinnedPacketwatch;
};

/** The maps of an interface that need not exist, as capture pins them; with no program attached. */
export function pinMaps(
  cleanup: Cleanup,
  maxEntries: Partial<Record<MapName, number>> = {},
): PinnedMaps {
  const interfaceName = "pw0";
  const pins = makeTestPinFolder();
  cleanup.defer(() => pins.remove());
  const folder = join(pins.path, interfaceName);
  const spec = openObject(OBJECT_PATH);
  for (const [name, pinName] of Object.entries(mapNames)) {
    spec.setPinPath(pinName, join(folder, pinName));
    const entries = maxEntries[name as MapName];
    if (entries !== undefined) spec.setMaxEntries(pinName, entries);
  }
  spec.load().close();
  return { interfaceName, pinDir: pins.path, pinned: cleanup.own(new PinnedPacketwatch(folder)) };
}
