import type { Alert, BlockVerdict, SynBatchHeader, SynEvent } from "@packetwatch/contracts";
import { printable } from "../printable.ts";
import { AddressText } from "./address-text.ts";
import type { Paint, RowFormat, SkippedRows, UnblockRow, WhitelistRow } from "./row-format.ts";
import { describeBlock, describeScan } from "./scan-text.ts";
import { attemptMessage, describeSkipped } from "./table-format.ts";
import { LocalTime } from "./time-text.ts";

export type LineOptions = {
  readonly paint: Paint;
  /** Completes "... can't keep up". */
  readonly reader: string;
};

/** One sentence a line: `2021-04-28 15:28:05: New connection: 192.0.2.56:5973 -> 10.0.0.5:80`. */
export class LineFormat implements RowFormat {
  readonly #options: LineOptions;
  readonly #time = new LocalTime();
  readonly #addresses = new AddressText();

  constructor(options: LineOptions) {
    this.#options = options;
  }

  opening(): string {
    return "";
  }

  connections(_header: SynBatchHeader): (event: SynEvent) => string {
    return (event) => {
      const source = endpoint(this.#addresses.source(event), event.sourcePort);
      const destination = endpoint(this.#addresses.destination(event), event.destinationPort);
      return this.#line(event.timeUs, `${attemptMessage(event)}: ${source} -> ${destination}`);
    };
  }

  block(verdict: BlockVerdict): string {
    const line = `${this.#time.format(verdict.issuedUs)}: ${describeBlock(verdict)}`;
    return `${this.#options.paint.blacklist(line)}\n`;
  }

  unblock({ source, timeUs, reason }: UnblockRow): string {
    const why = reason === null ? "" : ` (${printable(reason)})`;
    return this.#line(timeUs, `Removed from blacklist: ${source}${why}`);
  }

  alert(alert: Alert): string {
    return this.#line(alert.issuedUs, `Alert: ${alert.rule}: ${describeScan(alert)}`);
  }

  whitelist({ action, address, timeUs }: WhitelistRow): string {
    const message = action === "added" ? "Added to whitelist" : "Removed from whitelist";
    return this.#line(timeUs, `${message}: ${address}`);
  }

  skipped(rows: SkippedRows): string {
    return `... ${describeSkipped(rows)}: ${this.#options.reader} can't keep up\n`;
  }

  #line(timeUs: number, text: string): string {
    return `${this.#time.format(timeUs)}: ${text}\n`;
  }
}

/** `192.0.2.1:80`, `[2001:db8::1]:80`. */
function endpoint(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
