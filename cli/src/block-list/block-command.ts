/** `packetwatch block`: blocks a source on every host, and waits until they have done it. */
import type { Bus } from "@packetwatch/bus";
import { longestWindowSeconds } from "@packetwatch/detection";
import { type Environment, environment, loadConfig } from "@packetwatch/config";
import { formatAddress } from "@packetwatch/net";
import { type Command, Option } from "commander";
import { type ReadCovering, readCovering } from "../allow/read-covering.ts";
import { CliError } from "../cli-error.ts";
import { longDurationArgument } from "../duration.ts";
import { askHosts } from "../fleet/ask-hosts.ts";
import { listNames } from "../hosts/effect.ts";
import { HostWatch } from "../hosts/host-watch.ts";
import { jsonOption, timeoutOption, waitMsOf, waitOptions } from "../options.ts";
import { applyVerdicts } from "./apply-verdicts.ts";
import { createBlock, decide } from "./operator-verdict.ts";
import { printEffect } from "./print-effect.ts";
import { addressWithinSource, MAX_SOURCES, sourcesOf } from "./sources.ts";
import { withBus } from "./with-bus.ts";

type BlockFlags = {
  readonly ttl?: number;
  readonly reason?: string;
  readonly force?: true;
  readonly wait: number | false;
  readonly timeout: number;
  readonly json?: true;
};

export function blockCommand(program: Command, from: Environment = environment): void {
  const [wait, noWait] = waitOptions();
  program
    .command("block")
    .argument("<source>", `an address, or a CIDR of up to ${MAX_SOURCES} sources`)
    .description("block a source on every host, and wait until they have done it")
    .addOption(
      new Option("--ttl <time>", "block it for so long, such as 10m, 2h or 30d").argParser(
        longDurationArgument,
      ),
    )
    .option("--reason <text>", "kept with the verdict, for others to read")
    .option("--force", "also where it is allow-listed: there, nothing of it is dropped")
    .addOption(wait)
    .addOption(noWait)
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .addHelpText("after", blockHelp)
    .action((source: string, flags: BlockFlags) => block(source, flags, from));
}

const blockHelp = `
Without --ttl it is blocked until 'packetwatch unblock'. The kernel itself
compares the expiry, so a block ends on time whatever runs or doesn't. Blocking
what is blocked already replaces reason and expiry.

An IPv4 source is one address, an IPv6 source a prefix (PW_IPV6_PREFIX): an IPv6
address stands for its prefix. A CIDR is blocked source by source. New
connections are dropped; those that are established go on.

The exit code is 0 when every host that is known has confirmed it. A host that
was silent does it when its enforcer is back.

Examples:
  packetwatch block 192.0.2.56
  packetwatch block 192.0.2.56 --ttl 2h --reason "ticket 4711"
  packetwatch block 198.51.100.0/28
  packetwatch block 2001:db8::7                blocks 2001:db8::/64
`;

async function block(text: string, flags: BlockFlags, from: Environment): Promise<void> {
  const config = loadConfig("cli", from);
  const sources = sourcesOf(text, config.ipv6SourceBits);
  const address = addressWithinSource(text, config.ipv6SourceBits);
  const decision = decide({ config, from, reason: flags.reason });
  const verdicts = sources.map((source) => createBlock(source, decision, flags.ttl));
  const timeoutMs = flags.timeout * 1000;
  const work = async (bus: Bus) => {
    const hosts = await HostWatch.open(bus, timeoutMs);
    try {
      if (!flags.force) {
        await requireBlockable({ bus, hosts: hosts.liveNames, sources });
        if (address) await requireNotAllowed({ bus, address, hosts: hosts.live, timeoutMs });
      }
      return await applyVerdicts({
        bus,
        verdicts,
        hosts,
        waitMs: waitMsOf(flags.wait),
        longestWindowSeconds: longestWindowSeconds(config),
      });
    } finally {
      hosts.close();
    }
  };
  const effect = await withBus({ config, command: "block", timeoutMs, work });
  printEffect({ effect, verdicts, flags });
}

type Question = {
  readonly bus: Bus;
  readonly hosts: readonly string[];
  readonly sources: readonly string[];
};

/** Throws CliError: ALLOWED. A host that doesn't answer spares what it allows all the same. */
async function requireBlockable({ bus, hosts, sources }: Question): Promise<void> {
  const { answers } = await askHosts({ bus, hosts, sources });
  const isAllowed = (source: string) =>
    answers.filter(({ blocks }) => blocks.get(source)?.allowed).map(({ host }) => host);
  const allowed = sources.filter((source) => isAllowed(source).length > 0);
  if (allowed.length === 0) return;
  const where = [...new Set(allowed.flatMap(isAllowed))].sort();
  throw allowedError(allowed, where);
}

/** Of an IPv6 source one address may be allowed, and it is the one that was named. Throws CliError: ALLOWED. */
async function requireNotAllowed(options: ReadCovering): Promise<void> {
  const rows = await readCovering(options);
  const where = [...new Set(rows.flatMap(({ hosts }) => hosts))].sort();
  if (where.length > 0) throw allowedError([formatAddress(options.address)], where);
}

function allowedError(allowed: readonly string[], where: readonly string[]): CliError {
  const verb = allowed.length === 1 ? "is" : "are";
  const detail = `${listNames(allowed)} ${verb} allow-listed on ${listNames(where)}, where nothing of it would be dropped; --force blocks it on the other hosts`;
  return new CliError("ALLOWED", detail);
}
