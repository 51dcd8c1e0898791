import { type Btf, type MapSpec, openObject, type ProgramSpec } from "@packetwatch/bpf";
import {
  ALLOW_KEY_BYTES,
  ALLOW_VALUE_BYTES,
  allowKeyLayout,
  BLOCK_BYTES,
  blockLayout,
  COUNTERS_BYTES,
  countersLayout,
  LIVE_BYTES,
  liveLayout,
  mapNames,
  PROGRAM_NAME,
  SETTINGS_BYTES,
  SETTINGS_NAME,
  settingsLayout,
  SOURCE_KEY_BYTES,
  SYN_RECORD_BYTES,
  synRecordLayout,
  unparsedReasons,
} from "@packetwatch/contracts";
import { beforeAll, describe, expect, it } from "vitest";
import { OBJECT_PATH } from "../support/loaded-packetwatch.ts";

/** The program's own: nobody else opens them, and they aren't pinned. */
const PRIVATE_MAPS = ["clock", "sightings", "unallowed"];

let btf: Btf;
let maps: ReadonlyMap<string, MapSpec>;
let programs: readonly ProgramSpec[];
beforeAll(() => {
  const spec = openObject(OBJECT_PATH);
  try {
    btf = spec.btf;
    maps = new Map(spec.maps.map((map) => [map.name, map]));
    programs = spec.programs;
  } finally {
    spec.close();
  }
});

const structs = [
  { struct: "pw_syn_record", layout: synRecordLayout, bytes: SYN_RECORD_BYTES },
  { struct: "pw_source_key", layout: { address: 0 }, bytes: SOURCE_KEY_BYTES },
  { struct: "pw_block", layout: blockLayout, bytes: BLOCK_BYTES },
  { struct: "pw_allow_key", layout: allowKeyLayout, bytes: ALLOW_KEY_BYTES },
  { struct: "pw_counters", layout: countersLayout, bytes: COUNTERS_BYTES },
  { struct: "pw_settings", layout: settingsLayout, bytes: SETTINGS_BYTES },
  { struct: "pw_live", layout: liveLayout, bytes: LIVE_BYTES },
];

/** Bytes of the members as the decoder and encoders read and write them. */
const memberBytes: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  pw_syn_record: {
    version: 1,
    flags: 1,
    tcp_flags: 1,
    ttl: 1,
    ifindex: 4,
    timestamp_ns: 8,
    source: 16,
    destination: 16,
    source_port: 2,
    destination_port: 2,
    window: 2,
    reserved: 2,
  },
  pw_source_key: { address: 16 },
  pw_block: { expires_ns: 8, dropped: 8, first_drop_ns: 8 },
  pw_allow_key: { prefix_bits: 4, address: 16 },
  pw_counters: {
    syn_ipv4: 8,
    syn_ipv6: 8,
    reported: 8,
    ring_full: 8,
    dropped: 8,
    would_drop: 8,
    allowed: 8,
    spared: 8,
    flags_hidden: 8,
    thinned: 8,
    unparsed: 8 * unparsedReasons.length,
  },
  pw_settings: { ipv6_prefix_mask_be: 16, listener_lookup: 1, reserved: 3, thin_above_bytes: 4 },
  pw_live: { enforce: 4, set: 4, set_after: 4, allow_changes: 4, until_ns: 8, list_us: 8 },
};

describe.each(structs)(
  "user space and the object agree on $struct",
  ({ struct, layout, bytes }) => {
    it("in its size", () => {
      expect(btf.structs.get(struct)?.size).toBe(bytes);
    });

    it("in its members, where each begins and how long it is", () => {
      const members = btf.structs.get(struct)?.members ?? [];
      expect(Object.fromEntries(members.map(({ name, offset }) => [name, offset]))).toEqual(layout);
      const sizes = Object.fromEntries(members.map(({ name, size }) => [name, size]));
      expect(sizes).toEqual(memberBytes[struct]);
    });

    it("in that there is no gap for what a compiler leaves undefined", () => {
      const members = btf.structs.get(struct)?.members ?? [];
      const sum = members.reduce((total, { size }) => total + size, 0);
      expect(sum).toBe(bytes);
    });
  },
);

const u32 = 4;
const expectedMaps = [
  { name: mapNames.events, type: "ringbuf", keySize: 0, valueSize: 0 },
  { name: mapNames.blocked, type: "hash", keySize: SOURCE_KEY_BYTES, valueSize: BLOCK_BYTES },
  {
    name: mapNames.allowed,
    type: "lpm_trie",
    keySize: ALLOW_KEY_BYTES,
    valueSize: ALLOW_VALUE_BYTES,
  },
  { name: mapNames.counters, type: "percpu_array", keySize: u32, valueSize: COUNTERS_BYTES },
  { name: mapNames.live, type: "array", keySize: u32, valueSize: LIVE_BYTES },
];

describe("user space and the object agree", () => {
  it.each(expectedMaps)("on the map $name", (expected) => {
    expect(maps.get(expected.name)).toMatchObject(expected);
  });

  it("on there being no other map than these and the read-only data", () => {
    const names = [...maps.keys()].filter((name) => !name.endsWith(".rodata"));
    const expected = [...Object.values(mapNames), ...PRIVATE_MAPS];
    expect(names.toSorted()).toEqual(expected.toSorted());
  });

  it("on the block list being no LRU map, and neither list being preallocated", () => {
    const noPrealloc = 1;
    expect(maps.get(mapNames.blocked)?.flags).toBe(noPrealloc);
    expect(maps.get(mapNames.allowed)?.flags).toBe(noPrealloc);
  });

  it("on the program, its section and the settings", () => {
    expect(programs.map(({ name, section }) => [name, section])).toEqual([[PROGRAM_NAME, "xdp"]]);
    expect(btf.globals.get(SETTINGS_NAME)).toMatchObject({
      section: ".rodata",
      size: SETTINGS_BYTES,
    });
  });
});
