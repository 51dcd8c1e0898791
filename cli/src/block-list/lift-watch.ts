import type { Bus } from "@packetwatch/bus";
import { decodeApplied, decodeTelemetry, subjects, telemetrySubject } from "@packetwatch/contracts";
import { Rejections } from "../tail/rejections.ts";

/** Which hosts have an enforcer, and which of them have carried out one verdict. */
export class LiftWatch {
  readonly #verdictId: string;
  readonly #rejections = new Rejections();
  readonly #heard = new Set<string>();
  readonly #lifted = new Map<string, number>();
  readonly #close: () => void;

  /** Subscribes; enforcers speak once a second. */
  constructor(bus: Bus, verdictId: string) {
    this.#verdictId = verdictId;
    const everyEnforcer = telemetrySubject("enforcer", "any").replace(/[^.]+$/, "*");
    const telemetry = bus.connection.subscribe(everyEnforcer, {
      callback: (_error, { data }) => this.#hear(data),
    });
    const applied = bus.connection.subscribe(subjects.everyApplied, {
      callback: (_error, { data }) => this.#applied(data),
    });
    this.#close = () => {
      telemetry.unsubscribe();
      applied.unsubscribe();
    };
  }

  /** By host, when its confirmation came: performance.now(). */
  get lifted(): ReadonlyMap<string, number> {
    return this.#lifted;
  }

  get missing(): readonly string[] {
    return [...this.#heard].filter((host) => !this.#lifted.has(host)).sort();
  }

  close(): void {
    this.#close();
  }

  #hear(payload: Uint8Array): void {
    const telemetry = this.#rejections.orCount(() => decodeTelemetry(payload));
    if (telemetry !== undefined) this.#heard.add(telemetry.host);
  }

  #applied(payload: Uint8Array): void {
    const applied = this.#rejections.orCount(() => decodeApplied(payload));
    if (applied?.verdictId !== this.#verdictId || applied.action !== "lifted") return;
    this.#heard.add(applied.host);
    this.#lifted.set(applied.host, performance.now());
  }
}
