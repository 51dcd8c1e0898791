import assert from "node:assert/strict";
import { dirname } from "node:path";
import koffi from "koffi";
import { BpfError } from "./bpf-error.ts";
import { BpfMap } from "./bpf-map.ts";
import { BpfObject } from "./bpf-object.ts";
import { BpfProgram } from "./bpf-program.ts";
import { makePinFolder, openPin } from "./bpffs.ts";
import { type Btf, decodeBtf } from "./btf.ts";
import { duplicateDescriptor } from "./descriptor.ts";
import { ErrnoError } from "./errno.ts";
import { captureLibbpfLog } from "./libbpf-log.ts";
import { libbpf } from "./libbpf.ts";
import { lastErrno, type Pointer } from "./libc.ts";
import { loadPrograms } from "./load-programs.ts";
import { type MapSpec, readMapInfo, readMapSpec, requireMapMatch } from "./map-spec.ts";
import { syscallFailure } from "./syscall-failure.ts";

/** A program in the ELF. */
export interface ProgramSpec {
  readonly name: string;
  readonly section: string;
  /** BPF_F_* of <linux/bpf.h>. */
  readonly flags: number;
}

/** Program flag: it can read packets in several buffers, so that a large MTU is no obstacle. Since Linux 5.18. */
export const BPF_F_XDP_HAS_FRAGS: number = 1 << 5;

/**
 * A BPF object file that has been read but not loaded: change it, then `load()` once. A name that the file does
 * not have is an AssertionError, as is use after `load()` or `close()`.
 */
export class ObjectSpec {
  readonly path: string;
  /** The types of the object: struct layouts for comparison with decoders. */
  readonly btf: Btf;
  #object: Pointer | undefined;

  constructor(path: string, object: Pointer, btf: Btf) {
    this.path = path;
    this.btf = btf;
    this.#object = object;
  }

  /** Maps as they would be created now, with those that hold global variables. */
  get maps(): readonly MapSpec[] {
    return this.#maps().map(readMapSpec);
  }

  get programs(): readonly ProgramSpec[] {
    const bpf = libbpf();
    return this.#programs().map((program) => ({
      name: bpf.bpf_program__name(program),
      section: bpf.bpf_program__section_name(program),
      flags: bpf.bpf_program__flags(program),
    }));
  }

  /** Of a ring buffer these are bytes; libbpf rounds them up to a power of two of whole pages. */
  setMaxEntries(mapName: string, maxEntries: number): void {
    assert(Number.isInteger(maxEntries) && maxEntries > 0, "a map has room for an entry");
    const status = libbpf().bpf_map__set_max_entries(this.#map(mapName), maxEntries);
    this.#check(`set max entries of ${mapName} in`, status);
  }

  /** Replaces the initial bytes of a global variable, whole: `bytes` has its size. In host byte order. */
  setGlobal(variableName: string, bytes: Uint8Array): void {
    const variable = this.btf.globals.get(variableName);
    assert(variable !== undefined, `${this.path} has no global ${variableName}`);
    assert.equal(bytes.length, variable.size, `global ${variableName} has ${variable.size} bytes`);
    const map = this.#map(variable.section);
    const content = initialValue(map);
    content.set(bytes, variable.offset);
    const status = libbpf().bpf_map__set_initial_value(map, content, content.length);
    this.#check(`set global ${variableName} in`, status);
  }

  /** On load a map pinned at the path is used, if it is compatible (else MAP_MISMATCH); otherwise a new one is pinned. */
  setPinPath(mapName: string, path: string): void {
    const status = libbpf().bpf_map__set_pin_path(this.#map(mapName), path);
    this.#check(`set pin path of ${mapName} in`, status);
  }

  /** Adds flags, such as BPF_F_XDP_HAS_FRAGS, to those that its section name implies. */
  setProgramFlags(programName: string, flags: number): void {
    const program = libbpf().bpf_object__find_program_by_name(this.#pointer(), programName);
    assert(program !== null, `${this.path} has no program ${programName}`);
    const all = libbpf().bpf_program__flags(program) | flags;
    const status = libbpf().bpf_program__set_flags(program, all);
    this.#check(`set flags of ${programName} in`, status);
  }

  /**
   * Creates the maps and loads the programs; the spec is used up, whether it succeeds or not. Throws VERIFIER,
   * NO_PERMISSION, KERNEL_TOO_OLD, NO_BPFFS, MAP_MISMATCH or OBJECT_LOAD; then nothing is left behind.
   */
  load(): BpfObject {
    const object = this.#pointer();
    try {
      this.#maps().forEach(preparePin);
      loadPrograms({ object, path: this.path, programs: this.#programs(), maps: this.#maps() });
      return this.#takeDescriptors();
    } finally {
      this.close();
    }
  }

  close(): void {
    if (this.#object === undefined) return;
    libbpf().bpf_object__close(this.#object);
    this.#object = undefined;
  }

  /** Descriptors of our own, so that libbpf's object, and all its memory, can go. */
  #takeDescriptors(): BpfObject {
    const bpf = libbpf();
    const maps = new Map<string, BpfMap>();
    const programs = new Map<string, BpfProgram>();
    const loaded = new BpfObject({ path: this.path, maps, programs });
    try {
      for (const map of this.#maps())
        keep(maps, takeMap(bpf.bpf_map__name(map), bpf.bpf_map__fd(map)));
      for (const program of this.#programs())
        keep(programs, takeProgram(bpf.bpf_program__name(program), bpf.bpf_program__fd(program)));
      return loaded;
    } catch (error) {
      loaded.close();
      throw error;
    }
  }

  #pointer(): Pointer {
    assert(
      this.#object !== undefined,
      `the spec of ${this.path} is used after it was loaded or closed`,
    );
    return this.#object;
  }

  #map(name: string): Pointer {
    const map = libbpf().bpf_object__find_map_by_name(this.#pointer(), name);
    assert(map !== null, `${this.path} has no map ${name}`);
    return map;
  }

  #maps(): readonly Pointer[] {
    const object = this.#pointer();
    return walk((previous) => libbpf().bpf_object__next_map(object, previous));
  }

  #programs(): readonly Pointer[] {
    const object = this.#pointer();
    return walk((previous) => libbpf().bpf_object__next_program(object, previous));
  }

  #check(operation: string, status: number): void {
    if (status < 0) throw syscallFailure({ operation, subject: this.path, errno: -status });
  }
}

function walk(next: (previous: Pointer | null) => Pointer | null): readonly Pointer[] {
  const found: Pointer[] = [];
  for (let item = next(null); item !== null; item = next(item)) found.push(item);
  return found;
}

function initialValue(map: Pointer): Uint8Array {
  const size = new BigUint64Array(1);
  const address = libbpf().bpf_map__initial_value(map, size);
  assert(address !== null, "a data section has initial bytes");
  return new Uint8Array(koffi.view(address, Number(size[0]))).slice();
}

/** libbpf says only EINVAL of a pinned map that doesn't fit, so it is looked at first. */
function preparePin(map: Pointer): void {
  const path = libbpf().bpf_map__pin_path(map);
  if (path === null) return;
  makePinFolder(dirname(path));
  const { name: _, ...expected } = readMapSpec(map);
  const pinned = openPinIfAny(path);
  if (pinned === undefined) return;
  try {
    requireMapMatch(path, readMapInfo(pinned.fd, pinned.subject), expected);
  } finally {
    pinned.close();
  }
}

function openPinIfAny(path: string) {
  try {
    return openPin(path, "map");
  } catch (error) {
    if (error instanceof BpfError && error.code === "PIN_MISSING") return undefined;
    throw error;
  }
}

function keep<T extends { readonly name: string }>(all: Map<string, T>, part: T): void {
  all.set(part.name, part);
}

function takeMap(name: string, fd: number): BpfMap {
  return new BpfMap(name, duplicateDescriptor(fd, `map ${name}`));
}

function takeProgram(name: string, fd: number): BpfProgram {
  return new BpfProgram(name, duplicateDescriptor(fd, `program ${name}`));
}

/** Reads a BPF object file; touches no kernel resource. OBJECT_OPEN if it isn't one, LIBBPF_MISSING. */
export function openObject(path: string): ObjectSpec {
  const { result: opened, log } = captureLibbpfLog(() => {
    const object = libbpf().bpf_object__open_file(path, null);
    return { object, errno: object === null ? lastErrno() : 0 };
  });
  if (opened.object === null) throw openFailure({ path, errno: opened.errno, log });
  return new ObjectSpec(path, opened.object, readBtf(opened.object));
}

function readBtf(object: Pointer): Btf {
  const btf = libbpf().bpf_object__btf(object);
  if (btf === null) return { structs: new Map(), enumerators: new Map(), globals: new Map() };
  const size = new Uint32Array(1);
  const data = libbpf().btf__raw_data(btf, size);
  assert(data !== null, "an object's BTF has bytes");
  return decodeBtf(new Uint8Array(koffi.view(data, size[0] ?? 0)));
}

function openFailure({
  path,
  errno,
  log,
}: {
  path: string;
  errno: number;
  log: readonly string[];
}): BpfError {
  const cause = new ErrnoError(errno);
  return new BpfError({
    code: "OBJECT_OPEN",
    operation: "open object",
    subject: path,
    errnoName: cause.code,
    reason: log.join(" | ") || cause.message,
    hint: "build it with 'make build', and give its path",
    cause,
  });
}
