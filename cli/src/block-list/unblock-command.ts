/** `packetwatch unblock`: lifts a block on every host, and waits until they have done it. */
import { randomUUID } from "node:crypto";
import { userInfo } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { type Bus, publishAcknowledged } from "@packetwatch/bus";
import { type Config, type Environment, environment, loadConfig } from "@packetwatch/config";
import { encodeVerdict, type UnblockVerdict, verdictSubject } from "@packetwatch/contracts";
import { createPrefix, formatPrefix, isIpv4, parsePrefix, type Prefix } from "@packetwatch/net";
import type { Command } from "commander";
import { CliError } from "../cli-error.ts";
import { jsonOption, timeoutOption } from "../options.ts";
import { counted, jsonText } from "../printable.ts";
import { print } from "../terminal.ts";
import { LiftWatch } from "./lift-watch.ts";
import { readBlockList } from "./read-block-list.ts";
import { withBus } from "./with-bus.ts";

/** Enforcers announce themselves once a second: so long it takes to know all of them. */
const CENSUS_MS = 1200;
const POLL_MS = 5;

type UnblockFlags = { readonly timeout: number; readonly reason?: string; readonly json?: true };

export function unblockCommand(program: Command, from: Environment = environment): void {
  program
    .command("unblock")
    .argument("<address>", "an address, or the CIDR that 'packetwatch blocked' shows")
    .description("lift the block of a source on every host; it stays unblocked until it scans anew")
    .option("--reason <text>", "kept with the verdict, for others to read")
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .addHelpText("after", unblockHelp)
    .action((address: string, flags: UnblockFlags) => unblock(address, flags, from));
}

const unblockHelp = `
An IPv6 address stands for the prefix that is blocked for it (PW_IPV6_PREFIX).
The exit code is 0 when every host that is heard of has lifted the block.

Examples:
  packetwatch unblock 192.0.2.56
  packetwatch unblock 2001:db8::7 --reason "the office's own scanner"
`;

async function unblock(address: string, flags: UnblockFlags, from: Environment): Promise<void> {
  const config = loadConfig("cli", from);
  const source = sourceOf(address, config.ipv6SourceBits);
  const timeoutMs = flags.timeout * 1000;
  const verdict = createVerdict(source, { config, from, reason: flags.reason });
  const work = (bus: Bus) => lift(bus, { source, verdict, timeoutMs });
  const lifted = await withBus({ config, command: "unblock", timeoutMs, work });
  print(flags.json ? jsonText({ source: verdict.source, ...lifted }) : describeLifted(lifted));
  if (lifted.missing.length > 0 || lifted.hosts.length === 0) {
    throw new CliError("NOT_APPLIED", describeMissing(lifted, flags.timeout));
  }
}

/** The source that stands in verdicts for an address: see sourceKey(). */
export function sourceOf(text: string, ipv6Bits: number): Prefix {
  const prefix = parsePrefix(text);
  const isWholeIpv6 = !text.includes("/") && !isIpv4(prefix.words);
  return isWholeIpv6 ? createPrefix(prefix.words, ipv6Bits) : prefix;
}

type VerdictContext = {
  readonly config: Config<"cli">;
  readonly from: Environment;
  readonly reason: string | undefined;
};

function createVerdict(source: Prefix, { config, from, reason }: VerdictContext): UnblockVerdict {
  return {
    version: 1,
    kind: "unblock",
    id: randomUUID(),
    source: formatPrefix(source),
    decidedBy: `operator/${operatorName(from)}@${config.host}`.slice(0, 255),
    issuedUs: Date.now() * 1000,
    ...(reason === undefined ? {} : { reason: reason.slice(0, 512) }),
  };
}

/** Who is behind sudo, if anybody; a container's user may have no name. */
function operatorName(from: Environment): string {
  if (from["SUDO_USER"]) return from["SUDO_USER"];
  try {
    return userInfo().username;
  } catch {
    return `uid-${process.getuid?.()}`;
  }
}

type Lift = {
  readonly source: Prefix;
  readonly verdict: UnblockVerdict;
  readonly timeoutMs: number;
};

export type Lifted = {
  readonly hosts: readonly string[];
  /** Hosts that are heard of and have not confirmed. */
  readonly missing: readonly string[];
  /** From publishing to the last confirmation. */
  readonly durationMs: number;
};

async function lift(bus: Bus, { source, verdict, timeoutMs }: Lift): Promise<Lifted> {
  await requireBlocked(bus, { source, verdict, timeoutMs });
  const watch = new LiftWatch(bus, verdict.id);
  try {
    await bus.connection.flush();
    const startMs = performance.now();
    const options = { messageId: verdict.id };
    await publishAcknowledged(bus, verdictSubject(source), encodeVerdict(verdict), options);
    await untilLifted(watch, startMs + timeoutMs);
    const lastMs = Math.max(startMs, ...watch.lifted.values());
    const hosts = [...watch.lifted.keys()].sort();
    return { hosts, missing: watch.missing, durationMs: Math.round(lastMs - startMs) };
  } finally {
    watch.close();
  }
}

async function requireBlocked(bus: Bus, { source, timeoutMs }: Lift): Promise<void> {
  const filter = verdictSubject(source);
  const blocks = await readBlockList({ bus, timeoutMs, filter, nowUs: Date.now() * 1000 });
  if (blocks.length > 0) return;
  const detail = `${formatPrefix(source)} is not blocked; 'packetwatch blocked' lists what is`;
  throw new CliError("NOT_BLOCKED", detail);
}

/** Until every host that has been heard of within a census has confirmed, or the time is over. */
async function untilLifted(watch: LiftWatch, deadlineMs: number): Promise<void> {
  await delay(CENSUS_MS);
  while (performance.now() < deadlineMs) {
    if (watch.lifted.size > 0 && watch.missing.length === 0) return;
    await delay(POLL_MS);
  }
}

/** `lifted on 2/3 hosts in 4 ms`. */
export function describeLifted({ hosts, missing, durationMs }: Lifted): string {
  const known = hosts.length + missing.length;
  const noun = known === 1 ? "host" : "hosts";
  return `lifted on ${hosts.length}/${known} ${noun} in ${durationMs} ms`;
}

function describeMissing({ missing }: Lifted, timeoutSeconds: number): string {
  if (missing.length === 0)
    return "no enforcer is heard; a host lifts the block when its enforcer is back";
  const who = missing.slice(0, 10).join(", ");
  return `${counted(missing.length, "host")} did not confirm within ${timeoutSeconds} s: ${who}`;
}
