import assert from "node:assert/strict";
import { hostIsLittleEndian } from "./endian.ts";

/** One member of a C struct. Offset and size are in bytes. */
export interface StructMember {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

/** A C struct as the compiler laid it out. */
export interface StructLayout {
  readonly name: string;
  readonly size: number;
  readonly members: readonly StructMember[];
}

/** A global variable: the ELF section that holds it, and its place there in bytes. */
export interface GlobalVariable {
  readonly name: string;
  readonly section: string;
  readonly offset: number;
  readonly size: number;
}

/** The types of a BPF object, as plain data. What the program does not use is not there. */
export interface Btf {
  /** Structs by name, without those that have none. */
  readonly structs: ReadonlyMap<string, StructLayout>;
  /** Enumerators of every enum by their name. */
  readonly enumerators: ReadonlyMap<string, bigint>;
  readonly globals: ReadonlyMap<string, GlobalVariable>;
}

// Kinds from <linux/btf.h>; https://docs.kernel.org/bpf/btf.html has the encoding.
const kind = {
  int: 1,
  pointer: 2,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  func: 12,
  funcProto: 13,
  variable: 14,
  dataSection: 15,
  float: 16,
  declTag: 17,
  enum64: 19,
} as const;

const magic = 0xeb9f;
const typeHeaderBytes = 12;
/** Pointers of the bpf target. */
const pointerBytes = 8;

interface BtfType {
  readonly kind: number;
  readonly name: string;
  /** Size in bytes or, for types that refer to one, a type id. */
  readonly sizeOrType: number;
  readonly entryCount: number;
  /** The flag that says "members carry bit sizes" or "the enum is signed". */
  readonly kindFlag: boolean;
  /** Where what follows the common header begins. */
  readonly bodyOffset: number;
}

/** Bytes that follow the common header of a type. */
function bodyBytes(typeKind: number, entryCount: number): number {
  if (typeKind === kind.int || typeKind === kind.variable || typeKind === kind.declTag) return 4;
  if (typeKind === kind.array) return 12;
  if (typeKind === kind.enum || typeKind === kind.funcProto) return 8 * entryCount;
  const entries = [kind.struct, kind.union, kind.dataSection, kind.enum64] as readonly number[];
  return entries.includes(typeKind) ? 12 * entryCount : 0;
}

class BtfReader {
  readonly #view: DataView;
  readonly #stringsOffset: number;
  readonly types: readonly BtfType[];

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    assert.equal(
      this.#view.getUint16(0, hostIsLittleEndian),
      magic,
      "BTF begins with its magic number",
    );
    const headerBytes = this.u32(4);
    this.#stringsOffset = headerBytes + this.u32(16);
    this.types = this.#readTypes(headerBytes + this.u32(8), this.u32(12));
  }

  u32(offset: number): number {
    return this.#view.getUint32(offset, hostIsLittleEndian);
  }

  u32s(offset: number, count: number): readonly number[] {
    return range(count).map((index) => this.u32(offset + 4 * index));
  }

  string(nameOffset: number): string {
    const start = this.#view.byteOffset + this.#stringsOffset + nameOffset;
    const bytes = new Uint8Array(this.#view.buffer, start);
    return Buffer.from(bytes.subarray(0, bytes.indexOf(0))).toString("utf8");
  }

  type(id: number): BtfType {
    const type = this.types[id];
    assert(type !== undefined, `BTF has no type ${id}`);
    return type;
  }

  /** Size in bytes of a type, through typedefs and qualifiers; 0 for functions and void. */
  sizeOf(id: number): number {
    if (id === 0) return 0;
    const type = this.type(id);
    if (type.kind === kind.pointer) return pointerBytes;
    if (type.kind === kind.array)
      return this.sizeOf(this.u32(type.bodyOffset)) * this.u32(type.bodyOffset + 8);
    const sized = [
      kind.int,
      kind.struct,
      kind.union,
      kind.enum,
      kind.enum64,
      kind.dataSection,
      kind.float,
    ] as readonly number[];
    if (sized.includes(type.kind)) return type.sizeOrType;
    return type.kind === kind.func || type.kind === kind.funcProto
      ? 0
      : this.sizeOf(type.sizeOrType);
  }

  #readTypes(start: number, length: number): readonly BtfType[] {
    // Type ids begin at 1; 0 stands for void.
    const types: BtfType[] = [
      { kind: 0, name: "void", sizeOrType: 0, entryCount: 0, kindFlag: false, bodyOffset: 0 },
    ];
    for (let offset = start; offset < start + length;) {
      const type = this.#readType(offset);
      types.push(type);
      offset = type.bodyOffset + bodyBytes(type.kind, type.entryCount);
    }
    return types;
  }

  #readType(offset: number): BtfType {
    const info = this.u32(offset + 4);
    return {
      kind: (info >>> 24) & 0x1f,
      name: this.string(this.u32(offset)),
      sizeOrType: this.u32(offset + 8),
      entryCount: info & 0xffff,
      kindFlag: info >>> 31 === 1,
      bodyOffset: offset + typeHeaderBytes,
    };
  }
}

/** Decodes raw BTF (a .BTF section, in host byte order). Throws an AssertionError if it isn't BTF. */
export function decodeBtf(bytes: Uint8Array): Btf {
  const reader = new BtfReader(bytes);
  const named = reader.types.filter((type) => type.kind === kind.struct && type.name !== "");
  return {
    structs: new Map(named.map((type) => [type.name, structLayout(reader, type)])),
    enumerators: new Map(reader.types.flatMap((type) => enumerators(reader, type))),
    globals: new Map(reader.types.flatMap((type) => globals(reader, type))),
  };
}

function structLayout(reader: BtfReader, type: BtfType): StructLayout {
  const members = range(type.entryCount).map((index) => {
    const entry = type.bodyOffset + 12 * index;
    const position = reader.u32(entry + 8);
    // With the kind flag, the upper byte is the size of a bit field; its offset is then cut to whole bytes.
    const bitOffset = type.kindFlag ? position & 0xffffff : position;
    return {
      name: reader.string(reader.u32(entry)),
      offset: bitOffset >>> 3,
      size: reader.sizeOf(reader.u32(entry + 4)),
    };
  });
  return { name: type.name, size: type.sizeOrType, members };
}

function enumerators(reader: BtfReader, type: BtfType): readonly (readonly [string, bigint])[] {
  if (type.kind !== kind.enum && type.kind !== kind.enum64) return [];
  const entryBytes = type.kind === kind.enum ? 8 : 12;
  return range(type.entryCount).map((index) => {
    const entry = type.bodyOffset + entryBytes * index;
    const words = entryBytes / 4 - 1;
    return [reader.string(reader.u32(entry)), enumValue(reader.u32s(entry + 4, words), type)];
  });
}

/** A value of one or two words, the low one first; the kind flag says that it is signed. */
function enumValue([low = 0, high = 0]: readonly number[], type: BtfType): bigint {
  const value = (BigInt(high) << 32n) | BigInt(low);
  if (!type.kindFlag) return value;
  return BigInt.asIntN(type.kind === kind.enum ? 32 : 64, value);
}

function globals(
  reader: BtfReader,
  section: BtfType,
): readonly (readonly [string, GlobalVariable])[] {
  if (section.kind !== kind.dataSection) return [];
  return range(section.entryCount).map((index) => {
    const entry = section.bodyOffset + 12 * index;
    const { name } = reader.type(reader.u32(entry));
    return [
      name,
      { name, section: section.name, offset: reader.u32(entry + 4), size: reader.u32(entry + 8) },
    ];
  });
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index);
}
