/**
 * The kernel's side of the contract: names, layouts and flags of
 * bpf/packetwatch.h and bpf/packetwatch.bpf.c. Offsets and sizes in bytes; a
 * test compares them with the BTF of the compiled object.
 */
import { type AddressWords, type Prefix, readAddress, writeAddress } from "@packetwatch/net";

export const PROGRAM_NAME = "packetwatch";

/** Map names in the object; also the file names of their pins. */
export const mapNames = {
  events: "events",
  blocked: "blocked",
  allowed: "allowed",
  counters: "counters",
  live: "live",
} as const;

/** The file name of the pinned link, beside the maps. */
export const LINK_PIN_NAME = "link";

export type MapName = keyof typeof mapNames;

/** Where an interface's pins are; `folder` is the interface's name as bpffs takes it. */
export function pinPaths(pinDir: string, folder: string) {
  const under = (name: string) => `${pinDir}/${folder}/${name}`;
  return {
    folder: `${pinDir}/${folder}`,
    link: under(LINK_PIN_NAME),
    map: (name: MapName) => under(mapNames[name]),
  };
}
export type PinPaths = ReturnType<typeof pinPaths>;

export const SYN_RECORD_VERSION = 1;

/** struct pw_syn_record. */
export const synRecordLayout = {
  version: 0,
  flags: 1,
  tcp_flags: 2,
  ttl: 3,
  ifindex: 4,
  timestamp_ns: 8,
  source: 16,
  destination: 32,
  source_port: 48,
  destination_port: 50,
  window: 52,
  reserved: 54,
} as const;
export const SYN_RECORD_BYTES = 56;
/** What a record takes in the ring, with the kernel's header of 8 bytes. */
export const SYN_RING_BYTES = 64;

/**
 * What became of the records that were read from a ring, as capture notes it
 * behind the consumer's position: a 64-bit count for each, since the ring was
 * made. Their sum, when nothing is on its way, is the count of records read.
 */
export const ringLedgerEntries = [
  "published",
  "buffer_full",
  "shutdown",
  "bad_record",
  "crash",
] as const;
export type RingLedgerEntry = (typeof ringLedgerEntries)[number];
export type RingLedgerCounts = Readonly<Record<RingLedgerEntry, number>>;

/** Reasons for which a record that was read is never published, or not known to be. */
export const ringLossReasons = [
  "buffer_full",
  "shutdown",
  "bad_record",
  "crash",
] as const satisfies readonly RingLedgerEntry[];

/** Reads the counts from the words behind the consumer's position. */
export function readRingLedger(notes: BigUint64Array): RingLedgerCounts {
  const counts = ringLedgerEntries.map((entry, index) => [entry, Number(notes[index] ?? 0n)]);
  return Object.fromEntries(counts) as RingLedgerCounts;
}

/** Bits of a SYN record's flags: PW_SYN_*. */
export const synFlags = {
  allowed: 1 << 0,
  listener: 1 << 1,
  listenerKnown: 1 << 2,
  vlan: 1 << 3,
  fragment: 1 << 4,
  flagsHidden: 1 << 5,
  wouldDrop: 1 << 6,
} as const;

export const SOURCE_KEY_BYTES = 16;

/** struct pw_block. */
export const blockLayout = { expires_ns: 0, dropped: 8, first_drop_ns: 16 } as const;
export const BLOCK_BYTES = 24;

/** struct pw_allow_key. */
export const allowKeyLayout = { prefix_bits: 0, address: 4 } as const;
export const ALLOW_KEY_BYTES = 20;
export const ALLOW_VALUE_BYTES = 1;

/** struct pw_live. */
export const liveLayout = {
  enforce: 0,
  set: 4,
  set_after: 8,
  allow_changes: 12,
  until_ns: 16,
  list_us: 24,
} as const;
export const LIVE_BYTES = 32;

/** struct pw_settings, the read-only global `settings`. */
export const SETTINGS_NAME = "settings";
export const settingsLayout = {
  ipv6_prefix_mask_be: 0,
  listener_lookup: 16,
  reserved: 17,
  thin_above_bytes: 20,
} as const;
export const SETTINGS_BYTES = 24;

/** Reasons of enum pw_unparsed, in its order. */
export const unparsedReasons = [
  "ethernet",
  "vlan",
  "ipv4",
  "ipv6",
  "ipv6_extension",
  "tcp",
] as const;
export type UnparsedReason = (typeof unparsedReasons)[number];

/** struct pw_counters: every member is 64 bits wide. */
export const countersLayout = {
  syn_ipv4: 0,
  syn_ipv6: 8,
  reported: 16,
  ring_full: 24,
  dropped: 32,
  would_drop: 40,
  allowed: 48,
  spared: 56,
  flags_hidden: 64,
  thinned: 72,
  unparsed: 80,
} as const;
export const COUNTERS_BYTES = 80 + unparsedReasons.length * 8;

/** Sums over all CPUs, since the maps were created. */
export type KernelCounters = {
  readonly synIpv4: number;
  readonly synIpv6: number;
  readonly reported: number;
  readonly ringFull: number;
  readonly dropped: number;
  readonly wouldDrop: number;
  readonly allowed: number;
  readonly spared: number;
  readonly flagsHidden: number;
  readonly thinned: number;
  readonly unparsed: Readonly<Record<UnparsedReason, number>>;
};

/** Adds up the per-CPU slots of the `counters` entry; `slotBytes` is a multiple of 8. */
export function readCounters(slots: Uint8Array, slotBytes: number): KernelCounters {
  const view = viewOf(slots);
  const sum = (offset: number) => {
    let total = 0n;
    for (let slot = 0; slot + slotBytes <= slots.byteLength; slot += slotBytes) {
      total += view.getBigUint64(slot + offset, true);
    }
    return Number(total);
  };
  const unparsed = unparsedReasons.map((reason, index) => [
    reason,
    sum(countersLayout.unparsed + index * 8),
  ]);
  return {
    synIpv4: sum(countersLayout.syn_ipv4),
    synIpv6: sum(countersLayout.syn_ipv6),
    reported: sum(countersLayout.reported),
    ringFull: sum(countersLayout.ring_full),
    dropped: sum(countersLayout.dropped),
    wouldDrop: sum(countersLayout.would_drop),
    allowed: sum(countersLayout.allowed),
    spared: sum(countersLayout.spared),
    flagsHidden: sum(countersLayout.flags_hidden),
    thinned: sum(countersLayout.thinned),
    unparsed: Object.fromEntries(unparsed) as Record<UnparsedReason, number>,
  };
}

export type Block = {
  /** CLOCK_BOOTTIME; 0 = until it is removed. */
  readonly expiresNs: bigint;
  readonly dropped: bigint;
  /** CLOCK_BOOTTIME; 0 = none yet. */
  readonly firstDropNs: bigint;
};

export function writeBlock(block: Block): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const view = viewOf(bytes);
  view.setBigUint64(blockLayout.expires_ns, block.expiresNs, true);
  view.setBigUint64(blockLayout.dropped, block.dropped, true);
  view.setBigUint64(blockLayout.first_drop_ns, block.firstDropNs, true);
  return bytes;
}

export function readBlock(bytes: Uint8Array): Block {
  const view = viewOf(bytes);
  return {
    expiresNs: view.getBigUint64(blockLayout.expires_ns, true),
    dropped: view.getBigUint64(blockLayout.dropped, true),
    firstDropNs: view.getBigUint64(blockLayout.first_drop_ns, true),
  };
}

export function writeSourceKey(words: AddressWords): Uint8Array {
  const bytes = new Uint8Array(SOURCE_KEY_BYTES);
  writeAddress(words, viewOf(bytes), 0);
  return bytes;
}

export function readSourceKey(bytes: Uint8Array): AddressWords {
  return readAddress(viewOf(bytes), 0);
}

export function writeAllowKey(prefix: Prefix): Uint8Array {
  const bytes = new Uint8Array(ALLOW_KEY_BYTES);
  const view = viewOf(bytes);
  view.setUint32(allowKeyLayout.prefix_bits, prefix.bits, true);
  writeAddress(prefix.words, view, allowKeyLayout.address);
  return bytes;
}

export function readAllowKey(bytes: Uint8Array): Prefix {
  const view = viewOf(bytes);
  return {
    bits: view.getUint32(allowKeyLayout.prefix_bits, true),
    words: readAddress(view, allowKeyLayout.address),
  };
}

export type KernelSettings = {
  readonly ipv6SourceMask: AddressWords;
  readonly listenerLookup: "on" | "off";
  /** A ring with more bytes waiting is spared repetitions; 0 or missing: never. */
  readonly thinAboveBytes?: number;
};

/**
 * Where thinning begins: above the half of the ring in which records wait while
 * NATS is away, with room left for what is new.
 */
export function thinAboveBytes(ringBytes: number): number {
  return Math.floor((ringBytes * 3) / 4);
}

export function writeSettings(settings: KernelSettings): Uint8Array {
  const bytes = new Uint8Array(SETTINGS_BYTES);
  const view = viewOf(bytes);
  writeAddress(settings.ipv6SourceMask, view, settingsLayout.ipv6_prefix_mask_be);
  view.setUint8(settingsLayout.listener_lookup, settings.listenerLookup === "on" ? 1 : 0);
  view.setUint32(settingsLayout.thin_above_bytes, settings.thinAboveBytes ?? 0, true);
  return bytes;
}

export type LiveSetting = {
  /** In place of what PW_ENFORCE says; undefined: nothing, that holds. */
  readonly set: "on" | "off" | undefined;
  /** The same, from `untilNs` on. */
  readonly setAfter: "on" | "off" | undefined;
  /** CLOCK_BOOTTIME; 0 = for ever. */
  readonly untilNs: bigint;
};

export type Live = LiveSetting & {
  /** What PW_ENFORCE says. */
  readonly enforce: "on" | "off";
  /** Another number, of 32 bits, whenever something was added to `allowed`, and after that. */
  readonly allowChanges: number;
  /** When the verdict list was made that `blocked` is equal to, in microseconds since the Unix epoch; 0: unknown. */
  readonly listUs: number;
};

export const NOTHING_SET: LiveSetting = { set: undefined, setAfter: undefined, untilNs: 0n };

export function writeLive({
  enforce,
  allowChanges = 0,
  listUs = 0,
  ...setting
}: { enforce: Live["enforce"] } & Partial<Live>): Uint8Array {
  const bytes = new Uint8Array(LIVE_BYTES);
  const view = viewOf(bytes);
  view.setUint32(liveLayout.enforce, enforce === "on" ? 1 : 0, true);
  view.setUint32(liveLayout.set, settingCodes.indexOf(setting.set), true);
  view.setUint32(liveLayout.set_after, settingCodes.indexOf(setting.setAfter), true);
  view.setUint32(liveLayout.allow_changes, allowChanges, true);
  view.setBigUint64(liveLayout.until_ns, setting.untilNs ?? 0n, true);
  view.setBigUint64(liveLayout.list_us, BigInt(listUs), true);
  return bytes;
}

export function readLive(bytes: Uint8Array): Live {
  const view = viewOf(bytes);
  return {
    enforce: view.getUint32(liveLayout.enforce, true) === 0 ? "off" : "on",
    set: settingOf(view.getUint32(liveLayout.set, true)),
    setAfter: settingOf(view.getUint32(liveLayout.set_after, true)),
    allowChanges: view.getUint32(liveLayout.allow_changes, true),
    untilNs: view.getBigUint64(liveLayout.until_ns, true),
    listUs: Number(view.getBigUint64(liveLayout.list_us, true)),
  };
}

/** What the program does at a time, as is_enforcing() has it. */
export function isEnforcing({ enforce, set, setAfter, untilNs }: Live, nowNs: bigint): boolean {
  const setting = untilNs !== 0n && untilNs <= nowNs ? setAfter : set;
  return (setting ?? enforce) === "on";
}

/** PW_SET_*, in their order. */
const settingCodes = [undefined, "on", "off"] as const;

/** A code that nobody has written is "off", as is_enforcing() takes it: what is shown is what the program does. */
function settingOf(code: number): "on" | "off" | undefined {
  return code in settingCodes ? settingCodes[code] : "off";
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
