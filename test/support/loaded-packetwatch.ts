import { fileURLToPath } from "node:url";
import {
  type BpfMap,
  type BpfObject,
  bootTimeNs,
  openObject,
  openRingBuffer,
  type RingBuffer,
  type XdpAction,
} from "@packetwatch/bpf";
import {
  type Block,
  type KernelCounters,
  type KernelSettings,
  type Live,
  type LiveSetting,
  mapNames,
  NOTHING_SET,
  PROGRAM_NAME,
  readAllowKey,
  readBlock,
  readCounters,
  readLive,
  SETTINGS_NAME,
  writeAllowKey,
  writeBlock,
  writeLive,
  writeSettings,
  writeSourceKey,
} from "@packetwatch/contracts";
import {
  DEFAULT_IPV6_SOURCE_BITS,
  formatPrefix,
  parseAddress,
  parsePrefix,
  sourceMaskWords,
} from "@packetwatch/net";
import { readSynRecords, type SynRecord, type TimelessSynRecord } from "./syn-record.ts";

export const OBJECT_PATH: string = fileURLToPath(
  new URL("../../build/packetwatch.bpf.o", import.meta.url),
);

const ONLY_KEY = new Uint8Array(4);
const TEST_RING_BYTES = 64 * 1024;

export type LoadOptions = {
  /** "unset" leaves the `live` map as the kernel made it. */
  readonly enforce?: "on" | "off" | "unset";
  readonly listenerLookup?: KernelSettings["listenerLookup"];
  readonly ipv6SourceBits?: number;
  readonly ringBytes?: number;
  /** Missing: repetitions are never left out. */
  readonly thinAboveBytes?: number;
  /** BPF_F_* added to the program's. */
  readonly programFlags?: number;
};

/** What became of one frame. */
export type Outcome = {
  readonly action: XdpAction;
  readonly records: readonly SynRecord[];
  /** The counters that moved, by name and by how much; unparsed ones as `unparsed.tcp`. */
  readonly counted: Readonly<Record<string, number>>;
  readonly frameAfter: Uint8Array;
  /** The boot-time clock around the run. */
  readonly beforeNs: bigint;
  readonly afterNs: bigint;
};

/** The program in the kernel, attached to nothing: frames reach it through BPF_PROG_TEST_RUN. */
export class LoadedPacketwatch {
  readonly #object: BpfObject;
  readonly #maps: PacketwatchMaps;
  readonly #ring: RingBuffer;

  constructor(object: BpfObject) {
    this.#object = object;
    this.#maps = new PacketwatchMaps((name) => object.map(name));
    this.#ring = openRingBuffer(object.map(mapNames.events));
  }

  get maps(): PacketwatchMaps {
    return this.#maps;
  }

  /** Runs the program once and drains the ring. */
  send(frame: Uint8Array): Outcome {
    const before = this.#maps.counters();
    const beforeNs = bootTimeNs();
    const { action, frameAfter } = this.sendOnly(frame);
    const afterNs = bootTimeNs();
    const counted = countersMoved(before, this.#maps.counters());
    return { action, records: this.readRecords(), counted, frameAfter, beforeNs, afterNs };
  }

  /** Runs the program `repeat` times and leaves the ring as it is. */
  sendOnly(frame: Uint8Array, repeat = 1): { action: XdpAction; frameAfter: Uint8Array } {
    const program = this.#object.program(PROGRAM_NAME);
    const { action, dataOut } = program.testRun({ data: frame, repeat });
    return { action, frameAfter: dataOut };
  }

  readRecords(maxRecords?: number): readonly SynRecord[] {
    return readSynRecords(this.#ring, maxRecords);
  }

  /** Empties block list, allow list and ring, and enforces; counters go on. A load takes far longer. */
  reset(): void {
    this.#maps.clear();
    this.#maps.enforce("on");
    this.readRecords();
  }

  close(): void {
    this.#ring.close();
    this.#object.close();
  }
}

/** The maps by what they mean; of a loaded object, or pinned. */
export class PacketwatchMaps {
  readonly #map: (name: string) => BpfMap;

  constructor(map: (name: string) => BpfMap) {
    this.#map = map;
  }

  counters(): KernelCounters {
    const map = this.#map(mapNames.counters);
    const slots = map.lookup(ONLY_KEY);
    if (slots === undefined) throw new Error("the counters array has no entry");
    return readCounters(slots, Math.ceil(map.valueSize / 8) * 8);
  }

  /** Blocks an address or, in IPv6, the first address of its prefix. */
  block(source: string, block: Partial<Block> = {}): void {
    const value = writeBlock({ expiresNs: 0n, dropped: 0n, firstDropNs: 0n, ...block });
    this.#map(mapNames.blocked).update(writeSourceKey(parseAddress(source)), value);
  }

  unblock(source: string): boolean {
    return this.#map(mapNames.blocked).delete(writeSourceKey(parseAddress(source)));
  }

  blockOf(source: string): Block | undefined {
    const value = this.#map(mapNames.blocked).lookup(writeSourceKey(parseAddress(source)));
    return value === undefined ? undefined : readBlock(value);
  }

  /** Allows as the enforcer does: it tells the program that the list has changed. */
  allow(cidr: string): void {
    this.allowUntold(cidr);
    const live = this.live();
    const told = writeLive({ ...live, allowChanges: live.allowChanges + 1 });
    this.#map(mapNames.live).update(ONLY_KEY, told);
  }

  /** Allows as bpftool does, or an enforcer that dies on the way. */
  allowUntold(cidr: string): void {
    this.#map(mapNames.allowed).update(writeAllowKey(parsePrefix(cidr)), Uint8Array.of(1));
  }

  disallow(cidr: string): boolean {
    return this.#map(mapNames.allowed).delete(writeAllowKey(parsePrefix(cidr)));
  }

  clear(): void {
    for (const name of [mapNames.blocked, mapNames.allowed]) {
      const map = this.#map(name);
      const keys = Array.from(map.keys());
      for (const key of keys) map.delete(key);
    }
  }

  enforce(enforce: "on" | "off", setting: LiveSetting = NOTHING_SET): void {
    this.#map(mapNames.live).update(ONLY_KEY, writeLive({ ...this.live(), enforce, ...setting }));
  }

  live(): Live {
    const value = this.#map(mapNames.live).lookup(ONLY_KEY);
    if (value === undefined) throw new Error("the live array has no entry");
    return readLive(value);
  }

  allowed(): readonly string[] {
    return Array.from(this.#map(mapNames.allowed).keys(), (key) => formatPrefix(readAllowKey(key)));
  }
}

export function loadPacketwatch(options: LoadOptions = {}): LoadedPacketwatch {
  const { ipv6SourceBits = DEFAULT_IPV6_SOURCE_BITS, listenerLookup = "off" } = options;
  const { thinAboveBytes = 0 } = options;
  const spec = openObject(OBJECT_PATH);
  spec.setMaxEntries(mapNames.events, options.ringBytes ?? TEST_RING_BYTES);
  const ipv6SourceMask = sourceMaskWords(ipv6SourceBits);
  spec.setGlobal(SETTINGS_NAME, writeSettings({ ipv6SourceMask, listenerLookup, thinAboveBytes }));
  if (options.programFlags !== undefined) spec.setProgramFlags(PROGRAM_NAME, options.programFlags);
  const loaded = new LoadedPacketwatch(spec.load());
  const { enforce = "on" } = options;
  if (enforce !== "unset") loaded.maps.enforce(enforce);
  return loaded;
}

/** What a test expects of a frame: all but the clock, which no test knows beforehand. */
export type Sighting = Pick<Outcome, "action" | "counted"> & {
  readonly records: readonly TimelessSynRecord[];
};

export function sightingOf({ action, counted, records }: Outcome): Sighting {
  return { action, counted, records: records.map(({ timestampNs: _time, ...fields }) => fields) };
}

/** The sighting of a packet that concerns us in no way. */
export const passed: Sighting = { action: "XDP_PASS", counted: {}, records: [] };

/** The counters that differ. */
export function countersMoved(
  before: KernelCounters,
  after: KernelCounters,
): Record<string, number> {
  const earlier = flatCounters(before);
  const moved = [...flatCounters(after)]
    .map(([name, count]): [string, number] => [name, count - (earlier.get(name) ?? 0)])
    .filter(([, count]) => count !== 0);
  return Object.fromEntries(moved);
}

function flatCounters({ unparsed, ...counters }: KernelCounters): ReadonlyMap<string, number> {
  const reasons = Object.entries(unparsed);
  return new Map([
    ...Object.entries(counters),
    ...reasons.map(([reason, count]): [string, number] => [`unparsed.${reason}`, count]),
  ]);
}
