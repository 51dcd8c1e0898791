// An event as a CEF line: https://www.microfocus.com/documentation/arcsight/ (Common Event Format, version 0).

/** A value is cut to so many characters, and a list to so many entries, so that a line fits into a datagram. */
const MAX_CHARACTERS = 256;
const MAX_ENTRIES = 16;

const severities = { block: 7, alert: 5, unblock: 3, ended: 3 };
const names = {
  block: "Source blocked",
  alert: "Source reported",
  unblock: "Source unblocked",
  ended: "Block ended",
};

export function cefLine(event) {
  const { kind, rule } = event;
  const signature = rule ? `${kind}:${rule}` : kind;
  const header = [
    "Packetwatch",
    "Packetwatch",
    "1",
    signature,
    names[kind],
    String(severities[kind]),
  ];
  const pairs = Object.entries(extension(event)).filter(([, value]) => value !== undefined);
  const text = pairs.map(([key, value]) => `${key}=${escapeExtension(cut(value))}`).join(" ");
  return `CEF:0|${header.map((field) => escapeHeader(cut(field))).join("|")}|${text}`;
}

function extension({ kind, id, source, rule, issuedUs, decidedBy, reason, evidence }) {
  return {
    ...sourceField(source),
    act: kind,
    externalId: id,
    rt: issuedUs === undefined ? undefined : Math.floor(issuedUs / 1000),
    suser: decidedBy,
    reason,
    ...labelled("cs1", "rule", rule),
    ...labelled("cs2", "ports", list(evidence?.ports)),
    ...labelled("cs3", "destinations", list(evidence?.destinations)),
    ...labelled("cs4", "sensors", list(evidence?.hosts)),
    ...labelled("cn1", "distinct", evidence?.count),
  };
}

/** `src` takes IPv4 only, and no field takes a prefix: its length has one of its own. */
function sourceField(source) {
  const [address, bits] = source.split("/");
  const field = address.includes(":")
    ? labelled("c6a2", "Source IPv6 Address", address)
    : { src: address };
  return { ...field, ...labelled("cn2", "prefix bits", bits) };
}

function labelled(key, label, value) {
  return value === undefined ? {} : { [key]: value, [`${key}Label`]: label };
}

function list(values) {
  return values?.slice(0, MAX_ENTRIES).join(",");
}

function cut(value) {
  return String(value).slice(0, MAX_CHARACTERS);
}

/** In the header `\` and `|` are escaped, and a line break can't be. */
function escapeHeader(text) {
  return text.replaceAll(/[\\|]/g, "\\$&").replaceAll(/[\r\n]+/g, " ");
}

/** In a value `\` and `=` are escaped, and line breaks are written as `\n` and `\r`. */
function escapeExtension(text) {
  return text.replaceAll(/[\\=]/g, "\\$&").replaceAll("\n", "\\n").replaceAll("\r", "\\r");
}
