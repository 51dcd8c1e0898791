/** A folder that looks like the repository after `make build`, with stand-ins for the services. */
import { type ChildProcess, spawn } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { bundleProgram } from "../../support/bundle-program.ts";
import { freePort } from "../../support/nats.ts";

export const services = ["capture", "detector", "enforcer", "metrics"] as const;

const used = [".tools", "deploy", "node_modules"];
/** The Makefile looks for sources, whatever its verb. */
const ofMake = ["Makefile", "bench", "cli", "libs", "scripts", "services", "test"];

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));

export type Ended = { readonly code: number | null; readonly output: string };

/** A command that runs, with what it has printed so far. */
export type RunningCommand = {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  output(): string;
};

export class NativeHost {
  readonly folder: string;
  readonly runDir: string;
  readonly natsPort: number;
  readonly #environment: Readonly<Record<string, string>>;

  private constructor(folder: string, natsPort: number) {
    this.folder = folder;
    this.runDir = path.join(folder, ".run");
    this.natsPort = natsPort;
    this.#environment = {
      PATH: process.env["PATH"] ?? "",
      PW_NATS_PORT: String(natsPort),
      PW_IFDEV: "eth7",
      PW_DRAIN_TIMEOUT: "0",
    };
  }

  static async create(): Promise<NativeHost> {
    const folder = mkdtempSync(path.join(tmpdir(), "packetwatch-native-"));
    mkdirSync(path.join(folder, "build"));
    writeFileSync(path.join(folder, "package.json"), '{ "type": "module" }');
    for (const name of [...used, ...ofMake])
      symlinkSync(path.join(repository, name), path.join(folder, name));
    for (const name of services)
      copyFileSync(here("stand-in-service.js"), path.join(folder, "build", `${name}.js`));
    bundleProgram(here("stand-in-command.ts"), path.join(folder, "build/packetwatch.js"));
    return new NativeHost(folder, await freePort());
  }

  start(args: readonly string[], extra: Readonly<Record<string, string>> = {}): RunningCommand {
    const command = path.join(this.folder, "build/packetwatch.js");
    return this.#spawn(process.execPath, [command, ...args], extra);
  }

  /** A verb of make. */
  make(verb: string, extra: Readonly<Record<string, string>> = {}): Promise<Ended> {
    return this.#spawn("make", ["--silent", verb], extra).ended;
  }

  #spawn(
    program: string,
    args: readonly string[],
    extra: Readonly<Record<string, string>>,
  ): RunningCommand {
    const child = spawn(program, args, {
      cwd: this.folder,
      env: { ...this.#environment, ...extra },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    // Not "close": what it leaves behind may hold the pipes.
    const ended = new Promise<Ended>((resolve) =>
      child.once("exit", (code) => resolve({ code, output })),
    );
    return { child, ended, output: () => output };
  }

  run(args: readonly string[], extra: Readonly<Record<string, string>> = {}): Promise<Ended> {
    return this.start(args, extra).ended;
  }

  pid(name: string): number {
    return Number(readFileSync(path.join(this.runDir, `${name}.pid`), "utf8"));
  }

  log(name: string): string {
    return readFileSync(path.join(this.runDir, "log", `${name}.log`), "utf8");
  }

  /** The interfaces that were detached, in order. */
  detached(): readonly string[] {
    return readdirSync(this.folder).includes("detached")
      ? readFileSync(path.join(this.folder, "detached"), "utf8").trim().split("\n")
      : [];
  }

  /** Names of pid files that are left. */
  pidFiles(): readonly string[] {
    return readdirSync(this.runDir).filter((file) => file.endsWith(".pid"));
  }

  /** Command lines of live processes that were started for this folder. */
  liveProcesses(): readonly string[] {
    const commandLines = readdirSync("/proc")
      .filter((entry) => /^\d+$/.test(entry))
      .map(commandLineOf);
    return commandLines.filter((commandLine) => commandLine.includes(this.folder));
  }

  async close(): Promise<void> {
    await this.run(["down"]);
    rmSync(this.folder, { recursive: true });
  }
}

/** Empty for a process that has ended meanwhile. */
function commandLineOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return "";
    throw error;
  }
}
