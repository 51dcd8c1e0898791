import type { FleetLimits } from "@packetwatch/telemetry";
import type { Series } from "./read-series.ts";

/**
 * The values of the labels that the catalogue doesn't list: hosts, their
 * interfaces, versions. A value that was admitted keeps its place, because a
 * counter that has it is served for as long as metrics runs.
 */
export class LabelRoom {
  readonly #limits: FleetLimits;
  readonly #interfacesByHost = new Map<string, Set<string>>();
  readonly #versions = new Set<string>();
  #interfaces = 0;

  constructor(limits: FleetLimits) {
    this.#limits = limits;
  }

  get hosts(): number {
    return this.#interfacesByHost.size;
  }

  get interfaces(): number {
    return this.#interfaces;
  }

  get versions(): number {
    return this.#versions.size;
  }

  /** False where the label set has a value that is new, and there is no room for it. `ownHost` is the sender's. */
  admit({ host, interface: interfaceName, version }: Series["labels"], ownHost: string): boolean {
    if (version !== undefined && !this.#admitVersion(version)) return false;
    if (interfaceName !== undefined) return this.#admitInterface(host ?? ownHost, interfaceName);
    return host === undefined || this.#admitHost(host) !== undefined;
  }

  #admitVersion(version: string): boolean {
    if (this.#versions.has(version)) return true;
    if (this.#versions.size >= this.#limits.versions) return false;
    this.#versions.add(version);
    return true;
  }

  #admitHost(host: string): Set<string> | undefined {
    const known = this.#interfacesByHost.get(host);
    if (known) return known;
    if (this.#interfacesByHost.size >= this.#limits.hosts) return undefined;
    const interfaces = new Set<string>();
    this.#interfacesByHost.set(host, interfaces);
    return interfaces;
  }

  #admitInterface(host: string, interfaceName: string): boolean {
    const interfaces = this.#admitHost(host);
    if (!interfaces || interfaces.has(interfaceName)) return interfaces !== undefined;
    const { interfacesPerHost, interfaces: inAll } = this.#limits;
    if (interfaces.size >= interfacesPerHost || this.#interfaces >= inAll) return false;
    interfaces.add(interfaceName);
    this.#interfaces++;
    return true;
  }
}
