/** A real nats-server for tests. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  accessSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { createServer, connect as openSocket } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { waitUntil } from "./eventually.ts";

/** Names the binary; in place of the one that `make setup` leaves, or of the one on PATH. */
const BINARY_VARIABLE = "PW_NATS_SERVER";
const FETCHED_BINARY = fileURLToPath(new URL("../../.tools/bin/nats-server", import.meta.url));
/** Per-message TTL came with it. */
const OLDEST = [2, 11] as const;

const READY_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 10_000;
const PROBE_TIMEOUT_MS = 500;
/** Someone else may take the port between its choice and its use. */
const START_ATTEMPTS = 3;
const MAX_OUTPUT_CHARS = 64 * 1024;

export type NatsOptions = {
  /** Default: one that is free. */
  readonly port?: number;
  /** Added to the command line, such as `["-c", file]`. */
  readonly arguments?: readonly string[];
};

export type RestartOptions = {
  /** "lost": as a new server on the same port. */
  readonly store: "kept" | "lost";
};

/**
 * Starts a nats-server with JetStream on 127.0.0.1, its store in a temporary
 * folder, and waits until it answers. Throws when there is no binary: the
 * tests need a real server.
 */
export async function startNats(options: NatsOptions = {}): Promise<NatsServer> {
  const binary = findBinary();
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    const server = new NatsServer({ binary, port, arguments: options.arguments ?? [] });
    try {
      await server.start();
      return server;
    } catch (error) {
      await server.stop();
      if (attempt === START_ATTEMPTS || options.port !== undefined) throw error;
    }
  }
}

type ServerSettings = {
  readonly binary: string;
  readonly port: number;
  readonly arguments: readonly string[];
};

/** One server, which keeps its port from start to stop. Ends only the process it started. */
export class NatsServer {
  readonly #settings: ServerSettings;
  readonly #home = mkdtempSync(join(tmpdir(), "packetwatch-nats-"));
  #child: ChildProcess | undefined;
  #output = "";

  constructor(settings: ServerSettings) {
    this.#settings = settings;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#settings.port}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** The last part of what the server logged, over all restarts. */
  get output(): string {
    return this.#output;
  }

  async start(): Promise<void> {
    if (this.#child) throw new Error(`nats-server is running already (pid ${this.#child.pid})`);
    mkdirSync(this.#store, { recursive: true });
    const child = this.#spawn();
    this.#child = child;
    await waitUntil(() => hasEnded(child) || answers(this.#settings.port), {
      timeoutMs: READY_TIMEOUT_MS,
      what: `nats-server to answer on ${this.url}`,
    });
    if (!hasEnded(child)) return;
    this.#child = undefined;
    throw new Error(`nats-server ended at start:\n${this.#output}`);
  }

  /** Ends the server in good order and removes its store. Stopping twice is harmless. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
    rmSync(this.#home, { recursive: true, force: true });
  }

  /** SIGTERM, and a start on the same port. A memory stream is lost in either case. */
  async restart({ store }: RestartOptions): Promise<void> {
    await this.#end("SIGTERM");
    if (store === "lost") rmSync(this.#store, { recursive: true, force: true });
    await this.start();
  }

  /** SIGTERM without removing the store; start() goes on with it. */
  async shutDown(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** SIGKILL: no good-bye, the store as it happens to be; start() goes on with it. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** Freezes the server: its connections stay open and silent. Returns when the last of its threads has stopped. */
  pause(): void {
    this.#signal("SIGSTOP");
    const deadlineMs = performance.now() + STOP_TIMEOUT_MS;
    while (!isStopped(this.#child?.pid ?? 0)) {
      if (performance.now() > deadlineMs) throw new Error("nats-server was not stopped in time");
    }
  }

  resume(): void {
    this.#signal("SIGCONT");
  }

  /** Copies the store of a stopped server; what it returns puts the copy back. */
  copyStore(): () => void {
    if (this.#child) throw new Error("the store of a running server can't be copied");
    const copy = join(this.#home, "copy");
    cpSync(this.#store, copy, { recursive: true });
    return () => {
      if (this.#child) throw new Error("the store of a running server can't be replaced");
      rmSync(this.#store, { recursive: true, force: true });
      cpSync(copy, this.#store, { recursive: true });
    };
  }

  get #store(): string {
    return join(this.#home, "store");
  }

  #spawn(): ChildProcess {
    const { binary, port, arguments: more } = this.#settings;
    const args = ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", this.#store, ...more];
    const child = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"] });
    const keep = (chunk: Buffer) => {
      this.#output = (this.#output + chunk.toString()).slice(-MAX_OUTPUT_CHARS);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.on("error", (error) => keep(Buffer.from(`${error.message}\n`)));
    endWithThisProcess(child);
    return child;
  }

  #signal(signal: NodeJS.Signals): void {
    if (!this.#child?.kill(signal)) throw new Error(`nats-server isn't running: no ${signal}`);
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || hasEnded(child)) return;
    // A frozen process takes no SIGTERM.
    child.kill("SIGCONT");
    child.kill(signal);
    if (await endsWithin(child, STOP_TIMEOUT_MS)) return;
    child.kill("SIGKILL");
    if (await endsWithin(child, STOP_TIMEOUT_MS)) return;
    throw new Error(`nats-server (pid ${child.pid}) did not end:\n${this.#output}`);
  }
}

/** A test run that is cut short leaves no server behind. */
function endWithThisProcess(child: ChildProcess): void {
  const end = () => child.kill("SIGKILL");
  process.once("exit", end);
  child.once("exit", () => process.off("exit", end));
}

async function endsWithin(child: ChildProcess, timeoutMs: number): Promise<boolean> {
  const what = `nats-server (pid ${child.pid}) to end`;
  return waitUntil(() => hasEnded(child), { timeoutMs, what }).then(
    () => true,
    () => false,
  );
}

/** On a machine that others use too, a thread may answer a little longer after the signal. */
function isStopped(pid: number): boolean {
  const tasks = readdirSync(`/proc/${pid}/task`);
  return tasks.every((task) => {
    const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).startsWith("T");
  });
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

/** A NATS server greets each connection with its INFO. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = openSocket({ host: "127.0.0.1", port });
    const finish = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.setTimeout(PROBE_TIMEOUT_MS, () => finish(false));
    socket.once("error", () => finish(false));
    socket.once("data", (greeting) => finish(greeting.toString().startsWith("INFO ")));
  });
}

/** A port that nobody listens on right now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => {
        if (address === null || typeof address === "string") reject(new Error("no port"));
        else resolve(address.port);
      });
    });
  });
}

/** The first of these that is there and new enough; says once in a process which it is. */
function findBinary(): string {
  const named = process.env[BINARY_VARIABLE];
  const candidates = named ? [named] : [FETCHED_BINARY, ...onPath("nats-server")];
  for (const binary of candidates.filter(isExecutable)) {
    const version = versionOf(binary);
    if (!isNewEnough(version)) continue;
    announce(`nats-server ${version.join(".")} (${binary})`);
    return binary;
  }
  throw new Error(
    `no nats-server >= ${OLDEST.join(".")} (looked at: ${candidates.join(", ")}): run 'make setup', ` +
      `or name one in ${BINARY_VARIABLE}`,
  );
}

function onPath(program: string): string[] {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, program)).filter((file) => existsSync(file));
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function versionOf(binary: string): number[] {
  const printed = execFileSync(binary, ["--version"], { encoding: "utf8" });
  const match = /v(\d+)\.(\d+)\.(\d+)/.exec(printed);
  return match ? match.slice(1).map(Number) : [0, 0, 0];
}

function isNewEnough([major = 0, minor = 0]: readonly number[]): boolean {
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

const announced = new Set<string>();

function announce(line: string): void {
  if (announced.has(line)) return;
  announced.add(line);
  process.stderr.write(`${line}\n`);
}
