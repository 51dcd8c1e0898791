/** `packetwatch replay`: what detectors would find under given rules. Publishes nothing. */
import { randomInt } from "node:crypto";
import type { StartPosition } from "@packetwatch/bus";
import { type Config, type Environment, environment, loadConfig } from "@packetwatch/config";
import { escalationFromConfig, rulesFromConfig } from "@packetwatch/detection";
import { AddressError, parseAllowPrefix, type Prefix } from "@packetwatch/net";
import { Scope } from "@packetwatch/runtime";
import { type Command, InvalidArgumentError, Option } from "commander";
import { CliError } from "../cli-error.ts";
import { connectCli } from "../connect-cli.ts";
import { durationArgument } from "../duration.ts";
import { jsonOption, timeoutOption } from "../options.ts";
import { catchStopSignals, isStop, type Stop } from "../stop-signals.ts";
import { complain } from "../terminal.ts";
import { readRecording } from "./recording-input.ts";
import { Replay } from "./replay.ts";
import { describeFlaws, type InputEnd, renderJson, renderReport } from "./replay-report.ts";
import { changeRules, type RuleChanges, rulesArgument } from "./rules-option.ts";
import { SynStream } from "./syn-stream.ts";

/** The seed of a detector's hashes has so many bits at most. */
const SEED_LIMIT = 2 ** 47;

type ReplayFlags = {
  readonly rules: RuleChanges;
  readonly allow: readonly Prefix[];
  readonly since?: number;
  readonly timeout: number;
  readonly json?: true;
};

export function replayCommand(program: Command, from: Environment = environment): void {
  program
    .command("replay")
    .description("print which sources would be blocked or alerted about, and publish nothing")
    .argument("[file]", "a recording, - for standard input; without it, the retained stream")
    .addOption(
      new Option("--rules <rules>", "rules in place of those in the PW_ variables")
        .argParser(rulesArgument)
        .default({}, "PW_ variables"),
    )
    .addOption(
      new Option("--allow <cidr>", "count this address or CIDR as allow-listed; repeatable")
        .argParser(allowArgument)
        .default([], "none"),
    )
    .addOption(
      new Option("--since <time>", "of the retained stream, only the last 10m, say").argParser(
        durationArgument,
      ),
    )
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .addHelpText("after", replayHelp)
    .action((file: string | undefined, flags: ReplayFlags, command: Command) => {
      if (file !== undefined && flags.since !== undefined) {
        command.error("error: --since is for the retained stream: leave out the file");
      }
      return replay(file, flags, from);
    });
}

const replayHelp = `
A rule is NAME=THRESHOLD/WINDOW:ACTION or NAME=off. A rule that --rules doesn't
name is as PW_PORTSCAN_*, PW_VERTICAL_*, PW_HORIZONTAL_* and PW_SPREAD_* say; how
long a block lasts says PW_BLOCK_TTL.

Every source begins with a clean slate: verdicts in force and unblocks don't
count. Attempts that the kernel dropped are not in the stream, so a source that
is blocked has fewer of them than it made. A detection has the id of the verdict
that a detector publishes for the same attempts under the same rules.

JSON has one object a line: "kind" is detection, and of the last one summary.
The exit code is 1 where nothing could be read.

Examples:
  packetwatch replay                                     the retained stream, the rules in force
  packetwatch replay --since 10m --rules vertical=10/60s:block
  packetwatch replay monday.pwsyn --rules vertical=5/5m:alert,horizontal=off,spread=off
  packetwatch replay monday.pwsyn --allow 192.0.2.0/24   what an allowlist would change
  zcat monday.pwsyn.gz | packetwatch replay - --json | jq 'select(.kind == "summary")'
`;

function allowArgument(text: string, before: readonly Prefix[]): readonly Prefix[] {
  try {
    return [...before, parseAllowPrefix(text)];
  } catch (error) {
    if (error instanceof AddressError) throw new InvalidArgumentError(`${error.message}.`);
    throw error;
  }
}

async function replay(
  file: string | undefined,
  flags: ReplayFlags,
  from: Environment,
): Promise<void> {
  const config = loadConfig("cli", from);
  const rules = changeRules(rulesFromConfig(config), flags.rules);
  const escalation = escalationFromConfig(config);
  const stop = catchStopSignals();
  const replay = new Replay({
    rules,
    capacity: config.detectorCapacity,
    maxQuietSources: config.maxVerdicts,
    blockTtlUs: Math.round(config.blockTtlSeconds * 1e6),
    ...(escalation && { escalation }),
    count: config.count,
    seed: randomInt(SEED_LIMIT),
    allow: flags.allow,
  });
  const input =
    file === undefined
      ? await replayStream({ replay, flags, config, stop })
      : await replayFile({ replay, file, stop });
  for (const flaw of describeFlaws({ replay, input })) complain(flaw);
  if (isUnreadable({ replay, input })) throw nothingRead(file);
  process.stdout.write(
    flags.json ? renderJson({ replay, rules, input }) : renderReport({ replay, rules }),
  );
}

type FileParts = { readonly replay: Replay; readonly file: string; readonly stop: Stop };

async function replayFile({ replay, file, stop }: FileParts): Promise<InputEnd> {
  const end = await readRecording({
    file,
    signal: stop.signal,
    onEntry: ({ batch }) => replay.take(batch),
    onMalformed: (error) => replay.rejections.count(error),
  });
  return { unreadBytes: 0, missedBatches: 0, ...end };
}

type StreamParts = {
  readonly replay: Replay;
  readonly flags: ReplayFlags;
  readonly config: Config<"cli">;
  readonly stop: Stop;
};

/** Reads what the stream holds now; what comes meanwhile is left out. */
async function replayStream({ replay, flags, config, stop }: StreamParts): Promise<InputEnd> {
  const scope = new Scope();
  const timeoutMs = flags.timeout * 1000;
  const end = { kind: "interrupted" as InputEnd["kind"], unreadBytes: 0, missedBatches: 0 };
  try {
    const name = `packetwatch replay on ${config.host}`;
    const { signal, fail: onLost } = stop;
    const bus = scope.own(await connectCli({ config, name, timeoutMs, signal, onLost }));
    const stream = scope.own(
      new SynStream({
        bus,
        start: startOf(flags),
        timeoutMs,
        patience: "until_caught_up",
        onMessage: ({ payload }) => {
          if (end.kind === "interrupted") replay.take(payload);
        },
        onCaughtUp: () => {
          end.kind = "whole";
          stop.now();
        },
        onFailure: stop.fail,
      }),
    );
    await stop.requested;
    end.missedBatches = stream.missed;
  } catch (error) {
    if (!isStop(error, stop)) throw error;
  } finally {
    await scope.close();
  }
  return end;
}

function startOf({ since }: ReplayFlags): StartPosition {
  if (since === undefined) return { kind: "all" };
  return { kind: "since", time: () => new Date(Date.now() - since * 1000) };
}

/** Something was there, and none of it could be read. */
function isUnreadable({ replay, input }: { replay: Replay; input: InputEnd }): boolean {
  const isFlawed = replay.rejections.total > 0 || input.unreadBytes > 0;
  return isFlawed && replay.batches === 0;
}

function nothingRead(file: string | undefined): CliError {
  const name = file === "-" ? "standard input" : (file ?? "the retained stream");
  return new CliError("RECORDING_INPUT", `nothing in ${name} could be read`);
}
