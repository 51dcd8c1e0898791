export type Member = string | number;

export function jsonBytes(message: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message));
}

/** A deep copy of a JSON message with one member replaced; undefined removes it. */
export function withMember(message: unknown, path: readonly Member[], value: unknown): unknown {
  const [member, ...rest] = path;
  if (member === undefined) return value;
  const copy = structuredClone(message) as Record<Member, unknown>;
  copy[member] = withMember(copy[member], rest, value);
  return copy;
}
