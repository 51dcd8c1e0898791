/** What the detection bench shows a detector. */
import type { SynEvent } from "@packetwatch/contracts";
import type { SynReader } from "@packetwatch/detection";

/** Of the draws, and of the detector's hashes. */
export const SEED = 20_240_101;
const START_US = 1_704_067_200_000_000;
/** The clock of the events runs as if they came at a million a second. */
const STEP_US = 1;
const LATENESS_US = 50_000;
const HOSTS = 64;
const PORTS = [443, 80] as const;

type Target = { readonly host: number; readonly port: number };
type TargetOf = (source: number, draw: () => number) => Target;

export type Scenario = {
  readonly title: string;
  readonly sources: number;
  readonly targetOf: TargetOf;
  /** What the service has unless told, or twice the sources: a set-associative table wants room to spare. */
  readonly capacity: number;
  readonly hasScans: boolean;
  readonly goalPerSecond?: number;
};

const DEFAULT_CAPACITY = 65_536;
/** So many that each has left its table before it comes again. */
const PASSING_SOURCES = 2 ** 22;

const fullScenarios: readonly Scenario[] = [
  mixed(1_000, 10e6),
  mixed(100_000, 10e6),
  mixed(1_000_000, 4e6),
  {
    title: "100000 sources of eight targets each",
    sources: 100_000,
    targetOf: drawOfEight,
    // Four keys of the rule `vertical` each, and room to spare.
    capacity: 1_000_000,
    hasScans: false,
  },
  {
    title: "sources that come once",
    sources: PASSING_SOURCES,
    targetOf: drawOfOne,
    capacity: DEFAULT_CAPACITY,
    hasScans: false,
  },
];

/** By the size of the bench. */
export const scenarios = {
  full: fullScenarios,
  smoke: [mixed(1_000, 10e6), mixed(20_000, 10e6)],
} as const satisfies Record<string, readonly Scenario[]>;

function mixed(sources: number, goalPerSecond: number): Scenario {
  const capacity = Math.max(DEFAULT_CAPACITY, sources * 2);
  const title = `${sources} sources`;
  return { title, sources, targetOf: drawMixed, capacity, hasScans: true, goalPerSecond };
}

/** Events drawn once before the clock runs, so that their making isn't measured; the stream goes round in them. */
const DRAWN_EVENTS = 2 ** 22;

export type Load = {
  readonly sources: Uint32Array;
  readonly destinations: Uint32Array;
  readonly ports: Uint16Array;
  readonly latenessUs: Uint16Array;
};

export function drawLoad({ sources, targetOf }: Scenario): Load {
  const draw = createXorshift();
  const load = {
    sources: new Uint32Array(DRAWN_EVENTS),
    destinations: new Uint32Array(DRAWN_EVENTS),
    ports: new Uint16Array(DRAWN_EVENTS),
    latenessUs: new Uint16Array(DRAWN_EVENTS),
  };
  for (let index = 0; index < DRAWN_EVENTS; index++) {
    const source = draw() % sources;
    const { host, port } = targetOf(source, draw);
    load.sources[index] = 0x0b000000 + source;
    load.destinations[index] = 0x0a000000 + (host % HOSTS);
    load.ports[index] = port;
    load.latenessUs[index] = draw() % 100 === 0 ? draw() % LATENESS_US : 0;
  }
  return load;
}

function drawMixed(source: number, draw: () => number): Target {
  const kind = source % 100;
  if (kind === 0) return { host: draw(), port: 1 + (draw() & 0xfff) };
  if (kind < 10) return drawOfEight(source, draw);
  return drawOfOne(source);
}

function drawOfOne(source: number): Target {
  return { host: source, port: PORTS[0] };
}

function drawOfEight(source: number, draw: () => number): Target {
  return { host: source + (draw() & 3), port: PORTS[draw() & 1]! };
}

function createXorshift(): () => number {
  let state = SEED;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** As many events as a full batch of the bus has. */
export const BATCH_EVENTS = 1024;

/** Reads the drawn events round and round, as `SynBatch` does its records. */
export class LoadReader implements SynReader {
  readonly count = BATCH_EVENTS;
  first = 0;
  readonly #load: Load;

  constructor(load: Load) {
    this.#load = load;
  }

  read(index: number, event: SynEvent): void {
    const at = (this.first + index) & (DRAWN_EVENTS - 1);
    event.timeUs = START_US + (this.first + index) * STEP_US - this.#load.latenessUs[at]!;
    event.s2 = 0xffff;
    event.s3 = this.#load.sources[at]!;
    event.d2 = 0xffff;
    event.d3 = this.#load.destinations[at]!;
    event.destinationPort = this.#load.ports[at]!;
  }
}
