import {
  type Alert,
  type BlockVerdict,
  type SynBatchHeader,
  type SynEvent,
  synFlags,
} from "@packetwatch/contracts";
import { counted } from "../printable.ts";
import { AddressText } from "./address-text.ts";
import type { Paint, RowFormat, SkippedRows, UnblockRow, WhitelistRow } from "./row-format.ts";
import { describeCount } from "./scan-text.ts";
import { LocalTime } from "./time-text.ts";

const TIME_WIDTH = "2021-04-28 15:28:05".length;
const PORT_WIDTH = "65535".length;
/** An address column is as wide as an IPv4 address, then as a link-local address or a /64, then as any. */
const addressWidths = [15, 25, 39, 43] as const;
const GAP = "  ";
/** Where a column has nothing to say; so rows have the same columns for awk, too. */
const NOTHING = "-";

export type TableOptions = {
  readonly paint: Paint;
  /** Completes "... can't keep up". */
  readonly reader: string;
};

type Cells = {
  readonly timeUs: number;
  readonly source: string;
  readonly destination?: string | undefined;
  readonly port?: number | undefined;
  readonly message: string;
};

/** The console table of the ported tool: TIME, SOURCE, IP (the destination), PORT, MESSAGE. */
export class TableFormat implements RowFormat {
  readonly #options: TableOptions;
  readonly #time = new LocalTime();
  readonly #addresses = new AddressText();
  #sourceWidth: number = addressWidths[0];
  #destinationWidth: number = addressWidths[0];

  constructor(options: TableOptions) {
    this.#options = options;
  }

  opening(welcome: readonly string[], addresses: readonly string[]): string {
    for (const address of addresses) this.#sourceWidth = fittingWidth(this.#sourceWidth, address);
    return `${welcome.map((line) => `${line}\n`).join("")}${this.#header()}`;
  }

  connections(_header: SynBatchHeader): (event: SynEvent) => string {
    return (event) => this.#connection(event);
  }

  block(verdict: BlockVerdict): string {
    const row = this.#row({
      timeUs: verdict.issuedUs,
      source: verdict.source,
      destination: only(verdict.evidence?.destinations),
      message: "Added to blacklist",
    });
    return this.#options.paint.blacklist(row.slice(0, -1)).concat("\n");
  }

  unblock({ source, timeUs }: UnblockRow): string {
    return this.#row({ timeUs, source, message: "Removed from blacklist" });
  }

  alert({ issuedUs, source, rule, evidence }: Alert): string {
    return this.#row({
      timeUs: issuedUs,
      source,
      destination: only(evidence.destinations),
      port: only(evidence.ports),
      message: `Alert: ${rule}, ${describeCount(rule, evidence)}`,
    });
  }

  whitelist({ action, address, timeUs }: WhitelistRow): string {
    const message = action === "added" ? "Added to whitelist" : "Removed from whitelist";
    return this.#row({ timeUs, source: address, message });
  }

  skipped(rows: SkippedRows): string {
    return `... ${describeSkipped(rows)}: ${this.#options.reader} can't keep up\n`;
  }

  #connection(event: SynEvent): string {
    const source = this.#addresses.source(event);
    const destination = this.#addresses.destination(event);
    const time = this.#time.format(event.timeUs);
    const port = String(event.destinationPort).padEnd(PORT_WIDTH);
    const columns = this.#addressColumns(source, destination);
    return `${columns.header}${time}${GAP}${columns.cells}${GAP}${port}${GAP}${attemptMessage(event)}\n`;
  }

  #row({ timeUs, source, destination = NOTHING, port, message }: Cells): string {
    const { header, cells } = this.#addressColumns(source, destination);
    const portCell = String(port ?? NOTHING).padEnd(PORT_WIDTH);
    return `${header}${this.#time.format(timeUs)}${GAP}${cells}${GAP}${portCell}${GAP}${message}\n`;
  }

  /** Where an address doesn't fit, its column grows for good, and the header comes again. */
  #addressColumns(source: string, destination: string): { header: string; cells: string } {
    const hasGrown =
      source.length > this.#sourceWidth || destination.length > this.#destinationWidth;
    if (hasGrown) {
      this.#sourceWidth = fittingWidth(this.#sourceWidth, source);
      this.#destinationWidth = fittingWidth(this.#destinationWidth, destination);
    }
    const cells = `${source.padEnd(this.#sourceWidth)}${GAP}${destination.padEnd(this.#destinationWidth)}`;
    return { header: hasGrown ? this.#header() : "", cells };
  }

  #header(): string {
    const cells = [
      "TIME".padEnd(TIME_WIDTH),
      "SOURCE".padEnd(this.#sourceWidth),
      "IP".padEnd(this.#destinationWidth),
      "PORT".padEnd(PORT_WIDTH),
      "MESSAGE",
    ];
    return `${cells.join(GAP)}\n`;
  }
}

/** In a dry run the kernel reports the attempts of a blocked source, and marks them. */
export function attemptMessage({ flags }: SynEvent): string {
  return (flags & synFlags.wouldDrop) === 0
    ? "New connection"
    : "New connection (would be dropped)";
}

/** `12345 attempts and 1 verdict`. */
export function describeSkipped({ attempts, verdicts }: SkippedRows): string {
  const parts = [
    ...(attempts > 0 ? [counted(attempts, "attempt")] : []),
    ...(verdicts > 0 ? [counted(verdicts, "verdict")] : []),
  ];
  return `skipped ${parts.join(" and ")}`;
}

function fittingWidth(current: number, text: string): number {
  if (text.length <= current) return current;
  return addressWidths.find((width) => width >= text.length) ?? text.length;
}

function only<T>(entries: readonly T[] | undefined): T | undefined {
  return entries?.length === 1 ? entries[0] : undefined;
}
