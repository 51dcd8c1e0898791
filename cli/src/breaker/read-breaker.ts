import type { Bus } from "@packetwatch/bus";
import { type BreakerMessage, decodeBreaker, streamNames, subjects } from "@packetwatch/contracts";
import { readLastMessages } from "../fleet/read-snapshot.ts";

export type ReadBreaker = { readonly message: BreakerMessage; readonly sequence: number };

/** What was last said of the breaker; undefined: it was never open. Throws CliError, ContractError. */
export async function readBreaker(bus: Bus, timeoutMs: number): Promise<ReadBreaker | undefined> {
  const options = { bus, stream: streamNames.verdict, filter: subjects.breaker, timeoutMs };
  const [last] = await readLastMessages(options);
  return last && { message: decodeBreaker(last.payload), sequence: last.sequence };
}
