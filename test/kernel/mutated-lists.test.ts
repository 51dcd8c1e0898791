/** What is remembered of the allow list, held against lists that remember nothing. */
import {
  createPrefix,
  formatPrefix,
  parseAddress,
  parsePrefix,
  prefixContains,
} from "@packetwatch/net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { SeededRandom } from "../chaos/seeded-random.ts";
import { fuzzRuns, fuzzSeed } from "../support/fuzz-budget.ts";
import { type LoadedPacketwatch, loadPacketwatch } from "../support/loaded-packetwatch.ts";
import { ethernet, ipv4, ipv6 } from "../support/packets.ts";
import { tcp } from "../support/segments.ts";

const RUNS = fuzzRuns(20_000);
const TIMEOUT_MS = fuzzRuns(120_000);

/** Few, so that each is blocked, allowed and dropped many times over. */
const sources = [
  ...Array.from({ length: 6 }, (_, index) => `192.0.2.${index + 1}`),
  ...Array.from({ length: 6 }, (_, index) => `2001:db8:0:${index % 2}::${index + 1}`),
];

let packetwatch: LoadedPacketwatch;
beforeAll(() => {
  packetwatch = loadPacketwatch();
});
afterAll(() => packetwatch.close());

/** Both lists as anybody would write them down. */
class PlainLists {
  readonly blocked = new Set<string>();
  readonly allowed = new Set<string>();

  allows(source: string): boolean {
    const words = parseAddress(source);
    return [...this.allowed].some((cidr) => prefixContains(parsePrefix(cidr), words));
  }

  toString(): string {
    return `blocked ${[...this.blocked].join(" ")}, allowed ${[...this.allowed].join(" ")}`;
  }
}

const isIpv6 = (source: string) => source.includes(":");
const keyOf = (source: string) => (isIpv6(source) ? source.replace(/::.*/, "::") : source);
const frameFrom = (source: string) =>
  ethernet(isIpv6(source) ? ipv6(tcp(), { source }) : ipv4(tcp(), { source }));

/** Changes one list in both worlds; most of the time it changes nothing, and the same is sent once more. */
function mutate(lists: PlainLists, random: SeededRandom): void {
  const source = random.pick(sources);
  const key = keyOf(source);
  const freeBits = random.pick(isIpv6(source) ? [0, 16, 64, 80] : [0, 1, 4, 12]);
  const cidr = formatPrefix(createPrefix(parseAddress(source), 128 - freeBits));
  const change = random.integer(0, 19);
  if (change < 3) {
    packetwatch.maps.block(key);
    lists.blocked.add(key);
  } else if (change === 3) {
    packetwatch.maps.unblock(key);
    lists.blocked.delete(key);
  } else if (change === 4) {
    packetwatch.maps.allow(cidr);
    lists.allowed.add(cidr);
  } else if (change < 8) {
    const old = random.pick([...lists.allowed, cidr]);
    packetwatch.maps.disallow(old);
    lists.allowed.delete(old);
  }
}

type Fate = "dropped" | "spared" | "reported";

function fateOf(source: string, lists: PlainLists): Fate {
  if (!lists.blocked.has(keyOf(source))) return "reported";
  return lists.allows(source) ? "spared" : "dropped";
}

/** Sends one SYN, and sees it counted as its fate has it. */
function sendOne(source: string, lists: PlainLists): Fate {
  const fate = fateOf(source, lists);
  const { action, counted } = packetwatch.send(frameFrom(source));
  const told = `${source}: ${lists.toString()}`;
  expect(action, told).toBe(fate === "dropped" ? "XDP_DROP" : "XDP_PASS");
  expect(counted[fate], told).toBe(1);
  expect(counted["allowed"] ?? 0, told).toBe(lists.allows(source) ? 1 : 0);
  return fate;
}

it(
  `after each of ${RUNS} changes the next SYN fares as both lists say (FUZZ_SEED=${fuzzSeed})`,
  () => {
    const random = new SeededRandom(fuzzSeed);
    const lists = new PlainLists();
    const fates = { dropped: 0, spared: 0, reported: 0 };
    for (let run = 0; run < RUNS; run++) {
      mutate(lists, random);
      fates[sendOne(random.pick(sources), lists)]++;
    }
    for (const count of Object.values(fates)) expect(count).toBeGreaterThan(RUNS / 20);
  },
  TIMEOUT_MS,
);
