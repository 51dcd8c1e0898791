import { type BpfMap, type BpfObject, type BpfProgram, openObject } from "@packetwatch/bpf";
import { parseAddress } from "@packetwatch/net";
import { built } from "./paths.ts";

const ONLY_KEY = new Uint8Array(4);
const VARIATION_BYTES = 32;
const SEED = 0x9e3779b97f4a7c15n;

/** `count` values from `first` on. */
export type Range = { readonly first: number; readonly count: number };

export type Variation = {
  readonly sources?: Range;
  readonly destinations?: Range;
  readonly ports?: Range;
};

/** IPv4 addresses from `first` on. */
export function addressRange(first: string, count: number): Range {
  return { first: parseAddress(first)[3], count };
}

/**
 * Runs a program on one packet with the addresses and ports varied
 * (bench/bpf/varied.bpf.c), which BPF_PROG_TEST_RUN alone can't.
 */
export class VariedPackets {
  readonly #object: BpfObject;
  readonly #program: BpfProgram;
  readonly #variation: BpfMap;

  /** Without a program it measures what the variation costs. */
  constructor(program?: BpfProgram) {
    this.#object = openObject(built("bench-varied.bpf.o")).load();
    this.#program = this.#object.program("varied");
    this.#variation = this.#object.map("variation");
    if (!program) return;
    const descriptor = new Uint8Array(new Uint32Array([program.fd]).buffer);
    this.#object.map("under_test").update(ONLY_KEY, descriptor);
  }

  /** From the next run on. The draws begin anew, the same each time. */
  vary({ sources, destinations, ports }: Variation): void {
    const view = new DataView(new ArrayBuffer(VARIATION_BYTES));
    view.setBigUint64(0, SEED, true);
    for (const [index, range] of [sources, destinations, ports].entries()) {
      view.setUint32(8 + index * 8, range?.first ?? 0, true);
      view.setUint32(12 + index * 8, range?.count ?? 0, true);
    }
    this.#variation.update(ONLY_KEY, new Uint8Array(view.buffer));
  }

  run(frame: Uint8Array, repeat: number) {
    return this.#program.testRun({ data: frame, repeat });
  }

  /** Nanoseconds of a repetition that does nothing. */
  runEmpty(frame: Uint8Array, repeat: number): number {
    return this.#object.program("empty").testRun({ data: frame, repeat }).durationNs;
  }

  close(): void {
    this.#object.close();
  }
}
