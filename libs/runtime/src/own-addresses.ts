import { networkInterfaces } from "node:os";
import { hostPrefix, parseAddress, type Prefix } from "@packetwatch/net";

/** The addresses that these interfaces have now, each whole, without repeats. */
export function ownAddresses(interfaceNames: readonly string[]): readonly Prefix[] {
  const system = networkInterfaces();
  const texts = interfaceNames.flatMap((name) => system[name] ?? []).map(({ address }) => address);
  // A link-local address may come with its zone.
  const addresses = new Set(texts.map((text) => text.split("%")[0] ?? text));
  return [...addresses].map((address) => hostPrefix(parseAddress(address)));
}
