/** `packetwatch up` and `packetwatch down`: the native runtime, all services of one host without containers. */
import { realpathSync } from "node:fs";
import { type Environment, environment, loadConfig } from "@packetwatch/config";
import { type Command, Option } from "commander";
import { NativeError } from "./native/native-error.ts";
import { nativeSettings } from "./native/native-settings.ts";
import { type StartOptions, runForeground, startNativeRuntime } from "./native/start.ts";
import { describeReport, type RuntimeReport } from "./native/runtime-report.ts";
import { stopNativeRuntime } from "./native/stop.ts";
import { supervise } from "./native/supervise.ts";
import { jsonOption } from "./options.ts";
import { jsonText } from "./printable.ts";
import { repositoryFolder } from "./repository-folder.ts";
import { print } from "./terminal.ts";

type UpFlags = {
  readonly detach?: true;
  readonly supervise?: true;
  readonly superviseAttached?: true;
  readonly json?: true;
};

export function upCommand(program: Command, from: Environment = environment): void {
  program
    .command("up")
    .description(
      "start NATS and the four services on this host, and print the console table until Ctrl-C",
    )
    .option("-d, --detach", "start them in the background")
    .addOption(jsonOption())
    .addHelpText("after", upHelp)
    .addOption(new Option("--supervise").hideHelp())
    .addOption(new Option("--supervise-attached").hideHelp())
    .action(async (flags: UpFlags) => {
      process.exitCode = await up(flags, from);
    });
}

export function downCommand(program: Command, from: Environment = environment): void {
  program
    .command("down")
    .description("stop what 'up' has started, and detach XDP")
    .addOption(jsonOption())
    .addHelpText("after", downHelp)
    .action(async (flags: { readonly json?: true }) => {
      requireRoot("down");
      process.exitCode = await stopNativeRuntime(startOptions(flags, from));
    });
}

const upHelp = `
It needs root. In the background, 'packetwatch tail' shows the table, and
'packetwatch status' whether all is well; logs lie in PW_RUN_DIR. With --json, one
object tells what runs, and the table's rows follow as 'packetwatch tail --json'
prints them.

Examples:
  PW_IFDEV=eth0 packetwatch up              the table until Ctrl-C, which stops everything
  PW_IFDEV=eth0,eth1 packetwatch up -d      in the background, on two interfaces
`;

const downHelp = `
It needs root. What is blocked stays on the list, and is dropped again after the
next 'packetwatch up'.

Examples:
  packetwatch down
`;

async function up(flags: UpFlags, from: Environment): Promise<number> {
  const options = startOptions(flags, from);
  if (flags.supervise || flags.superviseAttached) {
    return supervise({ ...options, attached: flags.superviseAttached === true });
  }
  const { runtime } = loadConfig("cli", from);
  if (runtime === "docker")
    throw new NativeError(
      "NOT_NATIVE",
      "start with PW_RUNTIME=docker: 'packetwatch up' starts processes of this host; containers are started by 'make run' or 'docker compose up'",
    );
  if (!flags.json) print("runtime: native");
  requireRoot("up");
  return flags.detach ? startNativeRuntime(options) : runForeground(options);
}

function requireRoot(command: string): void {
  if (process.getuid?.() === 0) return;
  throw new NativeError("NOT_ROOT", `packetwatch ${command}: XDP needs root; run it with sudo`);
}

/** The repository is where the bundle lies: in its build/. */
function startOptions({ json }: { readonly json?: true }, from: Environment): StartOptions {
  const entry = realpathSync(process.argv[1] ?? "");
  const settings = nativeSettings(repositoryFolder(), from);
  const report = json
    ? (report: RuntimeReport) => print(jsonText(report))
    : (report: RuntimeReport) => say(describeReport(report));
  return { settings, entry, say, report, format: json ? "json" : "table" };
}

/** On stderr: stdout is the console table's. */
function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
