import type { Bus } from "@packetwatch/bus";
import { type Applied, decodeApplied, subjects } from "@packetwatch/contracts";
import { waitUntil } from "./eventually.ts";

const TIMEOUT_MS = 10_000;

/** What enforcers say that they applied, from now on. */
export class AppliedTap {
  readonly applied: Applied[] = [];
  readonly #subscription: { unsubscribe(): void };

  constructor(bus: Bus) {
    this.#subscription = bus.connection.subscribe(subjects.everyApplied, {
      callback: (_error, { data }) => void this.applied.push(decodeApplied(data)),
    });
  }

  /** The first one of a host with a verdict. */
  find(host: string, verdictId: string): Applied | undefined {
    return this.applied.find((applied) => applied.host === host && applied.verdictId === verdictId);
  }

  of(host: string, verdictId: string): Promise<Applied> {
    return waitUntil(() => this.find(host, verdictId), {
      timeoutMs: TIMEOUT_MS,
      what: `${host} to say that it applied verdict ${verdictId}`,
    });
  }

  close(): void {
    this.#subscription.unsubscribe();
  }
}
