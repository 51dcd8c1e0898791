import { realTimeNs, sampleClockOffset } from "@packetwatch/bpf";
import { type AddressWords, formatPrefix, isIpv4, type Prefix, sourceKey } from "@packetwatch/net";
import type { DesiredBlock } from "./desired-blocks.ts";
import type { HostMap } from "./host-map.ts";

/** What a map blocks, as far as the kernel still drops it: all that is left of a verdict list that was lost. */
export function* leftoversOf(map: HostMap, ipv6SourceBits: number): Generator<DesiredBlock> {
  const { offsetNs } = sampleClockOffset(1);
  const nowNs = realTimeNs() - offsetNs;
  for (const { words, expiresNs } of map.blocks()) {
    const prefix = sourceOf(words, ipv6SourceBits);
    const isInForce = expiresNs === 0n || expiresNs > nowNs;
    if (prefix && isInForce) yield leftoverOf(prefix, expiresNs, offsetNs);
  }
}

/** undefined: a key of another length (PW_IPV6_PREFIX was changed), under which the kernel finds nobody. */
function sourceOf(words: AddressWords, ipv6SourceBits: number): Prefix | undefined {
  const key = sourceKey(words, ipv6SourceBits);
  if (key.some((word, index) => word !== words[index])) return undefined;
  return { words, bits: isIpv4(words) ? 128 : ipv6SourceBits };
}

function leftoverOf(prefix: Prefix, expiresNs: bigint, offsetNs: bigint): DesiredBlock {
  const source = formatPrefix(prefix);
  return {
    // Who decided it is not known any more.
    verdictId: `leftover-${source}`,
    source,
    prefix,
    expiresUs: expiresNs === 0n ? undefined : Number((expiresNs + offsetNs) / 1000n),
    decidingUs: undefined,
    sequence: 0,
  };
}
