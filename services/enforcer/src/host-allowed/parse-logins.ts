import {
  AddressError,
  type AddressWords,
  IPV4_MAPPED_WORD,
  parseAddress,
  readAddress,
} from "@packetwatch/net";

/** Where the members of struct utmp lie (utmp(5)), which depends on the width of `long` and of times. */
type UtmpLayout = { readonly recordBytes: number; readonly address: number };

/** By process.arch: x86-64 keeps the records of its 32-bit programs. */
const layouts: Readonly<Record<string, UtmpLayout>> = {
  x64: { recordBytes: 384, address: 348 },
  arm64: { recordBytes: 400, address: 360 },
};

// USER_PROCESS of <utmp.h>.
const USER_PROCESS = 7;

/** Where people are logged in from, by a utmp file; none where this architecture's layout isn't known. */
export function parseUtmp(
  bytes: Uint8Array,
  { arch, endianness }: { readonly arch: string; readonly endianness: "LE" | "BE" },
): readonly AddressWords[] {
  const layout = layouts[arch];
  if (layout === undefined) return [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const addresses: AddressWords[] = [];
  for (let at = 0; at + layout.recordBytes <= bytes.byteLength; at += layout.recordBytes) {
    if (view.getInt16(at, endianness === "LE") !== USER_PROCESS) continue;
    const address = loginAddress(readAddress(view, at + layout.address));
    if (address !== undefined) addresses.push(address);
  }
  return addresses;
}

/**
 * Where a login session of systemd comes from, by its file in
 * /run/systemd/sessions, which libsystemd reads the same way; undefined for a
 * local one, and where sshd noted a name in place of an address (UseDNS).
 */
export function parseLogindSession(text: string): AddressWords | undefined {
  const fields = new Map(text.split("\n").map(fieldOf));
  if (fields.get("REMOTE") !== "1" || fields.get("STATE") === "closing") return undefined;
  const host = (fields.get("REMOTE_HOST") ?? "").split("%")[0] ?? "";
  try {
    return parseAddress(host);
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}

/** An IPv4 address stands in the first word alone; all zeroes are a local login. */
function loginAddress(words: AddressWords): AddressWords | undefined {
  const [first, ...rest] = words;
  if (rest.some((word) => word !== 0)) return words;
  return first === 0 ? undefined : [0, 0, IPV4_MAPPED_WORD, first];
}

function fieldOf(line: string): [string, string] {
  const equals = line.indexOf("=");
  return [line.slice(0, equals), line.slice(equals + 1).replace(/^"(.*)"$/, "$1")];
}
