/** `packetwatch status`: what is there, what is amiss, and who is not heard. */
import { isatty } from "node:tty";
import type { Bus } from "@packetwatch/bus";
import { type Environment, environment, loadConfig } from "@packetwatch/config";
import { type Command, Option } from "commander";
import { withBus } from "../block-list/with-bus.ts";
import { durationArgument } from "../duration.ts";
import { jsonOption, timeoutOption } from "../options.ts";
import { jsonText } from "../printable.ts";
import { exitCodes } from "../report-failure.ts";
import { print, usesColours } from "../terminal.ts";
import { diagnose } from "./diagnose.ts";
import { readFleetFacts } from "./fleet-facts.ts";
import { fleetStatus } from "./fleet-status.ts";
import { lookUntilHealthy } from "./look-until-healthy.ts";
import { renderStatus, type StatusPaint, type StatusReport, statusJson } from "./render-status.ts";

type StatusFlags = {
  readonly color: boolean;
  /** Seconds; without it, the first look is the last. */
  readonly wait?: number;
  readonly timeout: number;
  readonly json?: true;
};

export function statusCommand(program: Command, from: Environment = environment): void {
  program
    .command("status")
    .description("tell whether the fleet is healthy: hosts, detectors, streams, NATS")
    .option("--no-color", "no colours on a terminal either (also: NO_COLOR)")
    .addOption(
      new Option(
        "--wait <time>",
        "look again until nothing is amiss, for so long at most; NATS may come meanwhile, too",
      ).argParser(durationArgument),
    )
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .addHelpText("after", statusHelp)
    .action((flags: StatusFlags) => status(flags, from));
}

const statusHelp = `
What is amiss comes first. The exit code is 0 where nothing is, and 1 where the
fleet is degraded: a host or all detectors are silent, a shard is read by nobody,
a list is nearly full, the breaker is open. Who was heard within the last day and
is no more is named. What has just started tells about itself within a second or
two: --wait gives it the time.

SEEN, DROPPED, LOST and THINNED count connection attempts since the host's program
was loaded; LOST ones were seen, and never judged; THINNED ones were repetitions,
left out of a ring buffer that was nearly full, and detection misses nothing by
them. LAG counts batches that wait for a detector, BEHIND verdicts that wait for
an enforcer.

Examples:
  packetwatch status
  packetwatch status --json | jq -r '.reasons[]'
  packetwatch up --detach && packetwatch status --wait 10s
  packetwatch status > /dev/null || echo degraded
`;

async function status(flags: StatusFlags, from: Environment): Promise<void> {
  const config = loadConfig("cli", from);
  const timeoutMs = flags.timeout * 1000;
  const waitMs = (flags.wait ?? 0) * 1000;
  const endMs = performance.now() + waitMs;
  const work = (bus: Bus) =>
    lookUntilHealthy(() => readReport(bus, timeoutMs), endMs - performance.now());
  const report = await withBus({
    config,
    command: "status",
    timeoutMs: Math.max(timeoutMs, waitMs),
    work,
  });
  const isColoured = usesColours({
    isTerminal: isatty(process.stdout.fd),
    isWanted: flags.color,
    environment: from,
  });
  print(
    flags.json ? jsonText(statusJson(report)) : renderStatus(report, isColoured ? coloured : plain),
  );
  if (report.diagnosis.reasons.length > 0) process.exitCode = exitCodes.failed;
}

async function readReport(bus: Bus, timeoutMs: number): Promise<StatusReport> {
  const facts = await readFleetFacts(bus, timeoutMs);
  const status = fleetStatus(facts);
  return { facts, status, diagnosis: diagnose(facts, status) };
}

const plain: StatusPaint = { good: (text) => text, bad: (text) => text };
const coloured: StatusPaint = {
  good: (text) => `\u001b[32m${text}\u001b[0m`,
  bad: (text) => `\u001b[31m${text}\u001b[0m`,
};
