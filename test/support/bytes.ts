/** Joins byte strings. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** 16-bit numbers in network byte order. */
export function words16(...words: readonly number[]): Uint8Array {
  return Uint8Array.from(words.flatMap((word) => [(word >>> 8) & 0xff, word & 0xff]));
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** `bytes` followed by `padByte` until it is a multiple of `unit` long. */
export function padToMultiple(bytes: Uint8Array, unit: number, padByte = 0): Uint8Array {
  const missing = (unit - (bytes.length % unit)) % unit;
  return concatBytes(bytes, new Uint8Array(missing).fill(padByte));
}

/** The Internet checksum, RFC 1071. */
export function internetChecksum(bytes: Uint8Array): number {
  const view = viewOf(padToMultiple(bytes, 2));
  let sum = 0;
  for (let at = 0; at < view.byteLength; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
