import type { AllowReason, HostAllowed } from "@packetwatch/contracts";
import { formatPrefix, type Prefix, prefixContains } from "@packetwatch/net";

/** A prefix that is allowed on this host, for one reason. */
export type HostEntry = { readonly prefix: Prefix; readonly reason: AllowReason };

/** What is allowed on a host: its own entries and the operators', each prefix once. */
export class AllowList {
  readonly #host = new Map<string, { readonly prefix: Prefix; readonly reasons: AllowReason[] }>();
  readonly #all = new Map<string, Prefix>();
  /** Those that are wider than one address. */
  readonly #wide: readonly Prefix[];

  constructor(host: readonly HostEntry[], operators: readonly Prefix[]) {
    for (const entry of host) this.#addHost(entry);
    for (const prefix of operators) this.#all.set(formatPrefix(prefix), prefix);
    this.#wide = [...this.#all.values()].filter(({ bits }) => bits < 128);
  }

  /** The host's own first: in a full map they have the room, and make it. */
  get prefixes(): readonly Prefix[] {
    return [...this.#all.values()];
  }

  get hostAllowed(): readonly HostAllowed[] {
    return [...this.#host].map(([prefix, { reasons }]) => ({ prefix, reasons }));
  }

  has(text: string): boolean {
    return this.#all.has(text);
  }

  /** Whether nothing of a block would be dropped. One that holds more than what is allowed is in force for the rest. */
  covers(block: Prefix): boolean {
    if (this.#all.has(formatPrefix(block))) return true;
    return this.#wide.some(
      (allowed) => allowed.bits <= block.bits && prefixContains(allowed, block.words),
    );
  }

  #addHost({ prefix, reason }: HostEntry): void {
    const text = formatPrefix(prefix);
    const known = this.#host.get(text);
    if (known === undefined) this.#host.set(text, { prefix, reasons: [reason] });
    else if (!known.reasons.includes(reason)) known.reasons.push(reason);
    this.#all.set(text, prefix);
  }
}
