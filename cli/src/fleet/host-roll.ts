import { type Bus, readStreamState, type StreamMessage, type StreamReader } from "@packetwatch/bus";
import { decodeTelemetry, everyTelemetryOf, streamNames } from "@packetwatch/contracts";
import { Rejections } from "../tail/rejections.ts";
import { openSnapshot } from "./read-snapshot.ts";

/** Enforcers speak once a second: who missed three turns is silent. */
export const SILENT_AFTER_US = 3_500_000;

export type SilentHost = { readonly host: string; readonly silentSeconds: number };

/** Which hosts have an enforcer, and since when each is silent. Follows them until it is closed. */
export class HostRoll {
  /** By host. The stream's own limits bound it. */
  readonly #heardUs = new Map<string, number>();
  readonly #rejections = new Rejections();
  /** The server's clock, less this process's steady one. */
  readonly #offsetUs: number;
  #reader: StreamReader | undefined;

  /** `serverTimeUs`: what the server's clock shows now. */
  constructor(serverTimeUs: number) {
    this.#offsetUs = serverTimeUs - performance.now() * 1000;
  }

  /** Knows every host of the last day when it resolves; throws CliError: STREAM_UNREADABLE. */
  static async open(bus: Bus, timeoutMs: number): Promise<HostRoll> {
    const stream = streamNames.telemetry;
    const state = await readStreamState(bus, stream, timeoutMs);
    const roll = new HostRoll(state?.serverTimeUs ?? Date.now() * 1000);
    roll.#reader = await openSnapshot({
      bus,
      stream,
      filter: everyTelemetryOf("enforcer"),
      start: { kind: "last_per_subject" },
      timeoutMs,
      onMessage: (message) => roll.hear(message),
    });
    return roll;
  }

  get live(): readonly string[] {
    return this.#hosts((silentUs) => silentUs <= SILENT_AFTER_US);
  }

  get silent(): readonly SilentHost[] {
    return this.#hosts((silentUs) => silentUs > SILENT_AFTER_US).map((host) => ({
      host,
      silentSeconds: Math.round(this.#silentUs(host) / 1e6),
    }));
  }

  hear({ payload, storedUs }: Pick<StreamMessage, "payload" | "storedUs">): void {
    const telemetry = this.#rejections.orCount(() => decodeTelemetry(payload));
    if (telemetry === undefined) return;
    const { host } = telemetry;
    this.#heardUs.set(host, Math.max(storedUs, this.#heardUs.get(host) ?? 0));
  }

  async close(): Promise<void> {
    await this.#reader?.close();
  }

  #hosts(isWanted: (silentUs: number) => boolean): readonly string[] {
    return [...this.#heardUs.keys()].filter((host) => isWanted(this.#silentUs(host))).sort();
  }

  #silentUs(host: string): number {
    const nowUs = performance.now() * 1000 + this.#offsetUs;
    return Math.max(0, nowUs - (this.#heardUs.get(host) ?? 0));
  }
}
