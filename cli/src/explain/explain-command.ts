/** `packetwatch explain`: all that is known of one source. */
import { type Bus, readStreamState } from "@packetwatch/bus";
import { type Config, type Environment, environment, loadConfig } from "@packetwatch/config";
import { streamNames, synSubject, type Verdict, verdictSubject } from "@packetwatch/contracts";
import { rulesFromConfig, type VerdictMark } from "@packetwatch/detection";
import {
  type AddressWords,
  formatAddress,
  formatPrefix,
  isIpv4,
  type Prefix,
  shardOf,
} from "@packetwatch/net";
import type { Command } from "commander";
import { type ReadCovering, readCovering } from "../allow/read-covering.ts";
import { blockedRows } from "../block-list/blocked-row.ts";
import { readBreaker } from "../breaker/read-breaker.ts";
import { readBlockList } from "../block-list/read-block-list.ts";
import { addressWithinSource, sourceOf } from "../block-list/sources.ts";
import { withBus } from "../block-list/with-bus.ts";
import { CliError } from "../cli-error.ts";
import { askHosts } from "../fleet/ask-hosts.ts";
import { type HeardDetector, readDetectors } from "../fleet/detectors.ts";
import { readSnapshot } from "../fleet/read-snapshot.ts";
import { dryHostsOf } from "../hosts/dry-hosts.ts";
import { HostWatch } from "../hosts/host-watch.ts";
import { jsonOption, timeoutOption } from "../options.ts";
import { jsonText } from "../printable.ts";
import { Rejections } from "../tail/rejections.ts";
import { complain, print } from "../terminal.ts";
import { createExplanation, type ExplainedAddress, type Explanation } from "./explanation.ts";
import { jsonExplanation } from "./json-explanation.ts";
import { renderExplanation } from "./render-explanation.ts";
import { ruleDistances } from "./rule-distance.ts";
import { SourceAttempts } from "./source-attempts.ts";
import { readSourceHistory } from "./source-history.ts";

type ExplainFlags = { readonly timeout: number; readonly json?: true };

export function explainCommand(program: Command, from: Environment = environment): void {
  program
    .command("explain")
    .argument("<address>", "an address, or a source as 'packetwatch blocked' shows it")
    .description("tell what is known of a source: blocked or not, why, since when, on which hosts")
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .addHelpText("after", explainHelp)
    .action((address: string, flags: ExplainFlags) => explain(address, flags, from));
}

const explainHelp = `
It answers, for one source:
  is it blocked, by which rule or operator, on what evidence, until when?
  which hosts have applied that, how fast, and what did each drop?
  is it allow-listed anywhere?
  what was seen of it, and how near did it come to each rule's threshold?
  what was decided about it before?

What was seen is what the stream of attempts retains, a little more than the
longest window. The distance to the thresholds is found by running the rules over
it, as the detector has them that reads the source's shard; where none is heard,
as this command's variables say, and the answer says so.

Examples:
  packetwatch explain 192.0.2.56
  packetwatch explain 2001:db8::7 --json | jq .rules
`;

async function explain(text: string, flags: ExplainFlags, from: Environment): Promise<void> {
  const config = loadConfig("cli", from);
  const source = oneSource(text, config.ipv6SourceBits);
  const address = addressWithinSource(text, config.ipv6SourceBits);
  const timeoutMs = flags.timeout * 1000;
  const rejections = new Rejections();
  const work = (bus: Bus) => gather({ bus, source, address, config, timeoutMs, rejections });
  const explanation = await withBus({ config, command: "explain", timeoutMs, work });
  print(flags.json ? jsonText(jsonExplanation(explanation)) : renderExplanation(explanation));
  const rejected = rejections.describe();
  if (rejected !== undefined) complain(rejected);
}

function oneSource(text: string, ipv6SourceBits: number): Prefix {
  const source = sourceOf(text, ipv6SourceBits);
  if (source.bits === (isIpv4(source.words) ? 128 : ipv6SourceBits)) return source;
  const detail = `${text} is not one source: name an address, or list what is blocked within it by 'packetwatch blocked ${text}'`;
  throw new CliError("BAD_SOURCE", detail);
}

type Gather = {
  readonly bus: Bus;
  readonly source: Prefix;
  /** The address that was named, where it is only a part of its source. */
  readonly address: AddressWords | undefined;
  readonly config: Config<"cli">;
  readonly timeoutMs: number;
  readonly rejections: Rejections;
};

async function gather(options: Gather): Promise<Explanation> {
  const { bus, source, config, timeoutMs } = options;
  const nowUs = Date.now() * 1000;
  const filter = verdictSubject(source);
  const [block] = await readBlockList({ bus, timeoutMs, filter, nowUs });
  const [hosts, past, { attempts, retainedSeconds }, detectors, breaker] = await Promise.all([
    readHosts(options, block),
    readSourceHistory({ ...options, current: block }),
    readAttempts(options),
    readDetectors(bus, timeoutMs),
    readBreaker(bus, timeoutMs),
  ]);
  const judge = judgeOf(detectors, shardOf(...source.words));
  const own = { rules: rulesFromConfig(config), count: config.count };
  const rules = ruleDistances({
    attempts: attempts.kept,
    ...(judge?.rules ?? own),
    capacity: config.detectorCapacity,
    // Under a block in force nothing counts; what led to it is what is asked for.
    mark: block ? undefined : markOf(source, past.verdicts.at(-1)),
  });
  return createExplanation({
    source: formatPrefix(source),
    nowUs,
    block,
    ...hosts,
    seen: attempts.summary,
    retainedSeconds,
    rules,
    rulesOf: judge?.instance,
    breaker: breaker?.message,
    past,
  });
}

/** Whose rules hold for a shard: those of the detector that reads it, or else of any that says them. */
function judgeOf(detectors: readonly HeardDetector[], shard: number): HeardDetector | undefined {
  const telling = detectors.filter(({ rules }) => rules !== undefined);
  return telling.find(({ shards }) => shards.includes(shard)) ?? telling[0];
}

async function readHosts(
  { bus, source, address, timeoutMs }: Gather,
  block: Parameters<typeof blockedRows>[0][number] | undefined,
) {
  const name = formatPrefix(source);
  const hosts = await HostWatch.open(bus, timeoutMs);
  try {
    const { answers, unanswered } = await askHosts({
      bus,
      hosts: hosts.liveNames,
      sources: [name],
    });
    const dry = dryHostsOf(hosts.live);
    const [row] = block ? blockedRows([block], { answers, dry }) : [];
    const onHosts = answers.map(({ host, blocks }) => {
      const held = row?.hosts.find((each) => each.host === host);
      const none = { host, state: "waiting" as const, dropped: 0, firstDropUs: null };
      return Object.assign({ isAllowed: blocks.get(name)?.allowed ?? false }, held ?? none);
    });
    const explained =
      address && (await explainAddress({ bus, address, hosts: hosts.live, timeoutMs }));
    return { onHosts, unanswered, silent: hosts.silent, address: explained };
  } finally {
    hosts.close();
  }
}

async function explainAddress(options: ReadCovering): Promise<ExplainedAddress> {
  const allowedBy = await readCovering(options);
  return { address: formatAddress(options.address), allowedBy, hosts: options.hosts.length };
}

async function readAttempts({ bus, source, timeoutMs, rejections }: Gather) {
  const attempts = new SourceAttempts(source.words, rejections);
  const state = await readStreamState(bus, streamNames.syn, timeoutMs);
  await readSnapshot({
    bus,
    stream: streamNames.syn,
    filter: synSubject(shardOf(...source.words)),
    start: { kind: "all" },
    timeoutMs,
    onMessage: ({ payload }) => attempts.take(payload),
  });
  return { attempts, retainedSeconds: state?.oldestSeconds };
}

/** As detectors take it: what came before the last verdict counts no more. */
function markOf({ words }: Prefix, verdict: Verdict | undefined): VerdictMark | undefined {
  if (verdict === undefined) return undefined;
  const { kind, issuedUs } = verdict;
  if (kind === "unblock") return { kind, sourceKey: words, issuedUs };
  return { kind, sourceKey: words, issuedUs, expiresUs: verdict.expiresUs ?? undefined };
}
