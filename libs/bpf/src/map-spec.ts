import { BpfError } from "./bpf-error.ts";
import { hostIsLittleEndian } from "./endian.ts";
import { libbpf } from "./libbpf.ts";
import type { Pointer } from "./libc.ts";
import { readObjectInfo, readObjectName } from "./object-info.ts";

/** What a map is, in the ELF or in the kernel. Sizes in bytes. */
export interface MapSpec {
  readonly name: string;
  /** libbpf's word for the type: "hash", "array", "percpu_array", "lpm_trie", "ringbuf". */
  readonly type: string;
  readonly keySize: number;
  readonly valueSize: number;
  /** For a ring buffer its size in bytes. */
  readonly maxEntries: number;
  /** BPF_F_* of <linux/bpf.h>. */
  readonly flags: number;
}

export interface MapInfo extends MapSpec {
  /** The kernel's id of the map. */
  readonly id: number;
}

export function mapTypeName(type: number): string {
  return libbpf().libbpf_bpf_map_type_str(type) ?? `type ${type}`;
}

/** The definition of a map of an open object. */
export function readMapSpec(map: Pointer): MapSpec {
  const bpf = libbpf();
  return {
    name: bpf.bpf_map__name(map),
    type: mapTypeName(bpf.bpf_map__type(map)),
    keySize: bpf.bpf_map__key_size(map),
    valueSize: bpf.bpf_map__value_size(map),
    maxEntries: bpf.bpf_map__max_entries(map),
    flags: bpf.bpf_map__map_flags(map),
  };
}

/** The kernel's description of a map; its name is cut to 15 bytes. */
export function readMapInfo(fd: number, subject: string): MapInfo {
  const info = readObjectInfo(fd, subject);
  const field = (index: number) => info.getUint32(4 * index, hostIsLittleEndian);
  return {
    type: mapTypeName(field(0)),
    id: field(1),
    keySize: field(2),
    valueSize: field(3),
    maxEntries: field(4),
    flags: field(5),
    name: readObjectName(info, 24),
  };
}

/** What a map must be; what is left out may be anything. */
export type MapExpectation = Partial<Omit<MapSpec, "name">>;

const comparedFields = ["type", "keySize", "valueSize", "maxEntries", "flags"] as const;

/** Throws MAP_MISMATCH, naming path and differences, unless a pinned map is as expected. */
export function requireMapMatch(path: string, found: MapSpec, expected: MapExpectation): void {
  const differing = comparedFields.filter(
    (field) => expected[field] !== undefined && expected[field] !== found[field],
  );
  if (differing.length === 0) return;
  throw new BpfError({
    code: "MAP_MISMATCH",
    operation: "open pinned map",
    subject: `${found.name} at ${path}`,
    reason: differing
      .map((field) => `${field} is ${found[field]}, expected ${expected[field]}`)
      .join(", "),
    hint: `stop what uses the map and remove its pin with 'rm ${path}'; its content is lost`,
  });
}
