import { type Bus, readLastMessages } from "@packetwatch/bus";
import { type BreakerMessage, decodeBreaker, streamNames, subjects } from "@packetwatch/contracts";

export type ReadBreaker = { readonly message: BreakerMessage; readonly sequence: number };

/** What was last said of the breaker; undefined: it was never open. Throws BusError, ContractError. */
export async function readBreaker(bus: Bus, timeoutMs: number): Promise<ReadBreaker | undefined> {
  const options = { stream: streamNames.verdict, filter: subjects.breaker, timeoutMs };
  const [last] = await readLastMessages(bus, options);
  return last && { message: decodeBreaker(last.payload), sequence: last.sequence };
}
