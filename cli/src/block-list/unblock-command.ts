/** `packetwatch unblock`: lifts blocks on every host, and waits until they have done it. */
import type { Bus } from "@packetwatch/bus";
import { longestWindowSeconds } from "@packetwatch/detection";
import { type Environment, environment, loadConfig } from "@packetwatch/config";
import { verdictSubject } from "@packetwatch/contracts";
import { formatPrefix, isIpv4, type Prefix } from "@packetwatch/net";
import type { Command } from "commander";
import { CliError } from "../cli-error.ts";
import { askHosts } from "../fleet/ask-hosts.ts";
import { readLeftovers } from "../fleet/leftovers.ts";
import { HostWatch } from "../hosts/host-watch.ts";
import { jsonOption, timeoutOption, waitMsOf, waitOptions } from "../options.ts";
import { jsonText } from "../printable.ts";
import { exitCodes } from "../report-failure.ts";
import { complain, print } from "../terminal.ts";
import { applyVerdicts } from "./apply-verdicts.ts";
import { createUnblock, decide } from "./operator-verdict.ts";
import { printEffect } from "./print-effect.ts";
import { readBlockList } from "./read-block-list.ts";
import { isWithin, sourceOf } from "./sources.ts";
import { withBus } from "./with-bus.ts";

type UnblockFlags = {
  readonly all?: true;
  readonly reason?: string;
  readonly wait: number | false;
  readonly timeout: number;
  readonly json?: true;
};

export function unblockCommand(program: Command, from: Environment = environment): void {
  const [wait, noWait] = waitOptions();
  program
    .command("unblock")
    .argument("[source]", "an address, or a CIDR: every block within it is lifted")
    .description("lift blocks on every host; a source stays unblocked until it scans anew")
    .option("--all", "lift every block")
    .option("--reason <text>", "kept with the verdict, for others to read")
    .addOption(wait)
    .addOption(noWait)
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .addHelpText("after", unblockHelp)
    .action((source: string | undefined, flags: UnblockFlags, command: Command) => {
      if ((source === undefined) === (flags.all === undefined)) {
        command.error("error: name an address or CIDR, or --all");
      }
      return unblock(source, flags, from);
    });
}

const unblockHelp = `
An IPv6 address stands for the prefix that is blocked for it (PW_IPV6_PREFIX).
What the source tried before counts no more, through any restart or replay.

The exit code is 0 when every host that is known has lifted the blocks. A host
that was silent does it when its enforcer is back.

Examples:
  packetwatch unblock 192.0.2.56
  packetwatch unblock 2001:db8::7 --reason "the office's own scanner"
  packetwatch unblock 198.51.100.0/24
  packetwatch unblock --all --reason "wrong threshold"
`;

async function unblock(
  text: string | undefined,
  flags: UnblockFlags,
  from: Environment,
): Promise<void> {
  const config = loadConfig("cli", from);
  const wanted = text === undefined ? undefined : sourceOf(text, config.ipv6SourceBits);
  const decision = decide({ config, from, reason: flags.reason });
  const timeoutMs = flags.timeout * 1000;
  const work = async (bus: Bus) => {
    if (flags.all) await tellLeftovers(bus, timeoutMs);
    const hosts = await HostWatch.open(bus, timeoutMs);
    try {
      const { ipv6SourceBits } = config;
      const sources = await findBlocked({ bus, wanted, ipv6SourceBits, timeoutMs, hosts });
      const verdicts = sources.map((source) => createUnblock(source, decision));
      if (verdicts.length === 0) return undefined;
      const effect = await applyVerdicts({
        bus,
        verdicts,
        hosts,
        waitMs: waitMsOf(flags.wait),
        longestWindowSeconds: longestWindowSeconds(config),
      });
      return { effect, verdicts };
    } finally {
      hosts.close();
    }
  };
  const done = await withBus({ config, command: "unblock", timeoutMs, work });
  if (done) printEffect({ ...done, flags });
  else print(flags.json ? jsonText({ kind: "unblock", sources: [] }) : "nothing is blocked");
}

/** What is blocked of a list that was lost is in none that could be gone through. */
async function tellLeftovers(bus: Bus, timeoutMs: number): Promise<void> {
  const leftovers = await readLeftovers(bus, timeoutMs);
  if (leftovers === undefined) return;
  complain(
    `of a list that was lost, blocked still: ${leftovers}; name them one by one, as the log of each enforcer does`,
  );
  process.exitCode = exitCodes.failed;
}

type Search = {
  readonly bus: Bus;
  /** undefined: all. */
  readonly wanted: Prefix | undefined;
  readonly ipv6SourceBits: number;
  readonly timeoutMs: number;
  readonly hosts: HostWatch;
};

/** Throws CliError: NOT_BLOCKED. */
async function findBlocked(search: Search): Promise<readonly string[]> {
  const { bus, wanted, ipv6SourceBits, timeoutMs } = search;
  const isOne = wanted !== undefined && isOneSource(wanted, ipv6SourceBits);
  const filter = isOne ? { filter: verdictSubject(wanted) } : {};
  const blocks = await readBlockList({ bus, timeoutMs, nowUs: Date.now() * 1000, ...filter });
  const sources = blocks.map(({ source }) => source);
  if (wanted === undefined) return sources;
  const within = sources.filter((source) => isWithin(wanted, source));
  if (within.length > 0) return within;
  const text = formatPrefix(wanted);
  if (isOne && (await isHeldSomewhere(search, text))) return [text];
  const what = isOne ? `${text} is not blocked` : `nothing in ${text} is blocked`;
  throw new CliError("NOT_BLOCKED", `${what}; 'packetwatch blocked' lists what is`);
}

function isOneSource({ words, bits }: Prefix, ipv6SourceBits: number): boolean {
  return bits === (isIpv4(words) ? 128 : ipv6SourceBits);
}

/** Where NATS has lost its disk, kernels may hold blocks that the list doesn't have. */
async function isHeldSomewhere({ bus, hosts }: Search, source: string): Promise<boolean> {
  const { answers } = await askHosts({ bus, hosts: hosts.liveNames, sources: [source] });
  return answers.some(({ blocks }) => (blocks.get(source)?.interfaces ?? 0) > 0);
}
