import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { Bus } from "@packetwatch/bus";
import { type AddressWords, parseAddress } from "@packetwatch/net";

/** How often names are looked up again. */
const LOOKUP_INTERVAL_MS = 60_000;
/** Servers whose names are looked up; a cluster has a handful. */
const MAX_SERVERS = 64;
const MAX_ADDRESSES_PER_SERVER = 16;

/** The addresses of the NATS servers that are configured, or that the cluster has named. */
export class NatsAddresses {
  readonly #bus: Bus;
  readonly #timer: NodeJS.Timeout;
  /** By server; a name that can't be looked up now keeps its last addresses. */
  readonly #byServer = new Map<string, readonly AddressWords[]>();

  constructor(bus: Bus) {
    this.#bus = bus;
    void this.#refresh();
    this.#timer = setInterval(() => void this.#refresh(), LOOKUP_INTERVAL_MS);
  }

  /** With the one that is connected, whatever its name said. */
  get addresses(): readonly AddressWords[] {
    const connected = this.#bus.remoteAddress();
    return [...(connected === undefined ? [] : addressesIn([connected])), ...this.#known];
  }

  get #known(): readonly AddressWords[] {
    return [...this.#byServer.values()].flat();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #refresh(): Promise<void> {
    const servers = this.#bus.serverHosts().slice(0, MAX_SERVERS);
    for (const known of this.#byServer.keys()) {
      if (!servers.includes(known)) this.#byServer.delete(known);
    }
    await Promise.all(servers.map((server) => this.#lookUp(server)));
  }

  async #lookUp(server: string): Promise<void> {
    const texts = await addressTexts(server);
    if (texts.length > 0) this.#byServer.set(server, addressesIn(texts));
  }
}

async function addressTexts(server: string): Promise<readonly string[]> {
  if (isIP(server) !== 0) return [server];
  const [looked] = await Promise.allSettled([lookup(server, { all: true })]);
  return looked.status === "fulfilled" ? looked.value.map(({ address }) => address) : [];
}

function addressesIn(texts: readonly string[]): readonly AddressWords[] {
  return texts
    .map((text) => text.split("%")[0] ?? "")
    .filter((text) => isIP(text) !== 0)
    .slice(0, MAX_ADDRESSES_PER_SERVER)
    .map(parseAddress);
}
