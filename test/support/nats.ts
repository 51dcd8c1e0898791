/** A real nats-server for tests. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, connect as openSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitUntil } from "./eventually.ts";
import { canRunContainers, NatsContainer } from "./nats-container.ts";
import { NatsProcess } from "./nats-process.ts";
import type { NatsRun, NatsRunOptions } from "./nats-run.ts";

const READY_TIMEOUT_MS = 10_000;
const PROBE_TIMEOUT_MS = 500;
/** Someone else may take the port between its choice and its use. */
const START_ATTEMPTS = 3;
const MAX_OUTPUT_CHARS = 64 * 1024;

export type NatsOptions = {
  /** Default: one that is free. */
  readonly port?: number;
  /** Added to the command line, such as `["-c", file]`. */
  readonly arguments?: readonly string[];
  /**
   * Default: in a container where an engine answers. `process`: where the server
   * has to be in the network namespace that this process has joined, in which an
   * engine publishes no ports.
   */
  readonly as?: "process";
};

export type RestartOptions = {
  /** "lost": as a new server on the same port. */
  readonly store: "kept" | "lost";
};

/**
 * Starts a nats-server with JetStream on 127.0.0.1, its store in a temporary
 * folder, and waits until it answers: in a container where a Docker Engine is
 * within reach, as a process otherwise. Says once in a process which it is.
 */
export async function startNats(options: NatsOptions = {}): Promise<NatsServer> {
  const isContained = options.as !== "process" && (await canRunContainers());
  const run = isContained
    ? (runOptions: NatsRunOptions) => NatsContainer.start(runOptions)
    : async (runOptions: NatsRunOptions) => new NatsProcess(runOptions);
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort());
    const server = new NatsServer({ run, port, arguments: options.arguments ?? [] });
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
  readonly run: (options: NatsRunOptions) => Promise<NatsRun>;
  readonly port: number;
  readonly arguments: readonly string[];
};

/** One server, which keeps its port from start to stop. Ends only what it started. */
export class NatsServer {
  readonly #settings: ServerSettings;
  readonly #home = mkdtempSync(join(tmpdir(), "packetwatch-nats-"));
  #run: NatsRun | undefined;
  #output = "";

  constructor(settings: ServerSettings) {
    this.#settings = settings;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#settings.port}`;
  }

  /** Undefined in a container. */
  get pid(): number | undefined {
    return this.#run?.pid;
  }

  /** The last part of what the server logged, over all restarts. */
  get output(): string {
    return this.#output;
  }

  async start(): Promise<void> {
    if (this.#run) throw new Error("nats-server is running already");
    mkdirSync(this.#store, { recursive: true });
    const { port, arguments: more } = this.#settings;
    const onOutput = (text: string) => {
      this.#output = (this.#output + text).slice(-MAX_OUTPUT_CHARS);
    };
    const run = await this.#settings.run({ port, store: this.#store, arguments: more, onOutput });
    this.#run = run;
    await waitUntil(() => run.hasEnded || answers(port), {
      timeoutMs: READY_TIMEOUT_MS,
      what: `nats-server to answer on ${this.url}`,
    });
    if (!run.hasEnded) return;
    this.#run = undefined;
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

  /** SIGHUP: it reads its configuration file again. */
  async reload(): Promise<void> {
    await this.#signal("SIGHUP");
  }

  /** Freezes the server: its connections stay open and silent. */
  async pause(): Promise<void> {
    await this.#signal("SIGSTOP");
  }

  async resume(): Promise<void> {
    await this.#signal("SIGCONT");
  }

  /** Copies the store of a stopped server; what it returns puts the copy back. */
  copyStore(): () => void {
    if (this.#run) throw new Error("the store of a running server can't be copied");
    const copy = join(this.#home, "copy");
    cpSync(this.#store, copy, { recursive: true });
    return () => {
      if (this.#run) throw new Error("the store of a running server can't be replaced");
      rmSync(this.#store, { recursive: true, force: true });
      cpSync(copy, this.#store, { recursive: true });
    };
  }

  get #store(): string {
    return join(this.#home, "store");
  }

  async #signal(signal: NodeJS.Signals): Promise<void> {
    if (!this.#run) throw new Error(`nats-server isn't running: no ${signal}`);
    await this.#run.signal(signal);
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const run = this.#run;
    this.#run = undefined;
    await run?.end(signal);
  }
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
