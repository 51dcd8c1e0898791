import type { Bus } from "@packetwatch/bus";
import { bucketStream, buckets, decodeAllowEntry, everyKey } from "@packetwatch/contracts";
import { readLastMessages } from "../fleet/read-snapshot.ts";
import { Rejections } from "../tail/rejections.ts";
import { complain } from "../terminal.ts";
import type { StoredEntry } from "./allowed-rows.ts";

/** What operators allow, by the time that it was added. */
export async function readAllowEntries(
  bus: Bus,
  timeoutMs: number,
): Promise<readonly StoredEntry[]> {
  const rejections = new Rejections();
  const stream = bucketStream(buckets.allowlist);
  const filter = everyKey(buckets.allowlist);
  const messages = await readLastMessages({ bus, stream, filter, timeoutMs });
  const entries = messages.flatMap(({ payload, sequence }) => {
    const entry = rejections.orCount(() => decodeAllowEntry(payload));
    return entry === undefined ? [] : [{ entry, sequence }];
  });
  const rejected = rejections.describe();
  if (rejected !== undefined) complain(rejected);
  return entries;
}
