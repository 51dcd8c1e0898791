import { BpfError, type BpfMap, bpffsName, openPinnedLink, openPinnedMap } from "@packetwatch/bpf";
import {
  ALLOW_KEY_BYTES,
  ALLOW_VALUE_BYTES,
  type Block,
  BLOCK_BYTES,
  LIVE_BYTES,
  type Live,
  type LiveSetting,
  pinPaths,
  readAllowKey,
  readBlock,
  readLive,
  readSourceKey,
  SOURCE_KEY_BYTES,
  writeAllowKey,
  writeBlock,
  writeLive,
  writeSourceKey,
} from "@packetwatch/contracts";
import { type AddressWords, formatAddress, formatPrefix, type Prefix } from "@packetwatch/net";
import type { DesiredBlock } from "./desired-blocks.ts";

/** What a reconcile wrote and removed. */
export type Reconciled = {
  readonly added: readonly DesiredBlock[];
  readonly refreshed: readonly DesiredBlock[];
  /** Addresses, as formatAddress() writes them. */
  readonly removed: readonly string[];
  /** Blocks that were not written. */
  readonly refused: readonly DesiredBlock[];
  /** Why the last of them was not; undefined: none was refused. */
  readonly refusal: BpfError | undefined;
};

/** Wall time, in microseconds since the Unix epoch, to the kernel's boot time, in nanoseconds. */
export type ToBootNs = (wallUs: number) => bigint;

/** What came of making an allow map what is desired. */
export type AllowChange = {
  readonly added: readonly Prefix[];
  readonly removed: readonly Prefix[];
  /** Prefixes that found no room, or for which the kernel had no memory. */
  readonly refused: readonly Prefix[];
};

/** One interface's `blocked`, `allowed` and `live` maps, opened by their pins. */
export class HostMap {
  readonly interfaceName: string;
  readonly #blocked: BpfMap;
  readonly #allowed: BpfMap;
  readonly #live: BpfMap;
  readonly #ids: string;
  readonly #linkPath: string;

  private constructor(
    interfaceName: string,
    { maps, linkPath }: { readonly maps: Record<HeldMap, BpfMap>; readonly linkPath: string },
  ) {
    this.interfaceName = interfaceName;
    this.#linkPath = linkPath;
    this.#blocked = maps.blocked;
    this.#allowed = maps.allowed;
    this.#live = maps.live;
    this.#ids = heldMaps.map((name) => maps[name].info().id).join(" ");
  }

  /** Undefined while capture has not pinned the maps yet. */
  static open(pinDir: string, interfaceName: string): HostMap | undefined {
    const paths = pinPaths(pinDir, bpffsName(interfaceName));
    const opened: [HeldMap, BpfMap][] = [];
    try {
      for (const name of heldMaps) {
        opened.push([name, openPinnedMap(paths.map(name), expectations[name])]);
      }
      const maps = Object.fromEntries(opened) as Record<HeldMap, BpfMap>;
      return new HostMap(interfaceName, { maps, linkPath: paths.link });
    } catch (error) {
      for (const [, map] of opened) map.close();
      if (error instanceof BpfError && error.code === "PIN_MISSING") return undefined;
      throw error;
    }
  }

  get capacity(): number {
    return this.#blocked.maxEntries;
  }

  /** Whether a program works with these maps: capture fills them before it attaches one, and its interface may have gone. */
  get isAttached(): boolean {
    const link = openIfPinned(() => openPinnedLink(this.#linkPath));
    try {
      return link !== undefined && link.info().ifindex !== 0;
    } finally {
      link?.close();
    }
  }

  /** Whether the pins still are these maps: capture makes new ones when their sizes change. */
  isCurrent(pinDir: string): boolean {
    const pinned = HostMap.open(pinDir, this.interfaceName);
    pinned?.close();
    return pinned !== undefined && pinned.#ids === this.#ids;
  }

  /** Blocks a source, or changes its expiry and keeps what was counted; gives why the kernel refused it. */
  block(block: DesiredBlock, toBootNs: ToBootNs): BpfError | undefined {
    const key = writeSourceKey(block.prefix.words);
    const expiresNs = expiryOf(block, toBootNs);
    const fresh = writeBlock({ ...nothingCounted, expiresNs });
    return refusalOf(() => {
      if (this.#blocked.update(key, fresh, "noexist")) return;
      const present = this.#blocked.lookup(key);
      const counted = present ? readBlock(present) : nothingCounted;
      this.#blocked.update(key, writeBlock({ ...counted, expiresNs }));
    });
  }

  /** What the map holds of a source; undefined where it holds nothing. */
  blockOf(source: Prefix): Block | undefined {
    const bytes = this.#blocked.lookup(writeSourceKey(source.words));
    return bytes && readBlock(bytes);
  }

  /** Lifts a block; gives why the kernel refused it. */
  lift(block: DesiredBlock): BpfError | undefined {
    return refusalOf(() => void this.#blocked.delete(writeSourceKey(block.prefix.words)));
  }

  /** All that is blocked: the words of its keys, and when it ends. */
  *blocks(): Generator<{ readonly words: AddressWords; readonly expiresNs: bigint }> {
    for (const { key, value } of this.#blocked.entries()) {
      yield { words: readSourceKey(key), expiresNs: readBlock(value).expiresNs };
    }
  }

  /** When the verdict list was made that the blocks were last equal to; 0: unknown. */
  get listUs(): number {
    return this.readLive().listUs;
  }

  rememberList(listUs: number): void {
    const live = this.readLive();
    if (live.listUs !== listUs) this.#live.update(onlyKey, writeLive({ ...live, listUs }));
  }

  /** Makes the block map what is desired: adds, refreshes what differs, removes what is no longer wanted. */
  reconcile(desired: Iterable<DesiredBlock>, toBootNs: ToBootNs): Reconciled {
    const actual = this.#readBlocks();
    const missing: DesiredBlock[] = [];
    const refreshed: DesiredBlock[] = [];
    const stale: DesiredBlock[] = [];
    let refusal: BpfError | undefined;
    for (const block of desired) {
      const address = formatAddress(block.prefix.words);
      const present = actual.get(address);
      actual.delete(address);
      if (!present) missing.push(block);
      else if (isDifferent(present.expiresNs, expiryOf(block, toBootNs))) {
        const failure = this.block(block, toBootNs);
        refusal = failure ?? refusal;
        (failure ? stale : refreshed).push(block);
      }
    }
    // First, so that a full map has room for what is missing.
    const unwanted = Buffer.concat([...actual.values()].map(({ key }) => key));
    const kept = refusalOf(() => void this.#blocked.deleteBatch(unwanted));
    const failure = this.#add(missing, toBootNs);
    const added = failure ? (failure.completed ?? 0) : missing.length;
    return {
      added: missing.slice(0, added),
      refreshed,
      // Which of them are gone shows when the others are tried again.
      removed: kept ? [] : [...actual.keys()],
      refused: [...stale, ...missing.slice(added)],
      refusal: failure ?? kept ?? refusal,
    };
  }

  /** Makes the allow map what is desired, the first of it where that is too much, and removes of the rest what may go. */
  allow(desired: readonly Prefix[], mayRemove: (prefix: Prefix) => boolean): AllowChange {
    const { maxEntries } = this.#allowed;
    const actual = new Map<string, Prefix>();
    for (const key of this.#allowed.keys()) {
      const prefix = readAllowKey(key);
      actual.set(formatPrefix(prefix), prefix);
    }
    const fitting = desired.slice(0, maxEntries);
    const missing = fitting.filter((prefix) => !actual.delete(formatPrefix(prefix)));
    const removed = [...actual.values()].filter(mayRemove);
    // First, so that a full map has room for what is missing.
    for (const prefix of removed) this.#allowed.delete(writeAllowKey(prefix));
    const refused = missing.filter((prefix) => !this.#addAllowed(prefix));
    const added = missing.filter((prefix) => !refused.includes(prefix));
    if (added.length > 0) this.#tellAllowChange();
    return { added, removed, refused: [...refused, ...desired.slice(maxEntries)] };
  }

  /** Sets what an operator wants in place of PW_ENFORCE, which capture writes; false where it is so already. */
  set(setting: LiveSetting): boolean {
    const live = this.readLive();
    const wanted = { ...setting, untilNs: keptUntilNs(live, setting) };
    const isSame =
      live.set === wanted.set &&
      live.setAfter === wanted.setAfter &&
      live.untilNs === wanted.untilNs;
    if (isSame) return false;
    this.#live.update(onlyKey, writeLive({ ...live, ...wanted }));
    return true;
  }

  readLive(): Live {
    const value = this.#live.lookup(onlyKey);
    // An array's entry is always there.
    if (value === undefined) throw new Error("the live map has no entry");
    return readLive(value);
  }

  close(): void {
    this.#blocked.close();
    this.#allowed.close();
    this.#live.close();
  }

  /** The program remembers for a tick whom the list didn't hold; from here on it asks again. */
  #tellAllowChange(): void {
    const live = this.readLive();
    this.#live.update(onlyKey, writeLive({ ...live, allowChanges: live.allowChanges + 1 }));
  }

  /** False where the map is full, or the kernel has no memory. */
  #addAllowed(prefix: Prefix): boolean {
    const write = () => void this.#allowed.update(writeAllowKey(prefix), allowedValue);
    return refusalOf(write) === undefined;
  }

  #readBlocks(): Map<string, { key: Uint8Array; expiresNs: bigint }> {
    const actual = new Map<string, { key: Uint8Array; expiresNs: bigint }>();
    for (const { key, value } of this.#blocked.entries()) {
      actual.set(formatAddress(readSourceKey(key)), { key, expiresNs: readBlock(value).expiresNs });
    }
    return actual;
  }

  /** Gives why not all were added; `completed` is how many were: the first ones. */
  #add(blocks: readonly DesiredBlock[], toBootNs: ToBootNs): BpfError | undefined {
    const keys = Buffer.concat(blocks.map(({ prefix }) => writeSourceKey(prefix.words)));
    const values = Buffer.concat(
      blocks.map((block) =>
        writeBlock({ ...nothingCounted, expiresNs: expiryOf(block, toBootNs) }),
      ),
    );
    return refusalOf(() => this.#blocked.updateBatch(keys, values));
  }
}

/** Why the kernel refused what it may take later: the map is full or busy, or memory is short, as it isn't preallocated. */
function refusalOf(write: () => void): BpfError | undefined {
  try {
    write();
    return undefined;
  } catch (error) {
    if (error instanceof BpfError && error.retryable) return error;
    throw error;
  }
}

function openIfPinned<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch (error) {
    if (error instanceof BpfError && error.code === "PIN_MISSING") return undefined;
    throw error;
  }
}

const heldMaps = ["blocked", "allowed", "live"] as const;
type HeldMap = (typeof heldMaps)[number];

const onlyKey = new Uint8Array(4);

const nothingCounted = { dropped: 0n, firstDropNs: 0n } as const;

const expectations = {
  blocked: { type: "hash", keySize: SOURCE_KEY_BYTES, valueSize: BLOCK_BYTES },
  allowed: { type: "lpm_trie", keySize: ALLOW_KEY_BYTES, valueSize: ALLOW_VALUE_BYTES },
  live: { type: "array", keySize: onlyKey.byteLength, valueSize: LIVE_BYTES },
} as const;

const allowedValue = new Uint8Array(ALLOW_VALUE_BYTES).fill(1);

/** Conversion between clocks is off by microseconds; a refresh within this would be one of nothing. */
const EXPIRY_TOLERANCE_NS = 10_000_000n;

/** 0 means "until it is lifted", so an expiry long past is 1. */
function expiryOf({ expiresUs }: DesiredBlock, toBootNs: ToBootNs): bigint {
  if (expiresUs === undefined) return 0n;
  const expiresNs = toBootNs(expiresUs);
  return expiresNs > 0n ? expiresNs : 1n;
}

/** The end that is there where the wanted one is the same but for the conversion between clocks. */
function keptUntilNs(present: LiveSetting, { untilNs }: LiveSetting): bigint {
  return isDifferent(present.untilNs, untilNs) ? untilNs : present.untilNs;
}

function isDifferent(a: bigint, b: bigint): boolean {
  if (a === 0n || b === 0n) return a !== b;
  const distance = a > b ? a - b : b - a;
  return distance > EXPIRY_TOLERANCE_NS;
}
