import { type Bus, type StreamMessage, StreamReader } from "@packetwatch/bus";
import {
  createSynEvent,
  decodeVerdict,
  streamNames,
  subjects,
  SynBatch,
  type Verdict,
} from "@packetwatch/contracts";
import { formatAddress } from "@packetwatch/net";
import { RecordingLogger } from "./recording-logger.ts";

const PREFETCH = 1000;

/** What sensors reported of one source: its attempts that were not dropped. */
export type SourceActivity = {
  readonly syns: number;
  readonly ports: ReadonlySet<number>;
  readonly firstUs: number;
  readonly lastUs: number;
};

type Gathered = { syns: number; ports: Set<number>; firstUs: number; lastUs: number };

/** Reads the SYN stream from its beginning, as a detector does. */
export class SynTap {
  readonly #sources = new Map<string, Gathered>();
  readonly #event = createSynEvent();
  readonly #reader: StreamReader;
  #total = 0;

  constructor(bus: Bus) {
    this.#reader = new StreamReader({
      bus,
      stream: streamNames.syn,
      filter: subjects.everySyn,
      start: { kind: "all" },
      prefetch: PREFETCH,
      logger: new RecordingLogger(),
      onMessage: ({ payload }) => this.#take(new SynBatch(payload)),
    });
  }

  /** Attempts of all sources. */
  get total(): number {
    return this.#total;
  }

  /** Of an address, whole. */
  of(source: string): SourceActivity {
    return this.#sources.get(source) ?? { syns: 0, ports: new Set(), firstUs: 0, lastUs: 0 };
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  #take(batch: SynBatch): void {
    const event = this.#event;
    for (let index = 0; index < batch.count; index++) {
      batch.read(index, event);
      const source = formatAddress([event.s0, event.s1, event.s2, event.s3]);
      this.#add(source, event.destinationPort, event.timeUs);
    }
    this.#total += batch.count;
  }

  #add(source: string, port: number, timeUs: number): void {
    const known = this.#sources.get(source);
    const gathered = known ?? { syns: 0, ports: new Set(), firstUs: timeUs, lastUs: timeUs };
    this.#sources.set(source, gathered);
    gathered.syns++;
    gathered.ports.add(port);
    gathered.firstUs = Math.min(gathered.firstUs, timeUs);
    gathered.lastUs = Math.max(gathered.lastUs, timeUs);
  }
}

/** A verdict, and when the server stored it, in microseconds since the Unix epoch. */
export type StoredVerdict = { readonly verdict: Verdict; readonly storedUs: number };

/** Reads the verdict stream from its beginning. */
export class VerdictTap {
  readonly verdicts: StoredVerdict[] = [];
  readonly #reader: StreamReader;

  constructor(bus: Bus) {
    this.#reader = new StreamReader({
      bus,
      stream: streamNames.verdict,
      filter: subjects.everyVerdict,
      start: { kind: "all" },
      prefetch: PREFETCH,
      logger: new RecordingLogger(),
      onMessage: (message) => this.#take(message),
    });
  }

  /** The first block of a source, written as in a verdict: an IPv6 source as its prefix. */
  blockOf(source: string): StoredVerdict | undefined {
    return this.verdicts.find(
      ({ verdict }) => verdict.kind === "block" && verdict.source === source,
    );
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  #take({ payload, storedUs, markerReason }: StreamMessage): void {
    if (markerReason !== undefined) return;
    this.verdicts.push({ verdict: decodeVerdict(payload), storedUs });
  }
}
