import { bucketSubject, VERDICT_MARKER_SECONDS } from "@packetwatch/contracts";
import type { Acknowledgement } from "./acknowledgements.ts";
import type { Bus } from "./connect-bus.ts";
import { publishAcknowledged, type PublishOptions } from "./publish.ts";

export type KeyPlace = { readonly bucket: string; readonly key: string };

/** Sets a key, and waits until it is stored; its sequence is the change's number. Throws BusError. */
export function putKey(
  bus: Bus,
  { bucket, key }: KeyPlace,
  payload: Uint8Array,
  options: PublishOptions = {},
): Promise<Acknowledgement> {
  return publishAcknowledged(bus, bucketSubject(bucket, key), payload, options);
}

/** Removes a key. A mark takes its place, for those who come back, and ends by itself. Throws BusError. */
export function removeKey(bus: Bus, { bucket, key }: KeyPlace): Promise<Acknowledgement> {
  return publishAcknowledged(bus, bucketSubject(bucket, key), new Uint8Array(0), {
    // What NATS's KV clients write for it.
    headers: { "KV-Operation": "PURGE", "Nats-Rollup": "sub" },
    ttlSeconds: VERDICT_MARKER_SECONDS,
  });
}
