/** A nats-server in a container, from the image that the stack's is made of. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, isAbsolute } from "node:path";
import {
  GenericContainer,
  getContainerRuntimeClient,
  type StartedTestContainer,
  Wait,
} from "testcontainers";
import { announce } from "./announce.ts";
import type { NatsRun, NatsRunOptions } from "./nats-run.ts";

const DOCKERFILE = new URL("../../Dockerfile", import.meta.url);
const DEFAULT_SOCKET = "/var/run/docker.sock";
const STORE = "/store";
const CLIENT_PORT = 4222;
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;

/** Whether an engine answers; says once in a process that servers run on it. */
export async function canRunContainers(): Promise<boolean> {
  if (process.env["DOCKER_HOST"] === undefined && !existsSync(DEFAULT_SOCKET)) return false;
  try {
    const { info } = await getContainerRuntimeClient();
    const version = String(info.containerRuntime.serverVersion);
    announce(`nats-server in containers of ${natsImage()} (Docker Engine ${version})`);
    return true;
  } catch (error) {
    announce(`no containers: ${(error as Error).message}`);
    return false;
  }
}

/** As the Dockerfile names it. */
function natsImage(): string {
  const [, image] = /^ARG NATS_IMAGE=(.+)$/m.exec(readFileSync(DOCKERFILE, "utf8")) ?? [];
  if (image === undefined) throw new Error("the Dockerfile names no NATS_IMAGE");
  return image;
}

export class NatsContainer implements NatsRun {
  readonly pid = undefined;
  readonly #container: StartedTestContainer;
  #hasEnded = false;

  private constructor(container: StartedTestContainer) {
    this.#container = container;
  }

  /** Resolves when the server is ready. */
  static async start({
    port,
    store,
    arguments: more,
    onOutput,
  }: NatsRunOptions): Promise<NatsContainer> {
    const listen = ["-a", "0.0.0.0", "-p", String(CLIENT_PORT), "-js", "-sd", STORE];
    const container = await new GenericContainer(natsImage())
      .withCommand(["nats-server", ...listen, ...more])
      .withExposedPorts({ container: CLIENT_PORT, host: port })
      .withBindMounts([{ source: store, target: STORE, mode: "rw" }, ...mountsOf(more)])
      .withLogConsumer((stream) =>
        stream.on("data", (chunk: Buffer | string) => onOutput(String(chunk))),
      )
      .withWaitStrategy(Wait.forLogMessage("Server is ready"))
      .withStartupTimeout(START_TIMEOUT_MS)
      .start();
    return new NatsContainer(container);
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  async signal(signal: NodeJS.Signals): Promise<void> {
    await (await this.#handle()).kill({ signal });
  }

  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    // A frozen process takes no SIGTERM.
    await this.signal("SIGCONT");
    if (signal === "SIGTERM") await this.#container.stop({ timeout: STOP_TIMEOUT_MS });
    else await (await this.#handle()).remove({ force: true, v: true });
  }

  async #handle() {
    const { container } = await getContainerRuntimeClient();
    return container.getById(this.#container.getId());
  }
}

/** The folders of the files that the command line names, each at its own path. */
function mountsOf(args: readonly string[]) {
  const files = args.map((arg) => arg.replace(/^--?\w+=/, "")).filter((arg) => isAbsolute(arg));
  const folders = new Set(files.filter((file) => existsSync(file)).map((file) => dirname(file)));
  return [...folders].map((folder) => ({ source: folder, target: folder, mode: "ro" as const }));
}
