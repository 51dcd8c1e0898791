import { type AddressWords, IPV4_MAPPED_WORD } from "@packetwatch/net";

/** Of the host, as os.endianness() has it. */
export type Endianness = "LE" | "BE";

/** An IPv4 address as /proc/net prints it: a word in the byte order of the host. */
export function parseHexIpv4(hex: string, endianness: Endianness): AddressWords | undefined {
  const word = parseHexWord(hex, endianness);
  return word === undefined ? undefined : [0, 0, IPV4_MAPPED_WORD, word];
}

/** The same of an IPv6 address: four words, each in the byte order of the host. */
export function parseHexIpv6(hex: string, endianness: Endianness): AddressWords | undefined {
  if (hex.length !== 32) return undefined;
  const words = [0, 8, 16, 24].map((at) => parseHexWord(hex.slice(at, at + 8), endianness));
  return words.includes(undefined) ? undefined : (words as unknown as AddressWords);
}

function parseHexWord(hex: string, endianness: Endianness): number | undefined {
  if (!/^[0-9a-f]{8}$/i.test(hex)) return undefined;
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, Number.parseInt(hex, 16), endianness === "LE");
  return view.getUint32(0);
}
