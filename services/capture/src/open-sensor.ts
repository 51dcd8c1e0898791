import { existsSync } from "node:fs";
import {
  BPF_F_XDP_HAS_FRAGS,
  BpfError,
  type BpfMap,
  type BpfObject,
  bpffsName,
  interfaceIndex,
  kernelFeatures,
  openObject,
  openPinnedMap,
  openRingBuffer,
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
import { ProgramAttachment } from "./program-attachment.ts";
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

/** The program on one interface, with its maps. Closing it detaches nothing. */
export type Sensor = {
  readonly interfaceName: string;
  readonly attachment: ProgramAttachment;
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
    const program = object.program(PROGRAM_NAME);
    const attachment = new ProgramAttachment({ ...options, linkPath: paths.link, program });
    return createSensor(options, object, attachment);
  } catch (error) {
    object.close();
    throw error;
  }
}

function createSensor(
  options: SensorOptions,
  object: BpfObject,
  attachment: ProgramAttachment,
): Sensor {
  const { interfaceName } = options;
  const counters = object.map(mapNames.counters);
  const ring = openRingBuffer(object.map(mapNames.events), { maxRecordBytes: SYN_RECORD_BYTES });
  const ledger = new RingLedger(ring);
  return {
    interfaceName,
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

/** What moves over where a map of another size, or of an earlier version, is replaced. */
const movedMaps: ReadonlySet<MapName> = new Set(["blocked", "allowed", "live"]);

/** Loads with the maps that are pinned or what was in them, and allows the host's own. */
function loadKeepingMaps(options: SensorOptions, paths: PinPaths): BpfObject {
  const outgrown = (Object.keys(mapNames) as MapName[]).filter(
    (name) => !fits(options, paths, name),
  );
  const moved = outgrown.filter((name) => movedMaps.has(name));
  const old = moved.map((name) => openPinnedMap(paths.map(name), {}));
  try {
    for (const name of outgrown) removePin(paths.map(name));
    const object = prepare(options, paths).load();
    // First, so that they have the room where the new map is smaller.
    for (const prefix of options.allowed) {
      addUnlessFull(object.map("allowed"), writeAllowKey(prefix), allowedValue);
    }
    for (const [index, name] of moved.entries()) copyEntries(old[index], object.map(name));
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

/** Values grow at their ends from version to version: what an earlier one didn't have is zero. */
function copyEntries(from: BpfMap | undefined, to: BpfMap): void {
  for (const { key, value } of from?.entries() ?? []) {
    const fitting = new Uint8Array(to.valueSize);
    fitting.set(value.subarray(0, to.valueSize));
    addUnlessFull(to, key, fitting);
  }
}

/** What finds no room is left to the enforcer, which counts it, and makes room for what the host itself needs. */
function addUnlessFull(map: BpfMap, key: Uint8Array, value: Uint8Array): void {
  try {
    map.update(key, value);
  } catch (error) {
    if (!(error instanceof BpfError) || error.code !== "MAP_FULL") throw error;
  }
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

const allowedValue = new Uint8Array(ALLOW_VALUE_BYTES).fill(1);

function onOff(value: boolean): "on" | "off" {
  return value ? "on" : "off";
}
