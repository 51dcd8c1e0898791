import { createReadStream } from "node:fs";
import { addAbortSignal, type Readable } from "node:stream";
import {
  ContractError,
  type SynRecordingEnd,
  type SynRecordingHandlers,
  SynRecordingReader,
} from "@packetwatch/contracts";
import { CliError } from "../cli-error.ts";
import { causeText } from "../printable.ts";

const PIECE_BYTES = 1024 * 1024;

export type ReadRecordingOptions = SynRecordingHandlers & {
  /** "-": standard input. */
  readonly file: string;
  readonly signal: AbortSignal;
};

export type RecordingReadEnd = SynRecordingEnd | { readonly kind: "interrupted" };

/** Reads a recording to its end, or until the signal aborts; throws CliError: RECORDING_INPUT. */
export async function readRecording(options: ReadRecordingOptions): Promise<RecordingReadEnd> {
  const { file, signal } = options;
  const reader = new SynRecordingReader(options);
  try {
    for await (const piece of openInput(file, signal)) reader.push(piece as Uint8Array);
    return reader.end();
  } catch (cause) {
    if (signal.aborted) return { kind: "interrupted" };
    throw inputFailure(file, cause);
  }
}

function openInput(file: string, signal: AbortSignal): Readable {
  const input =
    file === "-" ? process.stdin : createReadStream(file, { highWaterMark: PIECE_BYTES });
  return addAbortSignal(signal, input);
}

function inputFailure(file: string, cause: unknown): unknown {
  const name = file === "-" ? "standard input" : file;
  if (cause instanceof ContractError) {
    const detail = `${name} can't be replayed: ${cause.message}; 'packetwatch record' makes recordings`;
    return new CliError("RECORDING_INPUT", detail, { cause });
  }
  if (!(cause instanceof Error && "syscall" in cause)) return cause;
  return new CliError("RECORDING_INPUT", `read ${name}: ${causeText(cause)}`, { cause });
}
