import { type Bus, StreamReader } from "@packetwatch/bus";
import { type BlockVerdict, decodeVerdict, streamNames, subjects } from "@packetwatch/contracts";
import { CliError } from "../cli-error.ts";
import { complain } from "../terminal.ts";
import { Rejections } from "../tail/rejections.ts";

const PREFETCH = 1000;

export type ReadBlockListOptions = {
  readonly bus: Bus;
  readonly timeoutMs: number;
  /** Subjects of verdicts; default: all. */
  readonly filter?: string;
  readonly nowUs: number;
};

/** The blocks in force: the last verdict of each subject, where that is a block that isn't over. */
export async function readBlockList(
  options: ReadBlockListOptions,
): Promise<readonly BlockVerdict[]> {
  const { nowUs } = options;
  const blocks: BlockVerdict[] = [];
  const rejections = new Rejections();
  await readLastVerdicts(options, (payload) => {
    const verdict = rejections.orCount(() => decodeVerdict(payload));
    if (verdict?.kind === "block" && (verdict.expiresUs ?? Infinity) > nowUs) blocks.push(verdict);
  });
  const rejected = rejections.describe();
  if (rejected !== undefined) complain(rejected);
  return blocks;
}

async function readLastVerdicts(
  { bus, timeoutMs, filter = subjects.everyVerdict }: ReadBlockListOptions,
  onPayload: (payload: Uint8Array) => void,
): Promise<void> {
  let caughtUp: () => void = () => undefined;
  const isRead = new Promise<void>((resolve) => {
    caughtUp = resolve;
  });
  const trouble = { text: "no answer" };
  const reader = new StreamReader({
    bus,
    stream: streamNames.verdict,
    filter,
    start: { kind: "last_per_subject" },
    prefetch: PREFETCH,
    onMessage: ({ payload, markerReason }) => {
      if (markerReason === undefined) onPayload(payload);
    },
    onCaughtUp: caughtUp,
    logger: rememberTrouble(trouble),
  });
  try {
    await withinTime(isRead, { timeoutMs, trouble });
  } finally {
    await reader.close();
  }
}

async function withinTime(
  task: Promise<void>,
  {
    timeoutMs,
    trouble,
  }: { readonly timeoutMs: number; readonly trouble: { readonly text: string } },
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unreadable(trouble.text, timeoutMs)), timeoutMs);
  });
  try {
    await Promise.race([task, late]);
  } finally {
    clearTimeout(timer);
  }
}

function unreadable(trouble: string, timeoutMs: number): CliError {
  const detail = `read stream ${streamNames.verdict}: ${trouble} within ${timeoutMs / 1000} s; is a detector running?`;
  return new CliError("STREAM_UNREADABLE", detail);
}

/** The reader tries again for ever; why it fails is told when the time is over. */
function rememberTrouble(trouble: { text: string }) {
  const ignore = () => undefined;
  const warn = (fields: object) => {
    if ("cause" in fields) trouble.text = String(fields.cause);
  };
  return { debug: ignore, info: ignore, warn, error: warn };
}
