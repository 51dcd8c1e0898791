import { type ChildProcessByStdio, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { waitUntil, within } from "./eventually.ts";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
const COMPOSE_FILE = join(REPOSITORY, "docker-compose.yml");
const COMMAND_TIMEOUT_MS = 240_000;
const MAX_OUTPUT_BYTES = 16 * 1024 ** 2;
const HEALTHY_TIMEOUT_MS = 60_000;

export type Ended = { readonly code: number; readonly output: string };

export type ContainerFacts = {
  readonly Id: string;
  readonly RestartCount: number;
  readonly Config: { readonly User: string };
  readonly State: { readonly Status: string; readonly Health?: { readonly Status: string } };
  readonly HostConfig: {
    readonly Privileged: boolean;
    readonly ReadonlyRootfs: boolean;
    readonly CapAdd: readonly string[] | null;
    readonly CapDrop: readonly string[] | null;
    readonly NetworkMode: string;
    readonly Memory: number;
    readonly LogConfig: {
      readonly Type: string;
      readonly Config: Readonly<Record<string, string>>;
    };
  };
};

export type ComposeStackOptions = {
  readonly project: string;
  readonly settings: Readonly<Record<string, string>>;
};

/** docker-compose.yml under a project name of its own, with settings of its own. */
export class ComposeStack {
  readonly #project: string;
  readonly #environment: Readonly<Record<string, string | undefined>>;
  readonly #overrides = mkdtempSync(join(tmpdir(), "packetwatch-compose-"));

  constructor({ project, settings }: ComposeStackOptions) {
    this.#project = project;
    this.#environment = { ...withoutVariables(process.env), ...settings };
  }

  /** Runs `docker compose` to its end; throws with what it printed where it fails. */
  async compose(...args: readonly string[]): Promise<string> {
    const { code, output } = await this.attempt([], ...args);
    if (code !== 0) throw new Error(`docker compose ${args.join(" ")}: ${code}\n${output}`);
    return output;
  }

  /** The same with a further file, and without judging the end. */
  attempt(files: readonly string[], ...args: readonly string[]): Promise<Ended> {
    const all = [COMPOSE_FILE, ...files].flatMap((file) => ["--file", file]);
    return docker(
      ["compose", "--project-name", this.#project, "--progress", "quiet", ...all, ...args],
      this.#environment,
    );
  }

  /** Begins a verb of make in containers. */
  startMake(verb: string, settings: Readonly<Record<string, string>> = {}): MakeVerb {
    const own = { PW_RUNTIME: "docker", COMPOSE_PROJECT_NAME: this.#project };
    return new MakeVerb(verb, { ...this.#environment, ...own, ...settings });
  }

  /** Starts what isn't running, and waits until all are healthy. */
  async up(...args: readonly string[]): Promise<void> {
    await this.compose("up", "--detach", "--wait", ...args);
  }

  /** Runs a service by itself, to its end, with these capabilities in place of its own. */
  runWith(
    service: string,
    capabilities: readonly string[],
    settings: Readonly<Record<string, string>>,
  ): Promise<Ended> {
    const file = join(this.#overrides, `${service}-${capabilities.join("-")}.yml`);
    const list = `!override ${JSON.stringify(capabilities)}`;
    writeFileSync(file, `services: { ${service}: { cap_add: ${list} } }\n`);
    const environment = Object.entries(settings).flatMap(([name, value]) => [
      "--env",
      `${name}=${value}`,
    ]);
    return this.attempt([file], "run", "--rm", "--no-deps", "-T", ...environment, service);
  }

  /** Runs a command where all keys are, as root. */
  inKeys(...command: readonly string[]): Promise<string> {
    return this.compose("run", "--rm", "--no-deps", "-T", "keys", ...command);
  }

  /** The seed of a key, such as a role's own, in a file for its owner alone. */
  async seedFile(name: string): Promise<string> {
    const file = join(this.#overrides, `${name}.nk`);
    writeFileSync(file, await this.inKeys("cat", `/keys/${name}/user.nk`), { mode: 0o600 });
    return file;
  }

  async inspect(service: string): Promise<readonly ContainerFacts[]> {
    const ids = (await this.compose("ps", "--all", "--quiet", service)).split("\n").filter(Boolean);
    const { output } = await docker(["inspect", ...ids]);
    return JSON.parse(output) as ContainerFacts[];
  }

  /** /proc/1/status of the service's process, by field. */
  async status(service: string): Promise<ReadonlyMap<string, string>> {
    const status = await this.compose("exec", "-T", service, "cat", "/proc/1/status");
    const lines = status.split("\n").map((line) => line.split(":\t") as [string, string]);
    return new Map(lines);
  }

  /** `docker kill`: SIGKILL, after which the engine doesn't start it again. */
  async kill(service: string): Promise<void> {
    const containers = await this.inspect(service);
    await docker(["kill", ...containers.map(({ Id }) => Id)]);
  }

  /** SIGKILL to the process itself, as when it crashes, after which the engine starts it again. */
  async crash(service: string): Promise<void> {
    const [container] = await this.inspect(service);
    if (!container) throw new Error(`${service} has no container`);
    process.kill(firstProcessOf(container.Id), "SIGKILL");
    const isBack = async () => {
      const [now] = await this.inspect(service);
      return (
        now !== undefined &&
        now.RestartCount > container.RestartCount &&
        now.State.Health?.Status === "healthy"
      );
    };
    const what = `${service} to be back and healthy`;
    await waitUntil(isBack, { timeoutMs: HEALTHY_TIMEOUT_MS, what });
  }

  logs(service: string): Promise<string> {
    return this.compose("logs", "--no-color", "--no-log-prefix", service);
  }

  /** What `make stop` does, and the volumes too. */
  async down(): Promise<void> {
    await this.compose("stop", "capture", "enforcer");
    await this.compose(
      "run",
      "--rm",
      "--no-deps",
      "-T",
      "capture",
      "packetwatch",
      "detach",
      "--all",
    );
    await this.remove();
  }

  /** Removes containers, network and volumes, whatever state they are in. */
  async remove(): Promise<void> {
    await this.compose(
      "--profile",
      "*",
      "down",
      "--volumes",
      "--remove-orphans",
      "--timeout",
      "20",
    );
    rmSync(this.#overrides, { recursive: true, force: true });
  }
}

/** A verb of make, as if typed at a terminal that has no screen. */
export class MakeVerb {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #closed: Promise<unknown>;
  #output = "";

  constructor(verb: string, environment: NodeJS.ProcessEnv) {
    this.#child = spawn("make", [verb], {
      cwd: REPOSITORY,
      env: environment,
      stdio: ["pipe", "pipe", "pipe"],
      // A group of its own, as a terminal gives to what is typed: Ctrl-C goes to all of it.
      detached: true,
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.on("data", (chunk: Buffer) => (this.#output += chunk.toString()));
    }
    this.#closed = once(this.#child, "close");
  }

  /** What it has printed so far. */
  get output(): string {
    return this.#output;
  }

  /** Waits until it prints this; throws with all that it printed where it ends before. */
  async printed(text: string | RegExp): Promise<void> {
    const isPrinted = () => this.#output.search(text) >= 0;
    const hasEnded = () => this.#child.exitCode !== null || this.#child.signalCode !== null;
    const what = `make to print ${text}`;
    await waitUntil(() => isPrinted() || hasEnded(), { timeoutMs: COMMAND_TIMEOUT_MS, what });
    if (!isPrinted()) throw new Error(`make ended before it printed ${text}:\n${this.#output}`);
  }

  /** Gives it this to read, and waits for its end; throws where it fails. */
  async end(input = ""): Promise<string> {
    this.#child.stdin.end(input);
    await within(this.#closed, { timeoutMs: COMMAND_TIMEOUT_MS, what: "make to end" });
    if (this.#child.exitCode === 0) return this.#output;
    throw new Error(`make ended with ${this.#child.exitCode}:\n${this.#output}`);
  }

  /** Ctrl-C, and its end. */
  async interrupt(): Promise<void> {
    process.kill(-(this.#child.pid as number), "SIGINT");
    await within(this.#closed, { timeoutMs: COMMAND_TIMEOUT_MS, what: "make to end" });
  }
}

/** Runs the docker client to its end. */
export function docker(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<Ended> {
  const options = { env: environment, timeout: COMMAND_TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES };
  return new Promise((resolve) => {
    execFile("docker", [...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : Number(error.code ?? 1);
      resolve({ code, output: code === 0 ? stdout : stdout + stderr });
    });
  });
}

/** Settings of whoever runs the tests are none of the stack's. */
function withoutVariables(from: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(from).filter(([name]) => !name.startsWith("PW_")));
}

/** Of a container, by its id, in this process's numbering: the engine may have another. */
function firstProcessOf(containerId: string): number {
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    const { cgroup, status } = readProcess(name);
    if (!cgroup.includes(containerId)) continue;
    const numbers = /^NSpid:\s*(.+)$/m.exec(status)?.[1]?.split(/\s+/) ?? [];
    if (numbers.at(-1) === "1") return Number(name);
  }
  throw new Error(`no process of container ${containerId}`);
}

function readProcess(pid: string): { readonly cgroup: string; readonly status: string } {
  try {
    return {
      cgroup: readFileSync(`/proc/${pid}/cgroup`, "utf8"),
      status: readFileSync(`/proc/${pid}/status`, "utf8"),
    };
  } catch {
    // It has ended meanwhile.
    return { cgroup: "", status: "" };
  }
}
