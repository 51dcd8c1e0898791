import type { NetworkNamespace } from "../../support/network-namespace.ts";
import { visit } from "../../support/visit.ts";
import { SITE_ANSWER, SITE_PORTS } from "../site.ts";
import type { ScannedSite } from "./run-scan.ts";

export const CLIENTS = 100;
/** What each of them visits: one port fewer than makes a scanner. */
const CLIENT_PORTS = SITE_PORTS.slice(0, 2);
const HAMMER_CONNECTIONS = 500;
const clientAddresses = Array.from({ length: CLIENTS }, (_, index) => `198.19.100.${index + 1}`);
const HAMMER_ADDRESS = "198.19.101.1";

/** People who visit two ports each, and one who can't get enough of one. */
export class BenignControl {
  readonly #scanned: ScannedSite;
  readonly #from: NetworkNamespace;
  readonly #wrong: string[] = [];
  #connections = 0;

  constructor(scanned: ScannedSite) {
    this.#scanned = scanned;
    const addresses = [...clientAddresses, HAMMER_ADDRESS].map((address) => `${address}/32`);
    this.#from = scanned.site.fleet.addVisitor("clients", addresses);
  }

  /** Connections that were answered. */
  get connections(): number {
    return this.#connections;
  }

  /** What was not as it should be. */
  get wrong(): readonly string[] {
    return this.#wrong;
  }

  /** Everybody's visits, while others scan. */
  async visitAll(): Promise<void> {
    const hammering = this.#visit(HAMMER_ADDRESS, SITE_PORTS[0], HAMMER_CONNECTIONS);
    for (const address of clientAddresses) {
      for (const port of CLIENT_PORTS) await this.#visit(address, port);
    }
    await hammering;
  }

  /** Afterwards: nobody is blocked, and everybody can still connect. */
  async conclude(): Promise<void> {
    const { taps, pinned } = this.#scanned;
    for (const address of [...clientAddresses, HAMMER_ADDRESS]) {
      if (taps.verdicts.blockOf(address)) this.#wrong.push(`${address} has a verdict`);
      if (pinned.maps.blockOf(address)) this.#wrong.push(`${address} is blocked`);
      await this.#visit(address, SITE_PORTS[0]);
    }
  }

  async #visit(source: string, port: number, times = 1): Promise<void> {
    const target = { address: this.#scanned.site.address, port, times };
    const answer = await visit({ from: this.#from, source, ...target });
    if (answer === SITE_ANSWER.repeat(times)) this.#connections += times;
    else this.#wrong.push(`${source} connected to port ${port}: ${answer}`);
  }
}
