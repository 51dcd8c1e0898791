import { nkeys } from "@nats-io/transport-node";

/** A user's key for NATS. The seed is the secret. */
export type NatsKey = { readonly seed: string; readonly publicKey: string };

export function createNatsKey(): NatsKey {
  const pair = nkeys.createUser();
  return { seed: new TextDecoder().decode(pair.getSeed()), publicKey: pair.getPublicKey() };
}

/** The public key of a user's seed; undefined where the text is none. */
export function publicKeyOfSeed(text: string): string | undefined {
  const seed = text.trim();
  if (!seed.startsWith("SU")) return undefined;
  try {
    return nkeys.fromSeed(new TextEncoder().encode(seed)).getPublicKey();
  } catch {
    return undefined;
  }
}
