import type { Bus } from "@packetwatch/bus";
import { type BreakerMessage, decodeBreaker, streamNames, subjects } from "@packetwatch/contracts";
import { readLastMessages } from "../fleet/read-snapshot.ts";
import { Rejections } from "../tail/rejections.ts";
import { complain } from "../terminal.ts";

export type ReadBreaker = { readonly message: BreakerMessage; readonly sequence: number };

/** What was last said of the breaker; undefined: it was never open, or that can't be read. Throws CliError. */
export async function readBreaker(bus: Bus, timeoutMs: number): Promise<ReadBreaker | undefined> {
  const options = { bus, stream: streamNames.verdict, filter: subjects.breaker, timeoutMs };
  const [last] = await readLastMessages(options);
  if (last === undefined) return undefined;
  const rejections = new Rejections();
  const message = rejections.orCount(() => decodeBreaker(last.payload));
  if (message) return { message, sequence: last.sequence };
  complain(`what was last said of the breaker: ${rejections.describe()}`);
  return undefined;
}
