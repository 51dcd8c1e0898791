import {
  createSynEvent,
  decodeAlert,
  decodeVerdict,
  SynBatch,
  synFlags,
  type SynEvent,
  type Verdict,
} from "@packetwatch/contracts";
import { formatPrefix, parsePrefix } from "@packetwatch/net";
import { BlockedSources } from "./blocked-sources.ts";
import { RecentIds } from "./recent-ids.ts";
import { Rejections } from "./rejections.ts";
import type { RowFormat, WhitelistRow } from "./row-format.ts";

/** Where rows go: see OutputQueue. */
export type RowOutput = {
  readonly isFull: boolean;
  appendAttempts(rows: string): void;
  skipAttempts(count: number): void;
  append(row: string): void;
};

export type TailOptions = {
  readonly format: RowFormat;
  readonly output: RowOutput;
  readonly host: string;
  /** Hosts whose attempts are listed; default: all. */
  readonly onlyHosts?: ReadonlySet<string>;
  /** Rows after which there are no more; Infinity for no limit. */
  readonly maxRows: number;
};

/** Turns what the bus delivers into rows. Synchronous, no clock; the payloads are anybody's. */
export class Tail {
  readonly rejections = new Rejections();
  readonly #options: TailOptions;
  readonly #blocked = new BlockedSources();
  readonly #seen = new RecentIds();
  readonly #event: SynEvent = createSynEvent();
  #ownAddresses: ReadonlySet<string> = new Set();
  #isOpen = false;
  #rows = 0;

  constructor(options: TailOptions) {
    this.#options = options;
  }

  /** The header is written; what comes earlier is from before the start. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** The limit is reached: nothing more is written. */
  get isDone(): boolean {
    return this.#rows >= this.#options.maxRows;
  }

  open(welcome: readonly string[], ownAddresses: readonly string[]): void {
    this.#isOpen = true;
    this.#options.output.append(this.#options.format.opening(welcome, ownAddresses));
  }

  synBatch(payload: Uint8Array): void {
    const batch = this.rejections.orCount(() => new SynBatch(payload));
    if (batch === undefined) return;
    const { output, onlyHosts } = this.#options;
    if (onlyHosts?.has(batch.header.host) === false) return;
    if (output.isFull) output.skipAttempts(this.#countListed(batch));
    else output.appendAttempts(this.#attemptRows(batch));
  }

  verdict(payload: Uint8Array): void {
    const verdict = this.rejections.orCount(() => decodeVerdict(payload));
    if (verdict === undefined || !this.#seen.isNew(verdict.id)) return;
    if (verdict.kind === "block") this.#block(verdict);
    else this.#unblock(verdict);
  }

  alert(payload: Uint8Array): void {
    const alert = this.rejections.orCount(() => decodeAlert(payload));
    if (alert !== undefined && this.#seen.isNew(alert.id)) {
      this.#append(this.#options.format.alert(alert));
    }
  }

  /** The addresses that the watched interfaces have now. */
  ownAddresses(addresses: readonly string[], timeUs: number): void {
    const before = this.#ownAddresses;
    const now = new Set(addresses);
    this.#ownAddresses = now;
    for (const address of now) if (!before.has(address)) this.#whitelist("added", address, timeUs);
    for (const address of before)
      if (!now.has(address)) this.#whitelist("removed", address, timeUs);
  }

  /** Blocks that are over without a verdict. */
  expire(nowUs: number): void {
    for (const { source, expiresUs } of this.#blocked.takeExpired(nowUs)) {
      this.#append(
        this.#options.format.unblock({
          source: formatPrefix(source),
          timeUs: expiresUs,
          verdictId: null,
          decidedBy: null,
          reason: "expired",
        }),
      );
    }
  }

  #attemptRows(batch: SynBatch): string {
    const format = this.#options.format.connections(batch.header);
    let rows = "";
    for (let index = 0; index < batch.count && !this.isDone; index++) {
      batch.read(index, this.#event);
      if (!this.#isListed(this.#event)) continue;
      rows += format(this.#event);
      this.#rows++;
    }
    return rows;
  }

  #countListed(batch: SynBatch): number {
    let listed = 0;
    for (let index = 0; index < batch.count; index++) {
      batch.read(index, this.#event);
      if (this.#isListed(this.#event)) listed++;
    }
    return listed;
  }

  /** What isn't dropped is listed: an allow-listed source's attempts, and in a dry run everybody's. */
  #isListed(event: SynEvent): boolean {
    if ((event.flags & (synFlags.allowed | synFlags.wouldDrop)) !== 0) return true;
    return !this.#blocked.covers(event);
  }

  #block(verdict: Extract<Verdict, { kind: "block" }>): void {
    this.#blocked.block(parsePrefix(verdict.source), verdict.expiresUs ?? Number.POSITIVE_INFINITY);
    this.#append(this.#options.format.block(verdict));
  }

  #unblock({ source, issuedUs, id, decidedBy, reason }: Verdict): void {
    this.#blocked.unblock(parsePrefix(source));
    const row = { source, timeUs: issuedUs, verdictId: id, decidedBy, reason: reason ?? null };
    this.#append(this.#options.format.unblock(row));
  }

  #whitelist(action: WhitelistRow["action"], address: string, timeUs: number): void {
    const { format, host } = this.#options;
    this.#append(format.whitelist({ action, address, host, timeUs }));
  }

  #append(row: string): void {
    if (this.isDone) return;
    this.#rows++;
    this.#options.output.append(row);
  }
}
