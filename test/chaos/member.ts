import type { FleetService } from "../support/fleet-service.ts";

/** Something that can be disturbed, and is there again afterwards. */
export type Disturbable = {
  kill(): Promise<void>;
  stop(): Promise<void>;
  start(): Promise<void> | void;
  pause(): Promise<void>;
  resume(): Promise<void>;
};

/** A start and its retries, on a machine that has other things to do. */
const READY_TIMEOUT_MS = 60_000;
const KEPT_TAILS = 3;

/** A service through all its lives. */
export class Member implements Disturbable {
  readonly name: string;
  readonly #launch: () => FleetService;
  readonly #lives: FleetService[] = [];
  readonly #badExits: number[] = [];

  constructor(name: string, launch: () => FleetService) {
    this.name = name;
    this.#launch = launch;
  }

  /** Exit codes other than 0 after a SIGTERM. */
  get badExits(): readonly number[] {
    return this.#badExits;
  }

  start(): void {
    this.#lives.push(this.#launch());
    if (this.#lives.length > KEPT_TAILS) this.#lives.shift();
  }

  async ready(): Promise<void> {
    await this.#current.logged("ready", READY_TIMEOUT_MS);
  }

  async kill(): Promise<void> {
    this.requireRunning();
    await this.#current.kill();
  }

  async stop(): Promise<void> {
    this.requireRunning();
    const code = await this.#current.stop();
    // None where the signal came before it could be heard.
    if (code !== null && code !== 0) this.#badExits.push(code);
  }

  async pause(): Promise<void> {
    this.requireRunning();
    this.#current.pause();
  }

  async resume(): Promise<void> {
    this.#current.resume();
  }

  /** Throws where it has ended by itself: nothing that is done to the others is a reason to. */
  requireRunning(): void {
    if (!this.#current.isRunning) throw new Error(`${this.name} ended by itself`);
  }

  /** The ends of the logs of its last lives. */
  get tails(): string {
    return this.#lives.map((life) => `${this.name}, ${life.tail}`).join("\n");
  }

  get #current(): FleetService {
    const current = this.#lives.at(-1);
    if (!current) throw new Error(`${this.name} was never started`);
    return current;
  }
}
