import type { Bus } from "@packetwatch/bus";
import { type BlockVerdict, decodeVerdictOn, streamNames, subjects } from "@packetwatch/contracts";
import { readSnapshot } from "../fleet/read-snapshot.ts";
import { Rejections } from "../tail/rejections.ts";
import { complain } from "../terminal.ts";

export type ReadBlockListOptions = {
  readonly bus: Bus;
  readonly timeoutMs: number;
  /** Subjects of verdicts; default: all. */
  readonly filter?: string;
  readonly nowUs: number;
};

/** The blocks in force: the last verdict of each subject, where that is a block that isn't over. */
export async function readBlockList({
  bus,
  timeoutMs,
  filter = subjects.everyVerdict,
  nowUs,
}: ReadBlockListOptions): Promise<readonly BlockVerdict[]> {
  const blocks: BlockVerdict[] = [];
  const rejections = new Rejections();
  await readSnapshot({
    bus,
    stream: streamNames.verdict,
    filter,
    start: { kind: "last_per_subject" },
    timeoutMs,
    onMessage: ({ subject, payload, markerReason }) => {
      if (markerReason !== undefined) return;
      const verdict = rejections.orCount(() => decodeVerdictOn(subject, payload));
      if (verdict?.kind !== "block" || (verdict.expiresUs ?? Infinity) <= nowUs) return;
      blocks.push(verdict);
    },
  });
  const rejected = rejections.describe();
  if (rejected !== undefined) complain(rejected);
  return blocks;
}
