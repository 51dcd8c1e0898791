import type { AddressWords } from "@packetwatch/net";
import type { DistinctWindow } from "./distinct-window.ts";
import { DESTINATION, type EventTuple, PORT, SOURCE_PORT, TIME } from "./event-tuple.ts";
import { ruleLayouts, type RuleName } from "./rules.ts";
import type { DecidingEvent } from "./verdict-id.ts";

export type Evidence = {
  /** The destinations and ports inside the window, the deciding event's own included, oldest first. */
  readonly destinations: readonly AddressWords[];
  readonly ports: readonly number[];
  /** Distinct items, which is the rule's threshold. */
  readonly count: number;
  /** Each item counts at its latest sighting: the earliest and the latest of these. */
  readonly firstSeenUs: number;
  readonly lastSeenUs: number;
};

export type CountingRule = { readonly name: RuleName; readonly window: DistinctWindow };

export function decidingEventOf({ words, times }: EventTuple): DecidingEvent {
  return {
    timeUs: times[TIME]!,
    destination: addressAt(words, DESTINATION),
    sourcePort: words[SOURCE_PORT]!,
    destinationPort: words[PORT]!,
  };
}

/** What a rule has in its window when an event makes it fire. */
export function evidenceOf({ name, window }: CountingRule, tuple: EventTuple): Evidence {
  const { words, times } = tuple;
  const { itemStart, itemWords } = ruleLayouts[name];
  const deciding = {
    item: [...words.subarray(itemStart, itemStart + itemWords)],
    timeUs: times[TIME]!,
  };
  const seen = [...(window.inspect(tuple)?.items ?? []), deciding];
  const ordered = seen.toSorted((left, right) => left.timeUs - right.timeUs);
  const items = ordered.map(({ item }) => item);
  const destinations = name === "vertical" ? [addressAt(words, DESTINATION)] : items.map(addressOf);
  const ports = name === "horizontal" ? [words[PORT]!] : items.map(portOf);
  return {
    destinations: distinct(destinations),
    ports: distinct(ports),
    count: items.length,
    firstSeenUs: ordered[0]!.timeUs,
    lastSeenUs: ordered.at(-1)!.timeUs,
  };
}

export function addressAt(words: Uint32Array, at: number): AddressWords {
  return [words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!];
}

function addressOf(item: readonly number[]): AddressWords {
  return [item[0]!, item[1]!, item[2]!, item[3]!];
}

function portOf(item: readonly number[]): number {
  return item.at(-1)!;
}

function distinct<Value extends number | AddressWords>(values: readonly Value[]): Value[] {
  return [...new Map(values.map((value) => [String(value), value])).values()];
}
