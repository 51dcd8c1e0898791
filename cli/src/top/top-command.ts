/** `packetwatch top`: the sources with the most connection attempts, as they come. */
import { isatty } from "node:tty";
import { type Environment, environment, loadConfig } from "@packetwatch/config";
import { createSynEvent, subjects, SynBatch } from "@packetwatch/contracts";
import { cutToSourceKey } from "@packetwatch/detection";
import { sourceMaskWords } from "@packetwatch/net";
import { Scope } from "@packetwatch/runtime";
import { type Command, Option } from "commander";
import { CliError } from "../cli-error.ts";
import { connectCli } from "../connect-cli.ts";
import { durationArgument, formatDuration } from "../duration.ts";
import { jsonOption, parseCount, timeoutOption } from "../options.ts";
import { jsonText } from "../printable.ts";
import { catchStopSignals, isStop, type Stop } from "../stop-signals.ts";
import { Rejections } from "../tail/rejections.ts";
import { complain, print } from "../terminal.ts";
import { HeavyHitters, type SortKey, sortKeys } from "./heavy-hitters.ts";
import { jsonTop, renderTop } from "./render-top.ts";

const DEFAULT_INTERVAL_SECONDS = 2;
const DEFAULT_ROWS = 20;
/** Hosts that are told apart. */
const MAX_HOSTS = 65_536;
/** Home, and clear what is below: what was drawn is drawn over, without flicker. */
const REDRAW = "\u001b[H\u001b[J";
const UNKNOWN_ROWS = 24;
const CTRL_C = "\u0003";

type TopFlags = {
  readonly sort: SortKey;
  readonly interval: number;
  readonly limit: number;
  readonly once?: true;
  readonly timeout: number;
  readonly json?: true;
};

export function topCommand(program: Command, from: Environment = environment): void {
  program
    .command("top")
    .description("show the sources with the most connection attempts, as they come")
    .addOption(
      new Option("--sort <key>", "what comes first").choices(sortKeys).default(sortKeys[0]),
    )
    .addOption(
      new Option("--interval <time>", "the time between two tables, and of the rates")
        .argParser(durationArgument)
        .default(DEFAULT_INTERVAL_SECONDS, `${DEFAULT_INTERVAL_SECONDS}s`),
    )
    .addOption(
      new Option("--limit <rows>", "so many sources").argParser(parseCount).default(DEFAULT_ROWS),
    )
    .option("--once", "end after the first table")
    .addOption(timeoutOption())
    .addOption(jsonOption())
    .addHelpText("after", topHelp)
    .action((flags: TopFlags) => top(flags, from));
}

const topHelp = `
On a terminal the table is redrawn: q ends it; r, t, p, d and l sort by rate,
total, ports, destinations, or the last attempt. Elsewhere tables follow one
another, and with --json objects, one a line.

Attempts that kernels drop are not in it: 'packetwatch blocked' counts those.
Counts begin with the command. Up to 8192 sources are counted exactly; beyond
that the smallest leave, and the table says by how much a total may be too low.

Examples:
  packetwatch top
  packetwatch top --sort ports --limit 50
  packetwatch top --once --interval 10s --json | jq '.top[0]'
`;

/** What the keys of a terminal change. */
type View = { sort: SortKey };

type TopParts = {
  readonly flags: TopFlags;
  readonly stop: Stop;
  readonly scope: Scope;
  readonly view: View;
};

async function top(flags: TopFlags, from: Environment): Promise<void> {
  const config = loadConfig("cli", from);
  const stop = catchStopSignals();
  const scope = new Scope();
  const parts = { flags, stop, scope, view: { sort: flags.sort } };
  const counts = new AttemptCounts();
  try {
    const bus = scope.own(
      await connectCli({
        config,
        name: `packetwatch top on ${config.host}`,
        timeoutMs: flags.timeout * 1000,
        signal: stop.signal,
        onLost: stop.fail,
      }),
    );
    const subscription = bus.connection.subscribe(subjects.everySyn, {
      callback: (error, message) => {
        if (error) stop.fail(refused(error));
        else counts.take(message.data);
      },
    });
    scope.own({ close: () => subscription.unsubscribe() });
    await bus.connection.flush();
    show(counts, parts);
    await stop.requested;
  } catch (error) {
    if (!isStop(error, stop)) throw error;
  } finally {
    await scope.close();
  }
  const rejected = counts.rejections.describe();
  if (rejected !== undefined) complain(rejected);
}

function refused(cause: Error): CliError {
  const detail = `subscribe to ${subjects.everySyn}: ${cause.message}; the NATS user needs permission for it`;
  return new CliError("SUBSCRIPTION", detail, { cause });
}

class AttemptCounts {
  readonly hitters = new HeavyHitters();
  readonly hosts = new Set<string>();
  readonly rejections = new Rejections();
  readonly #event = createSynEvent();

  take(payload: Uint8Array): void {
    const batch = this.rejections.orCount(() => new SynBatch(payload));
    if (batch === undefined) return;
    if (this.hosts.size < MAX_HOSTS) this.hosts.add(batch.header.host);
    const mask = sourceMaskWords(batch.header.ipv6SourceBits);
    for (let index = 0; index < batch.count; index++) {
      batch.read(index, this.#event);
      cutToSourceKey(this.#event, mask);
      this.hitters.add(this.#event);
    }
  }
}

/** A table at each interval, and on a terminal at each key. */
function show(counts: AttemptCounts, { flags, stop, scope, view }: TopParts): void {
  const isTerminal = isatty(process.stdout.fd) && flags.json === undefined;
  let startMs = performance.now();
  const draw = () => {
    const snapshot = {
      hitters: counts.hitters,
      hosts: counts.hosts.size,
      seconds: Math.max(0.001, (performance.now() - startMs) / 1000),
      nowUs: Date.now() * 1000,
      sort: view.sort,
      limit: isTerminal ? Math.min(flags.limit, rowsOfTerminal()) : flags.limit,
    };
    if (flags.json) print(jsonText(jsonTop(snapshot)));
    else if (isTerminal) process.stdout.write(`${REDRAW}${renderTop(snapshot)}\n`);
    else print(`${renderTop(snapshot)}\n`);
  };
  const timer = setInterval(() => {
    draw();
    if (flags.once) return stop.now();
    counts.hitters.next();
    startMs = performance.now();
  }, flags.interval * 1000);
  scope.own({ close: () => clearInterval(timer) });
  if (!isTerminal || flags.once) return;
  // Rates of the first moments would mean nothing.
  print(`${REDRAW}counting; the first table comes in ${formatDuration(flags.interval)}`);
  followKeys({ stop, scope, view, draw });
}

/** What fits beside the lines around the table. A terminal that doesn't know its size says 0. */
function rowsOfTerminal(): number {
  return Math.max(1, (process.stdout.rows || UNKNOWN_ROWS) - 6);
}

type Keys = Pick<TopParts, "stop" | "scope" | "view"> & { readonly draw: () => void };

function followKeys({ stop, scope, view, draw }: Keys): void {
  const { stdin } = process;
  if (!stdin.isTTY) return;
  stdin.setRawMode(true);
  // Keys that are pressed quickly come together.
  const onKeys = (keys: Buffer) => {
    for (const key of keys.toString()) onKey(key);
  };
  const onKey = (key: string) => {
    if (key === "q" || key === CTRL_C) return stop.now();
    const sort = sortKeys.find((name) => name.startsWith(key));
    if (sort === undefined) return;
    view.sort = sort;
    draw();
  };
  stdin.on("data", onKeys);
  scope.own({
    close: () => {
      stdin.off("data", onKeys);
      stdin.setRawMode(false);
      stdin.pause();
    },
  });
}
