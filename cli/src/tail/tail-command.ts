/** `packetwatch tail`: what the fleet sees and decides, as it happens. */
import { networkInterfaces } from "node:os";
import { isatty } from "node:tty";
import { type Bus, BusError } from "@packetwatch/bus";
import { type Config, type Environment, environment, loadConfig } from "@packetwatch/config";
import { subjects } from "@packetwatch/contracts";
import { Scope } from "@packetwatch/runtime";
import { type Command, Option } from "commander";
import { readBlockList } from "../block-list/read-block-list.ts";
import { CliError } from "../cli-error.ts";
import { connectCli } from "../connect-cli.ts";
import { readDetectors } from "../fleet/detectors.ts";
import { HostWatch } from "../hosts/host-watch.ts";
import { parseCount, timeoutOption } from "../options.ts";
import { counted } from "../printable.ts";
import { catchStopSignals, type Stop, unlessSignalled } from "../stop-signals.ts";
import {
  complain,
  makeTerminalAsynchronous,
  openStandardOutput,
  usesColours,
} from "../terminal.ts";
import { DryRunNotice } from "./dry-run-notice.ts";
import { JsonFormat } from "./json-format.ts";
import { LineFormat } from "./line-format.ts";
import { OutputQueue } from "./output-queue.ts";
import { ownAddresses } from "./own-addresses.ts";
import { coloured, plain, type RowFormat } from "./row-format.ts";
import { TableFormat } from "./table-format.ts";
import { Tail } from "./tail.ts";
import { type FleetFacts, fleetWelcomeLines, welcomeLines } from "./welcome.ts";

/** How often own addresses and expiries are looked at. */
const POLL_MS = 1000;
const DRAIN_TIMEOUT_MS = 2000;
const LIST_TIMEOUT_MS = 1000;

const formats = ["table", "line", "json"] as const;

type TailFlags = {
  readonly format: (typeof formats)[number];
  readonly json?: true;
  readonly host?: readonly string[];
  readonly limit: number;
  readonly color: boolean;
  readonly timeout: number;
  readonly wait?: true;
};

export function tailCommand(program: Command, from: Environment = environment): void {
  program
    .command("tail")
    .description("print connection attempts, blocks and alerts of the fleet as they happen")
    .addOption(
      new Option("--format <format>", "how to print them").choices(formats).default("table"),
    )
    .addOption(new Option("--json", "the same as --format json").conflicts("format"))
    .option("--host <name...>", "only attempts that these hosts saw")
    .addOption(
      new Option("--limit <rows>", "end after so many rows")
        .argParser(parseCount)
        .default(Number.POSITIVE_INFINITY, "none"),
    )
    .option("--no-color", "no colours on a terminal either (also: NO_COLOR)")
    .addOption(timeoutOption())
    .addOption(new Option("--wait", "wait for NATS, however long it takes").conflicts("timeout"))
    .addHelpText("after", tailHelp)
    .action((flags: TailFlags) =>
      // Commander takes an implied --format for a given one, which --json excludes.
      tail(flags.json ? { ...flags, format: "json" } : flags, from),
    );
}

const tailHelp = `
Times are in the time zone of the command (TZ) but in JSON, where they are UTC.
Attempts of a blocked source are not listed: the kernel drops them. In a dry run
it doesn't; then they are listed with "(would be dropped)", and a line on standard
error names the hosts.
The table begins with what is watched: by this host where PW_IFDEV names interfaces
of it, whose addresses are then listed, too; otherwise by the fleet, as far as its
hosts and detectors are heard.
Nothing from before the start is shown. Where the reader of the output is too
slow, attempts are skipped and counted; blocks, unblocks and alerts are not.

With --host, blocks and alerts are those of the whole fleet: they hold on these
hosts, too.

JSON has one object a line. Its "kind" is connection, block, unblock, alert,
whitelist, or skipped.

Examples:
  packetwatch tail                                the console table
  packetwatch tail --format line >> scans.log     one sentence a line
  packetwatch tail --format json | jq 'select(.kind == "block")'
  packetwatch tail --host web-1 web-2             what these two hosts see
  packetwatch tail --limit 100 > sample.txt       end after 100 rows
`;

async function tail(flags: TailFlags, from: Environment): Promise<void> {
  const config = loadConfig("cli", from);
  const stop = catchStopSignals();
  const scope = new Scope();
  makeTerminalAsynchronous();
  const output = createOutput(flags, { from, stop });
  const reading = new Tail({
    format: output.format,
    output: output.queue,
    host: config.host,
    ...(flags.host === undefined ? {} : { onlyHosts: new Set(flags.host) }),
    maxRows: flags.limit,
  });
  try {
    const interfaces = watchesHere(from) ? config.interfaces : [];
    await startTail({ reading, config, interfaces, flags, stop, scope });
    await stop.requested;
  } catch (error) {
    if (error !== stop.signal.reason || !isAbort(error)) throw error;
  } finally {
    await endTail({ scope, output: output.queue, reading });
  }
}

/** A fleet is watched elsewhere: what PW_IFDEV is by default tells nothing of it. */
function watchesHere(from: Environment): boolean {
  return (from["PW_IFDEV"] ?? "").trim() !== "";
}

type OutputContext = {
  readonly from: Environment;
  readonly stop: Stop;
};

function createOutput(flags: TailFlags, { from, stop }: OutputContext) {
  const isTerminal = isatty(process.stdout.fd);
  const isColoured = usesColours({ isTerminal, isWanted: flags.color, environment: from });
  const paint = isColoured ? coloured : plain;
  const reader = isTerminal ? "the terminal" : "the reader";
  const format = createFormat(flags.format, { paint, reader });
  const queue = new OutputQueue({
    sink: openStandardOutput(),
    describeSkipped: (counts) => format.skipped({ ...counts, timeUs: nowUs() }),
    defer: setImmediate,
    onFailure: (cause) => {
      stop.fail(new CliError("OUTPUT", `write to standard output: ${cause.message}`, { cause }));
    },
  });
  return { format, queue };
}

type FormatOptions = ConstructorParameters<typeof TableFormat>[0];

function createFormat(name: TailFlags["format"], options: FormatOptions): RowFormat {
  if (name === "json") return new JsonFormat();
  return name === "line" ? new LineFormat(options) : new TableFormat(options);
}

/** Of this host, or of the fleet where it is watched elsewhere. */
async function welcomeOf(
  bus: Bus,
  { config, interfaces, flags }: TailParts,
): Promise<readonly string[]> {
  if (flags.format !== "table") return [];
  return interfaces.length > 0 ? welcomeLines(config) : fleetWelcomeLines(await readFleet(bus));
}

/** Nothing where it can't be read: tail has no need of it. */
async function readFleet(bus: Bus): Promise<FleetFacts> {
  const read = async () => {
    const [hosts, detectors] = await Promise.all([
      HostWatch.open(bus, LIST_TIMEOUT_MS),
      readDetectors(bus, LIST_TIMEOUT_MS),
    ]);
    hosts.close();
    return { hosts: hosts.live, rules: detectors.find(({ rules }) => rules)?.rules?.rules };
  };
  return orWithout(read, { hosts: [], rules: undefined });
}

async function orWithout<T>(read: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof CliError || error instanceof BusError) return otherwise;
    throw error;
  }
}

type TailParts = {
  readonly reading: Tail;
  readonly config: Config<"cli">;
  /** Those of this host whose addresses are listed. */
  readonly interfaces: readonly string[];
  readonly flags: TailFlags;
  readonly stop: Stop;
  readonly scope: Scope;
};

async function startTail(parts: TailParts): Promise<void> {
  const { reading, config, flags, stop, scope } = parts;
  const bus = scope.own(
    await connectCli({
      config,
      name: `packetwatch tail on ${config.host}`,
      timeoutMs: flags.wait ? "unbounded" : flags.timeout * 1000,
      signal: stop.signal,
      onLost: stop.fail,
    }),
  );
  const welcome = await Promise.race([welcomeOf(bus, parts), stop.requested]);
  bus.onReconnect(() => complain("NATS is back; what happened meanwhile is not shown"));
  const subscribe = subscriber({ bus, reading, stop, scope });
  subscribe(subjects.everySyn, (payload) => reading.synBatch(payload));
  subscribe(subjects.everyVerdict, (payload) => reading.verdict(payload));
  subscribe(subjects.everyAlert, (payload) => reading.alert(payload));
  await Promise.race([bus.connection.flush(), stop.requested]);
  // The header on the output says that from here on nothing is missed.
  reading.open(welcome ?? [], addressesHere(parts));
  await Promise.race([mentionBlocked(bus), stop.requested]);
  const hosts = scope.own(HostWatch.follow(bus));
  const dryRun = new DryRunNotice(flags.host && new Set(flags.host));
  const look = () => {
    for (const text of dryRun.next(hosts.live)) complain(text);
    poll(parts);
  };
  look();
  const timer = setInterval(look, POLL_MS);
  scope.own({ close: () => clearInterval(timer) });
}

/** Who is blocked already makes no rows, and would be missed without a word. */
async function mentionBlocked(bus: Bus): Promise<void> {
  const count = await countBlocked(bus);
  if (count === 0) return;
  const verb = count === 1 ? "is" : "are";
  complain(`${counted(count, "source")} ${verb} blocked already; 'packetwatch blocked' lists them`);
}

/** None where the list can't be read: tail has no need of it. */
async function countBlocked(bus: Bus): Promise<number> {
  const list = () => readBlockList({ bus, timeoutMs: LIST_TIMEOUT_MS, nowUs: nowUs() });
  return (await orWithout(list, [])).length;
}

type SubscriberParts = Pick<TailParts, "reading" | "stop" | "scope"> & { readonly bus: Bus };

/** Subscribes without replay; ends the command at the limit, or when NATS refuses. */
function subscriber({ bus, reading, stop, scope }: SubscriberParts) {
  return (subject: string, onPayload: (payload: Uint8Array) => void): void => {
    const subscription = bus.connection.subscribe(subject, {
      callback: (error, message) => {
        if (error) return stop.fail(refused(subject, error));
        if (!reading.isOpen) return;
        onPayload(message.data);
        if (reading.isDone) stop.now();
      },
    });
    scope.own({ close: () => subscription.unsubscribe() });
  };
}

function refused(subject: string, cause: Error): CliError {
  const detail = `subscribe to ${subject}: ${cause.message}; the NATS user needs permission for it`;
  return new CliError("SUBSCRIPTION", detail, { cause });
}

function poll(parts: TailParts): void {
  const { reading, stop } = parts;
  const timeUs = nowUs();
  reading.expire(timeUs);
  reading.ownAddresses(addressesHere(parts), timeUs);
  if (reading.isDone) stop.now();
}

/** None where they may be blocked, or where what is watched is elsewhere. */
function addressesHere({ config, interfaces }: TailParts): readonly string[] {
  return config.whitelistSelf ? ownAddresses(networkInterfaces(), interfaces) : [];
}

type EndParts = {
  readonly scope: Scope;
  readonly output: OutputQueue;
  readonly reading: Tail;
};

/** Neither a server that hangs nor, after a signal, a reader that is stuck holds up the end. */
async function endTail({ scope, output, reading }: EndParts): Promise<void> {
  await atMost(DRAIN_TIMEOUT_MS, scope.close());
  await unlessSignalled(output.drained(), DRAIN_TIMEOUT_MS);
  const rejected = reading.rejections.describe();
  if (rejected !== undefined) complain(rejected);
}

async function atMost(timeoutMs: number, task: Promise<void>): Promise<void> {
  await Promise.race([task, new Promise((resolve) => setTimeout(resolve, timeoutMs).unref())]);
}

function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

function nowUs(): number {
  return Date.now() * 1000;
}
