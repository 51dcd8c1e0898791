/** `packetwatch blocked`: the sources that are blocked, and what each host has dropped of them. */
import type { Bus } from "@packetwatch/bus";
import { type Environment, environment, loadConfig } from "@packetwatch/config";
import type { BlockVerdict } from "@packetwatch/contracts";
import { formatPrefix, type Prefix } from "@packetwatch/net";
import { type Command, Option } from "commander";
import { CliError } from "../cli-error.ts";
import { longDurationArgument } from "../duration.ts";
import { askHosts, type HostAnswers } from "../fleet/ask-hosts.ts";
import { dryHostsOf } from "../hosts/dry-hosts.ts";
import { describeSilence, listNames } from "../hosts/effect.ts";
import { HostWatch } from "../hosts/host-watch.ts";
import { jsonOption, parseCount, timeoutOption } from "../options.ts";
import { describeDryRun } from "../tail/dry-run-notice.ts";
import { complain, print } from "../terminal.ts";
import {
  blockedRows,
  type BlockedRow,
  sortBlocked,
  type SortOrder,
  sortOrders,
} from "./blocked-row.ts";
import { jsonBlocked, renderBlocked } from "./blocked-table.ts";
import { readBlockList } from "./read-block-list.ts";
import { isWithin, sourceOf } from "./sources.ts";
import { withBus } from "./with-bus.ts";

const rules = ["vertical", "horizontal", "spread", "operator"] as const;

type BlockedFlags = {
  readonly rule?: (typeof rules)[number];
  readonly since?: number;
  readonly sort: SortOrder;
  readonly limit: number;
  readonly hosts: boolean;
  readonly timeout: number;
  readonly json?: true;
};

export function blockedCommand(program: Command, from: Environment = environment): void {
  program
    .command("blocked")
    .argument("[source]", "only this address, or what is within this CIDR")
    .description("list who is blocked, by which rule, until when, and what each host dropped")
    .addOption(new Option("--rule <rule>", "only blocks by this rule").choices(rules))
    .addOption(
      new Option("--since <time>", "only blocks of the last so long, such as 10m").argParser(
        longDurationArgument,
      ),
    )
    .addOption(
      new Option("--sort <order>", "by age, address, expiry, or drops")
        .choices(sortOrders)
        .default("since"),
    )
    .addOption(
      new Option("--limit <rows>", "list so many of them at most")
        .argParser(parseCount)
        .default(Number.POSITIVE_INFINITY, "none"),
    )
    .option("--no-hosts", "don't ask the hosts: faster, without drops")
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .addHelpText("after", blockedHelp)
    .action((source: string | undefined, flags: BlockedFlags) => blocked(source, flags, from));
}

const blockedHelp = `
DROPPED counts the attempts that kernels have dropped under the block, with the
hosts that dropped most; HOSTS, on how many of the hosts that are heard it is in
force. A host that doesn't answer is named, and left out of both.

With --json each line is a block as 'packetwatch tail --format json' prints it,
with "hosts": host, state (applied, spared: allow-listed there, waiting, dry_run),
dropped and firstDrop; and "unanswered", the hosts that were not heard or did not
answer. A host in a dry run drops nothing: what is counted is what it would drop.

Examples:
  packetwatch blocked
  packetwatch blocked 198.51.100.0/24 --sort dropped
  packetwatch blocked --rule operator --since 1d
  packetwatch blocked --json | jq -r .source
`;

async function blocked(
  text: string | undefined,
  flags: BlockedFlags,
  from: Environment,
): Promise<void> {
  const config = loadConfig("cli", from);
  const wanted = text === undefined ? undefined : sourceOf(text, config.ipv6SourceBits);
  const timeoutMs = flags.timeout * 1000;
  const nowUs = Date.now() * 1000;
  const work = async (bus: Bus) => {
    const all = await readBlockList({ bus, timeoutMs, nowUs });
    const blocks = all.filter((block) => isListed(block, { wanted, flags, nowUs }));
    return listOf({ bus, blocks, flags, timeoutMs });
  };
  const { rows, missing, dry } = await withBus({ config, command: "blocked", timeoutMs, work });
  if (wanted && rows.length === 0) throw notBlocked(wanted);
  const unanswered = missing.map(({ host }) => host);
  if (flags.json) return printJson(rows, unanswered);
  print(renderBlocked(rows, { nowUs, columns: flags.hosts ? "all" : "no hosts" }));
  if (dry.length > 0) complain(`${describeDryRun(dry)}; DROPPED counts what would have been`);
  if (missing.length > 0) complain(describeMissing(missing));
}

type Filters = {
  readonly wanted: Prefix | undefined;
  readonly flags: BlockedFlags;
  readonly nowUs: number;
};

function isListed(block: BlockVerdict, { wanted, flags, nowUs }: Filters): boolean {
  const { rule, since } = flags;
  if (rule !== undefined && block.rule !== rule) return false;
  if (since !== undefined && block.issuedUs < nowUs - since * 1e6) return false;
  return wanted === undefined || isWithin(wanted, block.source);
}

type ListOptions = {
  readonly bus: Bus;
  readonly blocks: readonly BlockVerdict[];
  readonly flags: BlockedFlags;
  readonly timeoutMs: number;
};

type MissingHost = { readonly host: string; readonly silentSeconds?: number };
type List = {
  readonly rows: readonly BlockedRow[];
  readonly missing: readonly MissingHost[];
  /** Hosts in a dry run. */
  readonly dry: readonly string[];
};

async function listOf({ bus, blocks, flags, timeoutMs }: ListOptions): Promise<List> {
  const { sort, limit, hosts: isAsking } = flags;
  const first = (rows: readonly BlockedRow[]) => sortBlocked(rows, sort).slice(0, limit);
  const unasked = blockedRows(blocks, { answers: [] });
  if (!isAsking || blocks.length === 0) return { rows: first(unasked), missing: [], dry: [] };
  // Only an order by drops needs the drops of all of them.
  const shown = sort === "dropped" ? blocks : first(unasked).map(({ block }) => block);
  const { answers, missing, dry } = await askAll({ bus, blocks: shown, timeoutMs });
  return { rows: first(blockedRows(shown, { answers, dry })), missing, dry };
}

async function askAll({
  bus,
  blocks,
  timeoutMs,
}: Pick<ListOptions, "bus" | "blocks" | "timeoutMs">): Promise<
  Omit<List, "rows"> & Pick<HostAnswers, "answers">
> {
  const hosts = await HostWatch.open(bus, timeoutMs);
  try {
    const sources = blocks.map(({ source }) => source);
    const { answers, unanswered } = await askHosts({ bus, hosts: hosts.liveNames, sources });
    const missing = [...unanswered.map((host) => ({ host })), ...hosts.silent];
    return { answers, missing, dry: dryHostsOf(hosts.live) };
  } finally {
    hosts.close();
  }
}

function notBlocked(wanted: Prefix): CliError {
  const detail = `${formatPrefix(wanted)}: nothing there is blocked; 'packetwatch explain' tells what is known of an address`;
  return new CliError("NOT_BLOCKED", detail);
}

function describeMissing(missing: readonly MissingHost[]): string {
  const mute = missing.filter(({ silentSeconds }) => silentSeconds === undefined);
  const silent = missing.flatMap(({ host, silentSeconds }) =>
    silentSeconds === undefined ? [] : [describeSilence({ host, silentSeconds })],
  );
  const texts = [
    ...(mute.length > 0 ? [`no answer from ${listNames(mute.map(({ host }) => host))}`] : []),
    ...silent.slice(0, 10),
  ];
  return `${texts.join("; ")}: what they drop is not counted here`;
}

function printJson(rows: readonly BlockedRow[], unanswered: readonly string[]): void {
  for (const row of rows) process.stdout.write(jsonBlocked(row, unanswered));
}
