import type { Bus } from "@packetwatch/bus";
import { counted, printable } from "../printable.ts";
import { readInstances } from "../status/fleet-facts.ts";
import { fleetStatus } from "../status/fleet-status.ts";
import { Rejections } from "../tail/rejections.ts";

type LeftoversOnHost = { readonly host: string; readonly leftoverBlocks: number };

/** `3 sources on web-1, 1 source on web-2`: what is blocked of a list that was lost; undefined: nothing. */
export function describeLeftovers(hosts: readonly LeftoversOnHost[]): string | undefined {
  const holding = hosts.filter(({ leftoverBlocks }) => leftoverBlocks > 0);
  if (holding.length === 0) return undefined;
  return holding
    .map(({ host, leftoverBlocks }) => `${counted(leftoverBlocks, "source")} on ${printable(host)}`)
    .join(", ");
}

/** The same, as hosts said it last. */
export async function readLeftovers(bus: Bus, timeoutMs: number): Promise<string | undefined> {
  const instances = await readInstances({ bus, timeoutMs, rejections: new Rejections() });
  return describeLeftovers(fleetStatus({ instances }).hosts);
}
