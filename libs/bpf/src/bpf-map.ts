import assert from "node:assert/strict";
import { constants } from "node:os";
import type { BpfError } from "./bpf-error.ts";
import { openPin, pinDescriptor } from "./bpffs.ts";
import type { Descriptor } from "./descriptor.ts";
import { libbpf } from "./libbpf.ts";
import { readMapChunks, type MapChunk } from "./map-chunks.ts";
import { type MapExpectation, type MapInfo, readMapInfo, requireMapMatch } from "./map-spec.ts";
import { type SyscallFailure, syscallFailure } from "./syscall-failure.ts";

/** BPF_ANY, BPF_NOEXIST and BPF_EXIST: write always, only if absent, only if present. */
export type UpdateMode = "any" | "noexist" | "exist";

export interface MapEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

const updateFlags: Readonly<Record<UpdateMode, number>> = { any: 0, noexist: 1, exist: 2 };
const { E2BIG, EEXIST, ENOENT, ENOSPC } = constants.errno;
const defaultChunkEntries = 4096;

/**
 * A BPF map. Keys and values are raw bytes of `keySize` and `valueSize`, laid out as the C struct is: fields in
 * host byte order unless the struct says otherwise. A buffer of another size is an AssertionError. Nothing that
 * is passed in is kept. Owns its descriptor: the kernel keeps the map while a program, pin or descriptor refers to it.
 */
export class BpfMap {
  readonly name: string;
  readonly type: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** Bytes that one entry's value takes in a read: of a per-CPU map, a slot of 8-byte multiples per possible CPU. */
  readonly valueBytes: number;
  readonly #descriptor: Descriptor;

  constructor(name: string, descriptor: Descriptor) {
    const info = readMapInfo(descriptor.fd, descriptor.subject);
    this.name = name;
    this.type = info.type;
    this.keySize = info.keySize;
    this.valueSize = info.valueSize;
    this.maxEntries = info.maxEntries;
    this.valueBytes = info.type.includes("percpu") ? perCpuBytes(info.valueSize) : info.valueSize;
    this.#descriptor = descriptor;
  }

  get fd(): number {
    return this.#descriptor.fd;
  }

  info(): MapInfo {
    return readMapInfo(this.fd, this.#descriptor.subject);
  }

  /** The value of a key, written into `into`; undefined if the key is absent. Of an LPM trie, the longest match. */
  lookup(
    key: Uint8Array,
    into: Uint8Array = new Uint8Array(this.valueBytes),
  ): Uint8Array | undefined {
    this.#requireKey(key);
    assert.equal(into.length, this.valueBytes, "a lookup fills valueBytes bytes");
    const status = libbpf().bpf_map_lookup_elem(this.fd, key, into);
    if (status === -ENOENT) return undefined;
    if (status < 0) throw this.#failure({ operation: "look up in", errno: -status });
    return into;
  }

  /** The values of a key of a per-CPU map, one of `valueSize` bytes per possible CPU; undefined if it is absent. */
  lookupPerCpu(key: Uint8Array): readonly Uint8Array[] | undefined {
    assert(
      this.type.includes("percpu"),
      `map ${this.name} is of type ${this.type}, which has one value per key`,
    );
    const values = this.lookup(key);
    if (values === undefined) return undefined;
    const slotBytes = roundUpTo8(this.valueSize);
    const cpus = this.valueBytes / slotBytes;
    return Array.from({ length: cpus }, (_, cpu) =>
      values.subarray(cpu * slotBytes, cpu * slotBytes + this.valueSize),
    );
  }

  /** Writes an entry; false if `mode` forbids it ("noexist" and it exists, "exist" and it does not). MAP_FULL. */
  update(key: Uint8Array, value: Uint8Array, mode: UpdateMode = "any"): boolean {
    this.#requireKey(key);
    assert.equal(value.length, this.valueBytes, "an update takes valueBytes bytes");
    const status = libbpf().bpf_map_update_elem(this.fd, key, value, updateFlags[mode]);
    if (status === 0) return true;
    if (status === -EEXIST && mode === "noexist") return false;
    if (status === -ENOENT && mode === "exist") return false;
    throw this.#failure({ operation: "update", errno: -status });
  }

  /** Removes an entry; false if it was absent. */
  delete(key: Uint8Array): boolean {
    this.#requireKey(key);
    const status = libbpf().bpf_map_delete_elem(this.fd, key);
    if (status === -ENOENT) return false;
    if (status < 0) throw this.#failure({ operation: "delete from", errno: -status });
    return true;
  }

  /** Writes `n` entries: `n` keys in a row and their values in a row. On MAP_FULL, `completed` entries were written. */
  updateBatch(keys: Uint8Array, values: Uint8Array): void {
    const total = this.#requireKeys(keys);
    assert.equal(values.length, total * this.valueBytes, "there is a value for each key");
    if (total === 0) return;
    const count = Uint32Array.of(total);
    const status = libbpf().bpf_map_update_batch(this.fd, keys, values, count, null);
    if (status === 0) return;
    throw this.#failure({ operation: "update", errno: -status, completed: count[0] ?? 0 });
  }

  /** Removes the entries of keys in a row and returns how many there were; absent ones are passed over. */
  deleteBatch(keys: Uint8Array): number {
    const total = this.#requireKeys(keys);
    const count = new Uint32Array(1);
    let deleted = 0;
    for (let next = 0; next < total;) {
      count[0] = total - next;
      const status = libbpf().bpf_map_delete_batch(
        this.fd,
        keys.subarray(next * this.keySize),
        count,
        null,
      );
      const done = count[0];
      deleted += done;
      if (status < 0 && status !== -ENOENT) {
        throw this.#failure({ operation: "delete from", errno: -status, completed: deleted });
      }
      // The kernel stops at the first absent key; that one is stepped over.
      next += status === -ENOENT ? done + 1 : done;
    }
    return deleted;
  }

  /**
   * Every entry, in chunks of bounded memory that are overwritten by the next one. What is written meanwhile may
   * be seen or not; on a hash map, nothing that stays is missed or seen twice (since Linux 5.6; without batch
   * reads, an entry deleted meanwhile can make others appear twice).
   */
  chunks(chunkEntries: number = defaultChunkEntries): Generator<MapChunk, void, undefined> {
    return readMapChunks(this, chunkEntries);
  }

  /** Every entry as a copy of its own; see `chunks()`. */
  *entries(): Generator<MapEntry, void, undefined> {
    const { keySize, valueBytes } = this;
    for (const { keys, values, count } of this.chunks()) {
      for (let index = 0; index < count; index++) {
        const key = keys.slice(index * keySize, (index + 1) * keySize);
        yield { key, value: values.slice(index * valueBytes, (index + 1) * valueBytes) };
      }
    }
  }

  /** Every key as a copy of its own; see `chunks()`. */
  *keys(): Generator<Uint8Array, void, undefined> {
    for (const { key } of this.entries()) yield key;
  }

  /** Keeps the map beyond this process; makes the folder. PIN_EXISTS, NO_BPFFS. */
  pin(path: string): void {
    pinDescriptor(this.#descriptor, path);
  }

  close(): void {
    this.#descriptor.close();
  }

  #requireKey(key: Uint8Array): void {
    assert.equal(key.length, this.keySize, `a key of map ${this.name} has ${this.keySize} bytes`);
  }

  #requireKeys(keys: Uint8Array): number {
    assert.equal(
      keys.length % this.keySize,
      0,
      `a key of map ${this.name} has ${this.keySize} bytes`,
    );
    return keys.length / this.keySize;
  }

  #failure(what: MapFailure): BpfError {
    const failure = { ...what, subject: this.#descriptor.subject };
    // Hash maps say E2BIG, LPM tries ENOSPC. An array says E2BIG to an index beyond its end.
    const full = what.errno === ENOSPC || (what.errno === E2BIG && !this.type.endsWith("array"));
    if (!full) return syscallFailure(failure);
    const reason = `it holds ${this.maxEntries} entries`;
    const hint = "remove entries, or make the map larger and load the program again";
    return syscallFailure({ ...failure, code: "MAP_FULL", reason, hint });
  }
}

type MapFailure = Pick<SyscallFailure, "operation" | "errno" | "completed">;

function perCpuBytes(valueSize: number): number {
  return roundUpTo8(valueSize) * libbpf().libbpf_num_possible_cpus();
}

function roundUpTo8(bytes: number): number {
  return (bytes + 7) & ~7;
}

/** Opens a pinned map: PIN_MISSING if nothing is pinned there, MAP_MISMATCH if it isn't as expected. */
export function openPinnedMap(path: string, expected: MapExpectation): BpfMap {
  const descriptor = openPin(path, "map");
  try {
    const found = readMapInfo(descriptor.fd, descriptor.subject);
    requireMapMatch(path, found, expected);
    return new BpfMap(found.name, descriptor);
  } catch (error) {
    descriptor.close();
    throw error;
  }
}
