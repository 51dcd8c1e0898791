import type { Alert, BlockVerdict, SynBatchHeader, SynEvent } from "@packetwatch/contracts";

/** An end of a block: by a verdict, or by its own expiry as this process sees it. */
export type UnblockRow = {
  readonly source: string;
  readonly timeUs: number;
  /** null: it expired. */
  readonly verdictId: string | null;
  readonly decidedBy: string | null;
  readonly reason: string | null;
};

/** An own address of this host that has come to the watched interfaces, or has left them. */
export type WhitelistRow = {
  readonly action: "added" | "removed";
  readonly address: string;
  readonly host: string;
  readonly timeUs: number;
};

/** What the reader of the output was too slow for. */
export type SkippedRows = {
  readonly attempts: number;
  readonly verdicts: number;
  readonly timeUs: number;
};

/** What `tail` prints of each thing. Rows end in a newline. */
export type RowFormat = {
  /** What comes before the first row. The addresses are those that the first rows will list. */
  opening(welcome: readonly string[], addresses: readonly string[]): string;
  /** Writes the attempts of one batch, with the batch's own part prepared. */
  connections(header: SynBatchHeader): (event: SynEvent) => string;
  block(verdict: BlockVerdict): string;
  unblock(row: UnblockRow): string;
  alert(alert: Alert): string;
  whitelist(row: WhitelistRow): string;
  skipped(rows: SkippedRows): string;
};

/** Colours for what an operator must not overlook. */
export type Paint = {
  readonly blacklist: (text: string) => string;
};

export const plain: Paint = { blacklist: (text) => text };
export const coloured: Paint = { blacklist: (text) => `\u001b[31m${text}\u001b[0m` };
