/** `packetwatch record`: writes the SYN stream to a file. */
import type { Bus, StartPosition } from "@packetwatch/bus";
import {
  bytes,
  type Config,
  type Environment,
  environment,
  formatBytes,
  loadConfig,
} from "@packetwatch/config";
import { streamNames } from "@packetwatch/contracts";
import { Scope } from "@packetwatch/runtime";
import { type Command, InvalidArgumentError, Option } from "commander";
import { CliError } from "../cli-error.ts";
import { connectCli } from "../connect-cli.ts";
import { durationArgument } from "../duration.ts";
import { jsonOption, parseCount, timeoutOption } from "../options.ts";
import { counted, jsonText } from "../printable.ts";
import { catchStopSignals, isStop, type Stop } from "../stop-signals.ts";
import { IsoTime } from "../tail/time-text.ts";
import { complain, print } from "../terminal.ts";
import { Recorder } from "./recorder.ts";
import { isTerminalOutput, RecordingOutput } from "./recording-output.ts";
import { RecordingProgress } from "./recording-progress.ts";
import { SynStream } from "./syn-stream.ts";

const KIB = 1024;
const GIB = 1024 ** 3;
const maxBytesField = bytes(KIB, 1024 * GIB);

type RecordFlags = {
  readonly since?: number;
  readonly follow: boolean;
  readonly for?: number;
  readonly limit: number;
  readonly maxBytes: number;
  readonly force?: true;
  readonly timeout: number;
  readonly json?: true;
};

export function recordCommand(program: Command, from: Environment = environment): void {
  program
    .command("record")
    .description("write the connection attempts of the fleet to a file, for replay")
    .argument("<file>", "the recording; - for standard output")
    .addOption(
      new Option(
        "--since <time>",
        "begin so far back in the retained stream, such as 10m",
      ).argParser(durationArgument),
    )
    .option("--no-follow", "end when all that is retained is written")
    .addOption(
      new Option("--for <time>", "end after so long, such as 60s").argParser(durationArgument),
    )
    .addOption(
      new Option("--limit <attempts>", "end with the batch that makes it so many attempts")
        .argParser(parseCount)
        .default(Number.POSITIVE_INFINITY, "none"),
    )
    .addOption(
      new Option("--max-bytes <size>", "end before the recording is longer")
        .argParser(maxBytesArgument)
        .default(GIB, formatBytes(GIB)),
    )
    .option("--force", "overwrite the file")
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .addHelpText("after", recordHelp)
    .action((file: string, flags: RecordFlags, command: Command) => {
      if (isTerminalOutput(file)) command.error("error: a recording is no text: name a file");
      return record(file, flags, from);
    });
}

const recordHelp = `
The file is there from the moment on from which nothing is missed; --for counts
from it. Ctrl-C ends it in good order. A recording can be replayed whenever it
ended, as far as it goes. It has no gap that isn't reported: where NATS is away it
goes on behind the last batch. Attempts that the kernel dropped are not in the
stream.

Examples:
  packetwatch record monday.pwsyn                  from now until Ctrl-C
  packetwatch record --for 10m monday.pwsyn        for ten minutes
  packetwatch record --no-follow last.pwsyn        all that NATS still holds
  packetwatch record --since 5m - | gzip > last.pwsyn.gz
`;

function maxBytesArgument(text: string): number {
  const size = maxBytesField.parse(text);
  if (size !== undefined) return size;
  throw new InvalidArgumentError(`It is ${maxBytesField.expected}.`);
}

type RecordParts = {
  readonly file: string;
  readonly flags: RecordFlags;
  readonly recorder: Recorder;
  readonly output: RecordingOutput;
  readonly stop: Stop;
  readonly scope: Scope;
};

async function record(file: string, flags: RecordFlags, from: Environment): Promise<void> {
  const config = loadConfig("cli", from);
  const stop = catchStopSignals();
  const scope = new Scope();
  const overwrite = flags.force ? "allow" : "refuse";
  const output = scope.own(new RecordingOutput({ file, overwrite }));
  const recorder = new Recorder({
    write: (piece) => output.write(piece),
    maxBytes: flags.maxBytes,
    maxAttempts: flags.limit,
  });
  const parts = { file, flags, recorder, output, stop, scope };
  try {
    const stream = startRecording(await connect({ config, flags, stop, scope }), parts);
    await stop.requested;
    for (const gap of describeGaps(recorder, stream)) complain(gap);
  } catch (error) {
    if (!isStop(error, stop) && !isReaderGone(error)) throw error;
  } finally {
    await scope.close();
    if (recorder.bytes > 0) describeRecording(parts);
  }
  if (recorder.bytes === 0) complain("nothing was recorded");
}

type ConnectParts = Pick<RecordParts, "flags" | "stop" | "scope"> & {
  readonly config: Config<"cli">;
};

async function connect({ config, flags, stop, scope }: ConnectParts): Promise<Bus> {
  return scope.own(
    await connectCli({
      config,
      name: `packetwatch record on ${config.host}`,
      timeoutMs: flags.timeout * 1000,
      signal: stop.signal,
      onLost: stop.fail,
    }),
  );
}

function startRecording(bus: Bus, parts: RecordParts): SynStream {
  const { flags, recorder, stop, scope } = parts;
  return scope.own(
    new SynStream({
      bus,
      start: startOf(flags),
      timeoutMs: flags.timeout * 1000,
      patience: "until_open",
      onOpen: () => begin(parts),
      onMessage: (message) => {
        if (stop.signal.aborted) return;
        recorder.take(message);
        if (recorder.doneBecause !== undefined) stop.now();
      },
      onCaughtUp: () => {
        if (!flags.follow) stop.now();
      },
      onFailure: stop.fail,
    }),
  );
}

/** The file is there from the moment on from which nothing is missed. */
function begin({ file, flags, recorder, output, stop, scope }: RecordParts): void {
  output.open();
  recorder.begin();
  if (flags.for !== undefined) {
    const timer = setTimeout(stop.now, flags.for * 1000);
    scope.own({ close: () => clearTimeout(timer) });
  }
  const name = file === "-" ? "standard output" : file;
  scope.own(new RecordingProgress({ recorder, title: `recording ${streamNames.syn} to ${name}` }));
}

function startOf({ since, follow }: RecordFlags): StartPosition {
  if (since !== undefined) {
    return { kind: "since", time: () => new Date(Date.now() - since * 1000) };
  }
  return follow ? { kind: "new" } : { kind: "all" };
}

/** Whoever reads standard output has had enough. */
function isReaderGone(error: unknown): boolean {
  return error instanceof CliError && error.code === "READER_GONE";
}

function describeGaps(recorder: Recorder, { missed }: SynStream): readonly string[] {
  const rejected = recorder.rejections.describe();
  return [
    ...(missed > 0 ? [`the stream gave up ${counted(missed, "batch")} unread`] : []),
    ...(recorder.skipped > 0 ? [`${counted(recorder.skipped, "message")} fit no recording`] : []),
    ...(rejected === undefined ? [] : [`recorded as they came: ${rejected}`]),
  ];
}

/** On standard error where standard output is the recording. */
function describeRecording({ file, flags, recorder }: RecordParts): void {
  const { tally, batches, bytes, doneBecause } = recorder;
  const size = `${counted(batches, "batch")}, ${counted(bytes, "byte")}`;
  const text = `${tally.describe()}; ${size}`;
  if (flags.json) {
    const output = file === "-" ? process.stderr : process.stdout;
    output.write(`${jsonText({ file, ...summaryOf(recorder) })}\n`);
  } else if (file === "-") complain(`recorded ${text}`);
  else print(`${file}: ${text}`);
  if (doneBecause === "full") {
    complain(`ended at --max-bytes ${formatBytes(flags.maxBytes)}; there was more to come`);
  }
}

function summaryOf({ tally, batches, bytes, doneBecause }: Recorder): object {
  const time = new IsoTime();
  const { span } = tally;
  return {
    attempts: tally.attempts,
    allowed: tally.allowed,
    sources: tally.sources.count,
    first: span ? time.format(span.firstUs) : null,
    last: span ? time.format(span.lastUs) : null,
    batches,
    bytes,
    isFull: doneBecause === "full",
  };
}
