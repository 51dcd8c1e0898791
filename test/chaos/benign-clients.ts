import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { waitUntil, within } from "../support/eventually.ts";
import type { NetworkNamespace } from "../support/network-namespace.ts";
import { WINDOW_SECONDS } from "./scanners.ts";

export type Place = { readonly address: string; readonly port: number };

/** A client that goes from place to place for as long as it lives. */
export type ClientPlan = {
  readonly source: string;
  readonly places: readonly Place[];
  readonly pauseMs: number;
};

export type Listeners = {
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
  /** The same on every address: three. */
  readonly ports: readonly number[];
};

const VISITORS = 10;
const VISITOR_PAUSE_MS = 400;
const HAMMER_PAUSE_MS = 20;
const PATIENT = 4;
/** Two pauses are longer than the window, so that no three ports ever are in it. */
const PATIENT_PAUSE_MS = WINDOW_SECONDS * 600;
const READY_TIMEOUT_MS = 15_000;
/** The last visits may take what they may take. */
const END_TIMEOUT_MS = 30_000;

/** Those who come close to a scan and are none: two ports each, one port over and over, three ports slowly. */
export function planClients({ ipv4, ipv6, ports }: Listeners): readonly ClientPlan[] {
  const placesOf = (addresses: readonly string[], some: readonly number[]) =>
    addresses.flatMap((address) => some.map((port) => ({ address, port })));
  const twoPorts = ports.slice(0, 2);
  const visitors = Array.from({ length: VISITORS }, (_, index) => ({
    source: `198.19.200.${index + 1}`,
    places: placesOf(ipv4, twoPorts),
    pauseMs: VISITOR_PAUSE_MS,
  }));
  const patient = Array.from({ length: PATIENT }, (_, index) => ({
    source: `198.19.201.${index + 1}`,
    places: placesOf(ipv4.slice(index % ipv4.length).slice(0, 1), ports),
    pauseMs: PATIENT_PAUSE_MS,
  }));
  return [
    ...visitors,
    ...patient,
    { source: "fd00:19:200::1", places: placesOf(ipv6, twoPorts), pauseMs: VISITOR_PAUSE_MS },
    {
      source: "198.19.202.1",
      places: placesOf(ipv4.slice(0, 1), ports.slice(0, 1)),
      pauseMs: HAMMER_PAUSE_MS,
    },
  ];
}

export type Visits = { readonly answered: number; readonly failures: readonly string[] };

/** All clients, in one process. */
export class BenignClients {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #closed: Promise<unknown>;
  #output = "";
  #complaints = "";

  constructor(namespace: NetworkNamespace, plans: readonly ClientPlan[]) {
    const program = fileURLToPath(new URL("chaos-clients.js", import.meta.url));
    const command = namespace.commandLine(process.execPath, [program, JSON.stringify(plans)]);
    this.#child = spawn(...command, { stdio: "pipe" });
    const { stdout, stderr } = this.#child;
    stdout.on("data", (chunk: Buffer) => (this.#output += chunk.toString()));
    stderr.on("data", (chunk: Buffer) => (this.#complaints += chunk.toString()));
    this.#closed = once(this.#child, "close");
  }

  async ready(): Promise<void> {
    await waitUntil(() => this.#output.startsWith("ready\n"), {
      timeoutMs: READY_TIMEOUT_MS,
      what: "the clients to begin",
    });
  }

  /** Lets everybody finish, and says how it went. */
  async conclude(): Promise<Visits> {
    this.#child.stdin.end();
    await within(this.#closed, { timeoutMs: END_TIMEOUT_MS, what: "the clients to finish" });
    const [, ...lines] = this.#output.trimEnd().split("\n");
    const answered = Number(lines.pop());
    if (!(answered > 0)) throw new Error(`the clients broke down: ${this.#complaints}`);
    return { answered, failures: lines };
  }

  async close(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }
}
