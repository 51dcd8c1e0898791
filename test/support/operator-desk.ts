import type { FleetHost } from "./fleet.ts";
import { jsonLines, type Ran, runPacketwatch } from "./packetwatch-command.ts";

/** Where alice sits and runs the command, against one NATS server. */
export class OperatorDesk {
  readonly #settings: Readonly<Record<string, string>>;

  constructor(natsUrl: string) {
    this.#settings = { PW_NATS_URL: natsUrl, SUDO_USER: "alice", PW_HOST: "desk" };
  }

  run(...args: readonly string[]): Promise<Ran> {
    return runPacketwatch({ settings: this.#settings, args });
  }

  /** The rows of a command that is asked for JSON. */
  async json(...args: readonly string[]): Promise<readonly Record<string, unknown>[]> {
    return jsonLines(await this.run(...args, "--json"));
  }

  /** The same with a host's own settings, for what works on the host itself. */
  runFor(host: FleetHost, ...args: readonly string[]): Promise<Ran> {
    return runPacketwatch({ settings: { ...this.#settings, ...host.settings }, args });
  }
}
