import type { HostState } from "@packetwatch/contracts";
import { listNames } from "../hosts/effect.ts";

/** Says which hosts only pretend to drop, when that begins and when it ends. */
export class DryRunNotice {
  readonly #onlyHosts: ReadonlySet<string> | undefined;
  /** Hosts whose dry run was announced. One that falls silent stays. */
  readonly #announced = new Set<string>();

  /** `onlyHosts`: those that are of interest; default: all. */
  constructor(onlyHosts?: ReadonlySet<string>) {
    this.#onlyHosts = onlyHosts;
  }

  /** What is to be said now, by the hosts that are heard. */
  next(hosts: readonly HostState[]): readonly string[] {
    const begun: string[] = [];
    const ended: string[] = [];
    for (const { host, enforcing } of hosts) {
      if (this.#onlyHosts?.has(host) === false) continue;
      const isAnnounced = this.#announced.has(host);
      if (enforcing === "off" && !isAnnounced) begun.push(host);
      if (enforcing === "on" && isAnnounced) ended.push(host);
    }
    for (const host of begun) this.#announced.add(host);
    for (const host of ended) this.#announced.delete(host);
    return [
      ...(begun.length === 0 ? [] : [describeDryRun(begun)]),
      ...(ended.length === 0 ? [] : [`the dry run is over on ${listNames(ended)}`]),
    ];
  }
}

/** `dry run: nothing is dropped on host-a, host-b ('packetwatch enforce show')`. */
export function describeDryRun(hosts: readonly string[]): string {
  return `dry run: nothing is dropped on ${listNames(hosts)} ('packetwatch enforce show')`;
}
