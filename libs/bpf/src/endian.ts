import { endianness } from "node:os";

/** For DataView: true where the host, and so every kernel struct, is little endian. */
export const hostIsLittleEndian: boolean = endianness() === "LE";
