// What a message of packetwatch.v1.verdict.> or packetwatch.v1.alert.> says: docs/schemas has the members.

/** `kind` is block, unblock, alert or ended, with the source, and for the first three the message itself. */
export function readEvent(message) {
  // Where a block with an end has ended, the stream has a mark without a payload.
  if (message.headers?.get("Nats-Marker-Reason")) {
    return { kind: "ended", source: sourceOf(message.subject) };
  }
  const event = parse(message);
  if (event?.version !== 1) return undefined;
  return message.subject.startsWith("packetwatch.v1.alert.") ? { kind: "alert", ...event } : event;
}

function parse(message) {
  try {
    return message.json();
  } catch {
    return undefined;
  }
}

/** `...verdict.ip4.203.0.113.9` is 203.0.113.9; `...verdict.ip6.2001.db8.0.1` is 2001:db8:0:1::/64. */
function sourceOf(subject) {
  const [family, ...tokens] = subject.split(".").slice(3);
  const length = tokens.at(-1)?.startsWith("s") ? tokens.pop().slice(1) : undefined;
  if (family === "ip4") return tokens.join(".") + (length ? `/${length}` : "");
  return `${tokens.join(":")}${tokens.length < 8 ? "::" : ""}/${length ?? 64}`;
}

/** One line for people. */
export function describeEvent(event) {
  const { kind, source, rule, decidedBy, evidence, reason } = event;
  if (kind === "ended") return `${source} is not blocked any more: the block has ended`;
  const why = reason ? `: ${reason}` : "";
  if (kind === "unblock") return `${source} is unblocked by ${decidedBy}${why}`;
  const verb = kind === "alert" ? "set off an alert" : "is blocked";
  const seen = evidence ? `, ${evidence.count} distinct in ${evidence.windowSeconds} s` : "";
  return `${source} ${verb} (${rule}${seen}) by ${decidedBy}${why}`;
}
