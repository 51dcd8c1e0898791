import type { XdpAction } from "@packetwatch/bpf";
import { mapNames, writeBlock, writeSourceKey } from "@packetwatch/contracts";
import { parseAddress } from "@packetwatch/net";
import { type Check, check } from "../harness/bench-report.ts";
import { LoadedProgram } from "./loaded-program.ts";

/** What becomes of a packet: no attempt, or an attempt that is reported or dropped. */
export type Outcome = "other" | "reported" | "dropped";

/** A program, and what its counters have to say after all that it was sent. */
export class CountedProgram extends LoadedProgram {
  readonly #expected = { syn: 0, reported: 0, dropped: 0 };
  #drained = 0;

  /** Blocks `count` IPv4 sources in a row from `first` on. */
  blockRange(first: string, count: number): void {
    const words = parseAddress(first);
    const value = writeBlock({ expiresNs: 0n, dropped: 0n, firstDropNs: 0n });
    const keys = Array.from({ length: count }, (_, index) =>
      writeSourceKey([words[0], words[1], words[2], words[3] + index]),
    );
    const values = keys.map(() => value);
    this.object.map(mapNames.blocked).updateBatch(Buffer.concat(keys), Buffer.concat(values));
  }

  /** Nanoseconds a packet; throws where the program answers otherwise. Empties the ring. */
  run(frame: Uint8Array, { repeat, outcome }: { repeat: number; outcome: Outcome }): number {
    const { action, durationNs } = this.program.testRun({ data: frame, repeat });
    this.expect(action, { repeat, outcome });
    return durationNs;
  }

  /** Notes a run that was made by other means. */
  expect(action: XdpAction, { repeat, outcome }: { repeat: number; outcome: Outcome }): void {
    const right: XdpAction = outcome === "dropped" ? "XDP_DROP" : "XDP_PASS";
    if (action !== right) throw new Error(`the program answered ${action} in place of ${right}`);
    if (outcome !== "other") {
      this.#expected.syn += repeat;
      this.#expected[outcome] += repeat;
    }
    this.#drained += this.drain();
  }

  /** `ring`: whether its records come through the ring. */
  checks(name: string, ring: "ring" | "no ring"): readonly Check[] {
    const { synIpv4, synIpv6, reported, dropped, ringFull } = this.counters();
    const counted = { syn: synIpv4 + synIpv6, reported, dropped };
    return [
      check(`${name} counted what it was sent`, counted, this.#expected),
      check(`${name} lost nothing to a full ring`, ringFull, 0),
      check(`${name} had all in its ring`, this.#drained, ring === "ring" ? reported : 0),
    ];
  }
}
