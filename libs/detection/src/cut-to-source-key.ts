import type { SynEvent } from "@packetwatch/contracts";
import { type AddressWords, isIpv4Words } from "@packetwatch/net";

/** Detection judges source keys: an IPv6 source by its prefix. `mask` comes from sourceMaskWords. */
export function cutToSourceKey(event: SynEvent, mask: AddressWords): void {
  if (isIpv4Words(event.s0, event.s1, event.s2)) return;
  event.s0 = (event.s0 & mask[0]) >>> 0;
  event.s1 = (event.s1 & mask[1]) >>> 0;
  event.s2 = (event.s2 & mask[2]) >>> 0;
  event.s3 = (event.s3 & mask[3]) >>> 0;
}
