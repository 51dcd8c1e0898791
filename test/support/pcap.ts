import { concatBytes, viewOf } from "./bytes.ts";

const LINKTYPE_ETHERNET = 1;
const SNAP_BYTES = 65_535;

/** A capture file of Ethernet frames, as tcpdump reads it (draft-ietf-opsawg-pcap). */
export function pcapFile(frames: readonly Uint8Array[]): Uint8Array {
  const header = littleEndianWords(0xa1b2c3d4, 0x0004_0002, 0, 0, SNAP_BYTES, LINKTYPE_ETHERNET);
  const packets = frames.flatMap((frame, index) => [
    littleEndianWords(index, 0, frame.length, frame.length),
    frame,
  ]);
  return concatBytes(header, ...packets);
}

function littleEndianWords(...words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(words.length * 4);
  for (const [index, word] of words.entries()) viewOf(bytes).setUint32(index * 4, word, true);
  return bytes;
}
