import { type Bus, type StreamMessage, StreamReader } from "@packetwatch/bus";
import {
  decodeVerdict,
  streamNames,
  subjects,
  type SynEvent,
  type Verdict,
} from "@packetwatch/contracts";
import { formatAddress } from "@packetwatch/net";
import { waitUntil } from "./eventually.ts";
import { RecordingLogger } from "./recording-logger.ts";
import { SynStream } from "./syn-stream.ts";

const PREFETCH = 1000;
const VERDICT_TIMEOUT_MS = 10_000;

/** What sensors reported of one source: its attempts that were not dropped. */
export type SourceActivity = {
  readonly syns: number;
  readonly ports: ReadonlySet<number>;
  readonly firstUs: number;
  readonly lastUs: number;
};

type Gathered = { syns: number; ports: Set<number>; firstUs: number; lastUs: number };

/** What the SYN stream holds, by source. */
export class SynTap {
  readonly #sources = new Map<string, Gathered>();
  readonly #stream: SynStream;

  constructor(bus: Bus) {
    this.#stream = new SynStream(bus, { onSyn: (event) => this.#add(event) });
  }

  /** Attempts of all sources. */
  get total(): number {
    return this.#stream.total;
  }

  /** Of an address, whole. */
  of(source: string): SourceActivity {
    return this.#sources.get(source) ?? { syns: 0, ports: new Set(), firstUs: 0, lastUs: 0 };
  }

  close(): Promise<void> {
    return this.#stream.close();
  }

  #add({ s0, s1, s2, s3, destinationPort, timeUs }: SynEvent): void {
    const source = formatAddress([s0, s1, s2, s3]);
    const known = this.#sources.get(source);
    const gathered = known ?? { syns: 0, ports: new Set(), firstUs: timeUs, lastUs: timeUs };
    this.#sources.set(source, gathered);
    gathered.syns++;
    gathered.ports.add(destinationPort);
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

  /** The same, once it has come: the kernel may block a source before a tap hears of it. */
  untilBlockOf(source: string): Promise<StoredVerdict> {
    const what = `a verdict on ${source}`;
    return waitUntil(() => this.blockOf(source), { timeoutMs: VERDICT_TIMEOUT_MS, what });
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  #take({ payload, storedUs, markerReason }: StreamMessage): void {
    if (markerReason !== undefined) return;
    this.verdicts.push({ verdict: decodeVerdict(payload), storedUs });
  }
}
