/** `packetwatch up` and `packetwatch down`: the native runtime, all services of one host without containers. */
import { realpathSync } from "node:fs";
import { type Environment, environment, loadConfig } from "@packetwatch/config";
import { type Command, Option } from "commander";
import { NativeError } from "./native/native-error.ts";
import { nativeSettings } from "./native/native-settings.ts";
import { type StartOptions, runForeground, startNativeRuntime } from "./native/start.ts";
import { stopNativeRuntime } from "./native/stop.ts";
import { supervise } from "./native/supervise.ts";
import { repositoryFolder } from "./repository-folder.ts";

type UpFlags = {
  readonly detach?: true;
  readonly supervise?: true;
  readonly superviseAttached?: true;
};

export function upCommand(program: Command, from: Environment = environment): void {
  program
    .command("up")
    .description(
      "start NATS and the four services on this host, and print the console table until Ctrl-C",
    )
    .option("-d, --detach", "start them in the background")
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
    .action(async () => {
      requireRoot("down");
      process.exitCode = await stopNativeRuntime(startOptions(from));
    });
}

async function up(flags: UpFlags, from: Environment): Promise<number> {
  const options = startOptions(from);
  if (flags.supervise || flags.superviseAttached) {
    return supervise({ ...options, attached: flags.superviseAttached === true });
  }
  const { runtime } = loadConfig("cli", from);
  if (runtime === "docker")
    throw new NativeError(
      "NOT_NATIVE",
      "start with PW_RUNTIME=docker: 'packetwatch up' starts processes of this host; containers are started by 'make run' or 'docker compose up'",
    );
  process.stdout.write("runtime: native\n");
  requireRoot("up");
  return flags.detach ? startNativeRuntime(options) : runForeground(options);
}

function requireRoot(command: string): void {
  if (process.getuid?.() === 0) return;
  throw new NativeError("NOT_ROOT", `packetwatch ${command}: XDP needs root; run it with sudo`);
}

/** The repository is where the bundle lies: in its build/. */
function startOptions(from: Environment): StartOptions {
  const entry = realpathSync(process.argv[1] ?? "");
  const settings = nativeSettings(repositoryFolder(), from);
  return { settings, entry, say };
}

/** On stderr: stdout is the console table's. */
function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
