/** `packetwatch breaker`: whether detectors may block. */
import { type Bus, isOvertaken, publishAcknowledged } from "@packetwatch/bus";
import { type Environment, environment, loadConfig } from "@packetwatch/config";
import {
  type BreakerMessage,
  closedBreaker,
  encodeBreaker,
  subjects,
} from "@packetwatch/contracts";
import type { Command } from "commander";
import { withBus } from "../block-list/with-bus.ts";
import { CliError } from "../cli-error.ts";
import { operatorName } from "../operator-name.ts";
import { jsonOption, timeoutOption } from "../options.ts";
import { jsonText } from "../printable.ts";
import { exitCodes } from "../report-failure.ts";
import { print } from "../terminal.ts";
import { describeBreaker, describeDetectors } from "./breaker-text.ts";
import { type DetectorEffect, DetectorWatch } from "./detector-watch.ts";
import { readBreaker } from "./read-breaker.ts";

type BreakerFlags = { readonly timeout: number; readonly json?: true };

export function breakerCommand(program: Command, from: Environment = environment): void {
  const breaker = program
    .command("breaker")
    .description("show, or close, what stops detectors that block too much")
    .addHelpText("after", breakerHelp);
  breaker
    .command("show")
    .description("say whether it is open, since when and why")
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .action((flags: BreakerFlags) => show(flags, from));
  breaker
    .command("close")
    .description("let detectors block again; what they held back stays unblocked")
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .action((flags: BreakerFlags) => close(flags, from));
}

const breakerHelp = `
It opens when detectors block more than PW_MAX_BLOCKS_PER_MINUTE sources, or more than
PW_MAX_BLOCKED are blocked in all. While it is open they alert and block nobody; operators
can. It closes by itself when nobody was to be blocked for PW_BREAKER_QUIET seconds.
'close' waits until every detector that is heard has taken it in, which each says
once a second.

Examples:
  packetwatch breaker show
  packetwatch breaker close
`;

async function show(flags: BreakerFlags, from: Environment): Promise<void> {
  const config = loadConfig("cli", from);
  const timeoutMs = flags.timeout * 1000;
  const work = (bus: Bus) => readBreaker(bus, timeoutMs);
  const read = await withBus({ config, command: "breaker", timeoutMs, work });
  if (flags.json) print(jsonText(read?.message ?? { state: "closed" }));
  else print(describeBreaker(read?.message));
}

async function close(flags: BreakerFlags, from: Environment): Promise<void> {
  const config = loadConfig("cli", from);
  const timeoutMs = flags.timeout * 1000;
  const changedBy = operatorName(config.host, from);
  const work = (bus: Bus) => closeBreaker(bus, { changedBy, timeoutMs });
  const { message, effect } = await withBus({ config, command: "breaker close", timeoutMs, work });
  print(flags.json ? jsonText({ ...message, ...effect }) : `closed; ${describeDetectors(effect)}`);
  if (effect.late.length > 0) process.exitCode = exitCodes.failed;
}

type Close = { readonly changedBy: string; readonly timeoutMs: number };

async function closeBreaker(bus: Bus, { changedBy, timeoutMs }: Close): Promise<Closed> {
  const read = await readBreaker(bus, timeoutMs);
  if (read?.message.state !== "open") throw new CliError("NOT_OPEN", "the breaker is not open");
  const change = { reason: "operator", changedBy, changedUs: Date.now() * 1000 } as const;
  const message = closedBreaker(read.message, change);
  const watch = await DetectorWatch.open(bus, timeoutMs);
  try {
    const startMs = performance.now();
    const sequence = await publishClosed(bus, { message, lastSubjectSequence: read.sequence });
    return { message, effect: await watch.until(sequence, { startMs, timeoutMs }) };
  } finally {
    watch.close();
  }
}

type Closed = { readonly message: BreakerMessage; readonly effect: DetectorEffect };
type Publication = { readonly message: BreakerMessage; readonly lastSubjectSequence: number };

async function publishClosed(
  bus: Bus,
  { message, lastSubjectSequence }: Publication,
): Promise<number> {
  try {
    const payload = encodeBreaker(message);
    const options = { lastSubjectSequence };
    const stored = await publishAcknowledged(bus, subjects.breaker, payload, options);
    return stored.sequence;
  } catch (error) {
    if (!isOvertaken(error)) throw error;
    const detail = "the breaker changed meanwhile; try again, or see 'packetwatch breaker show'";
    throw new CliError("OVERTAKEN", detail, { cause: error });
  }
}
