/**
 * The message id of a SYN batch, which the header `Nats-Msg-Id` carries:
 *
 *   id = publisher "." shard "." sequence "." records_before
 *
 * `publisher` is the instance of a capture, new at each start. `sequence` counts its batches of this shard from 0,
 * `records_before` the records in them: so who reads a shard sees how many batches and records are missing.
 */
export type SynBatchId = {
  readonly publisher: string;
  readonly shard: number;
  readonly sequence: number;
  readonly recordsBefore: number;
};

const PATTERN = /^(.{1,255})\.(\d{1,2})\.(\d{1,15})\.(\d{1,15})$/;

export function formatSynBatchId({
  publisher,
  shard,
  sequence,
  recordsBefore,
}: SynBatchId): string {
  return `${publisher}.${shard}.${sequence}.${recordsBefore}`;
}

/** Undefined where it is no such id: nobody has to number batches. */
export function parseSynBatchId(text: string): SynBatchId | undefined {
  const [, publisher, shard, sequence, recordsBefore] = PATTERN.exec(text) ?? [];
  if (publisher === undefined) return undefined;
  return {
    publisher,
    shard: Number(shard),
    sequence: Number(sequence),
    recordsBefore: Number(recordsBefore),
  };
}
