import { existsSync } from "node:fs";
import {
  attachXdp,
  BPF_F_XDP_HAS_FRAGS,
  BpfError,
  type BpfLink,
  type BpfMap,
  type BpfObject,
  type BpfProgram,
  bpffsName,
  interfaceIndex,
  kernelFeatures,
  openObject,
  openPinnedLink,
  openPinnedMap,
  openRingBuffer,
  queryXdp,
  type RingBuffer,
  removePin,
  requireBpffs,
  requireKernel,
  type XdpMode,
} from "@packetwatch/bpf";
import {
  ALLOW_VALUE_BYTES,
  COUNTERS_BYTES,
  type KernelCounters,
  type MapName,
  mapNames,
  PROGRAM_NAME,
  type PinPaths,
  pinPaths,
  readCounters,
  readLive,
  SETTINGS_NAME,
  SYN_RECORD_BYTES,
  thinAboveBytes,
  writeAllowKey,
  writeLive,
  writeSettings,
} from "@packetwatch/contracts";
import { type Prefix, sourceMaskWords } from "@packetwatch/net";
import { RingLedger } from "./ring-ledger.ts";

export type SensorOptions = {
  readonly interfaceName: string;
  readonly objectPath: string;
  readonly pinDir: string;
  readonly mode: XdpMode | "auto";
  readonly ringBytes: number;
  readonly blockedEntries: number;
  readonly allowedEntries: number;
  readonly ipv6SourceBits: number;
  readonly listenerLookup: boolean;
  readonly enforce: boolean;
  /** What a new allow list begins with; enforcer keeps it from then on. */
  readonly allowed: readonly Prefix[];
};

/** How the program came to its interface. */
export type Attachment = "attached" | "replaced";

/** The program on one interface, with its maps. Closing it detaches nothing. */
export type Sensor = {
  readonly interfaceName: string;
  readonly mode: string;
  readonly attachment: Attachment;
  /** Identifies the counters: a new map starts from zero. */
  readonly countersId: number;
  readonly ring: RingBuffer;
  /** What became of the records that were read, by this capture and those before it. */
  readonly ledger: RingLedger;
  readonly counters: () => KernelCounters;
  close(): void;
};

/**
 * Loads the program and attaches it by a pinned link. Where one is attached
 * already it is replaced between two packets, and its maps are kept.
 */
export function openSensor(options: SensorOptions): Sensor {
  requireKernel("ringBuffer");
  requireKernel("xdpLink");
  requireBpffs(options.pinDir);
  // Before anything is pinned, so that a mistyped name leaves nothing behind.
  interfaceIndex(options.interfaceName);
  const paths = pinPaths(options.pinDir, bpffsName(options.interfaceName));
  const object = loadKeepingMaps(options, paths);
  try {
    setDefaultOf(object.map("live"), onOff(options.enforce));
    for (const prefix of options.allowed) {
      object.map("allowed").update(writeAllowKey(prefix), allowedValue);
    }
    const attachment = attach(options, paths, object.program(PROGRAM_NAME));
    return createSensor(options, object, attachment);
  } catch (error) {
    object.close();
    throw error;
  }
}

function createSensor(options: SensorOptions, object: BpfObject, attachment: Attachment): Sensor {
  const { interfaceName } = options;
  const counters = object.map(mapNames.counters);
  const ring = openRingBuffer(object.map(mapNames.events), { maxRecordBytes: SYN_RECORD_BYTES });
  const ledger = new RingLedger(ring);
  return {
    interfaceName,
    mode: queryXdp(interfaceName)?.mode ?? "none",
    attachment,
    countersId: counters.info().id,
    ring,
    ledger,
    counters: () => sumCounters(counters),
    close: () => {
      ring.close();
      object.close();
    },
  };
}

/** What an operator has set at run time lies beside it, and outlives a restart of capture. */
function setDefaultOf(live: BpfMap, enforce: "on" | "off"): void {
  const onlyKey = new Uint8Array(4);
  const present = live.lookup(onlyKey);
  const setting = present === undefined ? {} : readLive(present);
  live.update(onlyKey, writeLive({ ...setting, enforce }));
}

function sumCounters(counters: BpfMap): KernelCounters {
  const slots = counters.lookup(new Uint8Array(4));
  // An array's entry is always there.
  if (slots === undefined) throw new Error("the counters map has no entry");
  return readCounters(slots, COUNTERS_BYTES);
}

/** Loads with the maps that are pinned. One of another size is replaced, and blocks and allows move over. */
function loadKeepingMaps(options: SensorOptions, paths: PinPaths): BpfObject {
  const outgrown = (Object.keys(mapNames) as MapName[]).filter(
    (name) => !fits(options, paths, name),
  );
  const kept = outgrown.filter((name) => name === "blocked" || name === "allowed");
  const old = kept.map((name) => openPinnedMap(paths.map(name), {}));
  try {
    for (const name of outgrown) removePin(paths.map(name));
    const object = prepare(options, paths).load();
    for (const [index, name] of kept.entries()) copyEntries(old[index], object.map(name));
    return object;
  } finally {
    for (const map of old) map.close();
  }
}

function fits(options: SensorOptions, paths: PinPaths, name: MapName): boolean {
  const path = paths.map(name);
  if (!existsSync(path)) return true;
  const spec = prepare(options, paths);
  const expected = spec.maps.find((map) => map.name === mapNames[name]);
  spec.close();
  try {
    openPinnedMap(path, expected ?? {}).close();
    return true;
  } catch (error) {
    if (error instanceof BpfError && error.code === "MAP_MISMATCH") return false;
    throw error;
  }
}

function copyEntries(from: BpfMap | undefined, to: BpfMap): void {
  for (const { key, value } of from?.entries() ?? []) to.update(key, value);
}

function prepare(options: SensorOptions, paths: PinPaths) {
  const spec = openObject(options.objectPath);
  spec.setMaxEntries(mapNames.events, options.ringBytes);
  spec.setMaxEntries(mapNames.blocked, options.blockedEntries);
  spec.setMaxEntries(mapNames.allowed, options.allowedEntries);
  for (const name of Object.keys(mapNames) as MapName[]) {
    spec.setPinPath(mapNames[name], paths.map(name));
  }
  spec.setGlobal(
    SETTINGS_NAME,
    writeSettings({
      ipv6SourceMask: sourceMaskWords(options.ipv6SourceBits),
      listenerLookup: onOff(options.listenerLookup),
      thinAboveBytes: thinAboveBytes(options.ringBytes),
    }),
  );
  // With frags a large MTU is no obstacle to native mode.
  if (kernelFeatures().xdpFrags) spec.setProgramFlags(PROGRAM_NAME, BPF_F_XDP_HAS_FRAGS);
  return spec;
}

function attach(options: SensorOptions, paths: PinPaths, program: BpfProgram): Attachment {
  const link = adoptLink(options, paths);
  if (link) {
    link.updateProgram(program);
    link.close();
    return "replaced";
  }
  const attached = attachInMode(options, program);
  attached.pin(paths.link);
  attached.close();
  return "attached";
}

/** The pinned link if it still is on this interface in a mode that is wanted. */
function adoptLink({ interfaceName, mode }: SensorOptions, paths: PinPaths): BpfLink | undefined {
  if (!existsSync(paths.link)) return undefined;
  const link = openPinnedLink(paths.link);
  const isHere = link.info().ifindex === interfaceIndex(interfaceName);
  const isInMode = mode === "auto" || queryXdp(interfaceName)?.mode === mode;
  if (isHere && isInMode) return link;
  // The interface was made anew under its old name, or the mode was changed by its variable.
  if (isHere) link.detach();
  link.close();
  removePin(paths.link);
  return undefined;
}

function attachInMode({ interfaceName, mode }: SensorOptions, program: BpfProgram): BpfLink {
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

const allowedValue = new Uint8Array(ALLOW_VALUE_BYTES).fill(1);

function onOff(value: boolean): "on" | "off" {
  return value ? "on" : "off";
}
