import { jetstreamManager } from "@nats-io/jetstream";
import { streamNames } from "@packetwatch/contracts";
import { ShardAssignment } from "@packetwatch/detection";
import { SHARD_COUNT } from "@packetwatch/net";
import { LineProcess } from "../support/line-process.ts";
import type { LoadSite } from "../support/load-site.ts";

/** Processes that share the shards as so many detectors would, and do nothing with what comes. */
export class TakerGroup {
  readonly #site: LoadSite;
  readonly #takers: readonly LineProcess[];
  /** The stream's last message before them. */
  #storedBefore = 0;

  constructor(site: LoadSite, count: number) {
    this.#site = site;
    const server = site.fleet.nats.url;
    const names = Array.from({ length: count }, (_, index) => `taker${index}`);
    const owned = new ShardAssignment(SHARD_COUNT).assign(names);
    this.#takers = [...owned.values()].map(
      (shards) => new LineProcess({ program: "shard-taker", options: { server, shards } }),
    );
  }

  get pids(): readonly number[] {
    return this.#takers.map(({ pid }) => pid);
  }

  /** Call it at once, and wait for it before anything is sent. */
  async ready(): Promise<void> {
    await Promise.all(this.#takers.map((taker) => taker.line()));
    this.#storedBefore = await this.#lastSequence();
  }

  /** Messages that the stream has stored since, of which each is for one of them. */
  async stored(): Promise<number> {
    return (await this.#lastSequence()) - this.#storedBefore;
  }

  /** Messages that all of them have had; undefined while these are fewer. */
  async takenOf(stored: number): Promise<number | undefined> {
    const answers = await Promise.all(this.#takers.map((taker) => taker.ask()));
    const taken = answers.reduce((sum, answer) => sum + Number(answer), 0);
    return taken < stored ? undefined : taken;
  }

  async close(): Promise<void> {
    await Promise.all(this.#takers.map((taker) => taker.close()));
  }

  async #lastSequence(): Promise<number> {
    const manager = await jetstreamManager(this.#site.bus.connection, { checkAPI: false });
    const { state } = await manager.streams.info(streamNames.syn);
    return state.last_seq;
  }
}
