import { setTimeout as delay } from "node:timers/promises";
import type { Bus } from "@packetwatch/bus";
import { formatAddress, IPV4_MAPPED_WORD, parseAddress } from "@packetwatch/net";
import { AppliedTap } from "../../test/support/applied-tap.ts";
import { waitUntil } from "../../test/support/eventually.ts";
import { ethernet, ipv4 } from "../../test/support/packets.ts";
import { PinnedProgram } from "../../test/support/pinned-program.ts";
import { tcp } from "../../test/support/segments.ts";

const FIRST_SOURCE = "12.0.0.1";
/** As many as make a scanner at the default threshold: the last one decides. */
const PORTS = [21, 22, 23] as const;
const TIMEOUT_MS = 30_000;
/** Between two scans, so that each finds the services as they are when nothing happens. */
export const PAUSE_MS = 15;

export type Reaction = {
  readonly source: string;
  readonly verdictId: string;
  /** The deciding attempt, on the kernel's clock, and the map write; microseconds since the Unix epoch. */
  readonly decidedUs: number;
  readonly appliedUs: number;
};

/** Scans from one new source after the other, and reads from what enforcers announce how long each took. */
export class ReactionSampler {
  readonly #program: PinnedProgram;
  readonly #tap: AppliedTap;
  #scans = 0;

  constructor(pinFolder: string, bus: Bus) {
    this.#program = new PinnedProgram({ pinFolder, thinning: "on" });
    this.#tap = new AppliedTap(bus);
  }

  async sample(count: number): Promise<readonly Reaction[]> {
    const reactions: Reaction[] = [];
    for (let index = 0; index < count; index++) reactions.push(await this.scan());
    return reactions;
  }

  async scan(): Promise<Reaction> {
    const reaction = await this.#scan();
    await delay(PAUSE_MS);
    return reaction;
  }

  close(): void {
    this.#tap.close();
    this.#program.close();
  }

  async #scan(): Promise<Reaction> {
    const source = formatAddress([
      0,
      0,
      IPV4_MAPPED_WORD,
      parseAddress(FIRST_SOURCE)[3] + this.#scans++,
    ]);
    for (const destinationPort of PORTS) {
      const data = ethernet(ipv4(tcp({ destinationPort }), { source }));
      this.#program.program.testRun({ data });
    }
    const { verdictId, appliedUs, reactionUs } = await waitUntil(
      () => this.#tap.applied.find((applied) => applied.source === source),
      { timeoutMs: TIMEOUT_MS, what: `a verdict on ${source} to be applied` },
    );
    // What is found once isn't searched again: the list would grow with the samples.
    this.#tap.applied.length = 0;
    return { source, verdictId, appliedUs, decidedUs: appliedUs - (reactionUs ?? Number.NaN) };
  }
}
