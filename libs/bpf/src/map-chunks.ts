import assert from "node:assert/strict";
import { constants } from "node:os";
import type { BpfMap } from "./bpf-map.ts";
import { ENOTSUPP } from "./errno.ts";
import { libbpf } from "./libbpf.ts";
import { syscallFailure } from "./syscall-failure.ts";

/** Entries of a map: `count` keys and values in a row, in buffers that the next chunk overwrites. */
export interface MapChunk {
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
  readonly count: number;
}

/** Where a batch read goes on: a bucket number of 4 bytes, or of array-like maps a key. */
const minCursorBytes = 4;
const { EINVAL, ENOENT, ENOSPC, EOPNOTSUPP } = constants.errno;

/** Reads a map in batches, or key by key where the map type or the kernel (before 5.6) has no batches. */
export function* readMapChunks(
  map: BpfMap,
  chunkEntries: number,
): Generator<MapChunk, void, undefined> {
  assert(chunkEntries > 0, "a chunk has room for an entry");
  const reader = new BatchReader(map, chunkEntries);
  const first = reader.next();
  if (first === "unsupported") return yield* readKeyByKey(map, chunkEntries);
  for (
    let chunk: MapChunk | undefined | "unsupported" = first;
    chunk !== undefined;
    chunk = reader.next()
  ) {
    assert(chunk !== "unsupported", "a map that has batches keeps them");
    if (chunk.count > 0) yield chunk;
  }
}

class BatchReader {
  readonly #map: BpfMap;
  readonly #cursor: Uint8Array;
  readonly #count = new Uint32Array(1);
  #state: "first" | "next" | "done" = "first";
  #entries: number;
  #keys: Uint8Array;
  #values: Uint8Array;

  constructor(map: BpfMap, chunkEntries: number) {
    this.#map = map;
    this.#cursor = new Uint8Array(Math.max(minCursorBytes, map.keySize));
    this.#entries = Math.min(chunkEntries, map.maxEntries);
    this.#keys = new Uint8Array(this.#entries * map.keySize);
    this.#values = new Uint8Array(this.#entries * map.valueBytes);
  }

  next(): MapChunk | undefined | "unsupported" {
    if (this.#state === "done") return undefined;
    const status = this.#read();
    if (this.#state === "first" && isUnsupported(status)) return "unsupported";
    if (status === -ENOSPC && this.#grow()) return this.next();
    if (status < 0 && status !== -ENOENT) throw this.#failure(-status);
    // ENOENT says that this was the last batch; its entries count.
    this.#state = status === -ENOENT ? "done" : "next";
    return { keys: this.#keys, values: this.#values, count: this.#count[0] ?? 0 };
  }

  #read(): number {
    this.#count[0] = this.#entries;
    const from = this.#state === "first" ? null : this.#cursor;
    return libbpf().bpf_map_lookup_batch(
      this.#map.fd,
      from,
      this.#cursor,
      this.#keys,
      this.#values,
      this.#count,
      null,
    );
  }

  /** A hash map's batch ends at a bucket's end, so a chunk must have room for a whole bucket. */
  #grow(): boolean {
    if (this.#entries >= this.#map.maxEntries) return false;
    this.#entries = Math.min(2 * this.#entries, this.#map.maxEntries);
    this.#keys = new Uint8Array(this.#entries * this.#map.keySize);
    this.#values = new Uint8Array(this.#entries * this.#map.valueBytes);
    return true;
  }

  #failure(errno: number) {
    return syscallFailure({ operation: "read", subject: `map ${this.#map.name}`, errno });
  }
}

function isUnsupported(status: number): boolean {
  return status === -ENOTSUPP || status === -EOPNOTSUPP || status === -EINVAL;
}

function* readKeyByKey(map: BpfMap, chunkEntries: number): Generator<MapChunk, void, undefined> {
  const keys = new Uint8Array(chunkEntries * map.keySize);
  const values = new Uint8Array(chunkEntries * map.valueBytes);
  let count = 0;
  for (const key of walkKeys(map)) {
    const value = values.subarray(count * map.valueBytes, (count + 1) * map.valueBytes);
    // A key that went away between the walk and the look-up is no entry any more.
    if (map.lookup(key, value) === undefined) continue;
    keys.set(key, count * map.keySize);
    count++;
    if (count < chunkEntries) continue;
    yield { keys, values, count };
    count = 0;
  }
  if (count > 0) yield { keys, values, count };
}

/** After a deleted key the kernel begins again at the first, so the walk is bounded by the size of the map. */
function* walkKeys(map: BpfMap): Generator<Uint8Array, void, undefined> {
  const key = new Uint8Array(map.keySize);
  for (let steps = 0; steps < map.maxEntries; steps++) {
    const status = libbpf().bpf_map_get_next_key(map.fd, steps === 0 ? null : key, key);
    if (status === -ENOENT) return;
    if (status < 0)
      throw syscallFailure({ operation: "read", subject: `map ${map.name}`, errno: -status });
    yield key;
  }
}
