import { rmSync } from "node:fs";
import type { Cleanup } from "../support/cleanup.ts";
import { ComposeStack } from "../support/compose-stack.ts";
import { waitUntil } from "../support/eventually.ts";
import { freePort } from "../support/nats.ts";
import { here } from "../support/network-namespace.ts";
import { startNginx } from "../support/nginx.ts";
import { PinnedPacketwatch } from "../support/pinned-packetwatch.ts";
import { visit } from "../support/visit.ts";
import { createWatchedLink, PREFIX, type WatchedLink } from "./watched-link.ts";

export const OPEN_PORT = 8086;
export const PIN_DIR = `/sys/fs/bpf/${PREFIX}`;
export const BLOCK_TIMEOUT_MS = 30_000;
const CLOSED_PORTS = [1, 2, 3] as const;

type Parts = {
  readonly stack: ComposeStack;
  readonly link: WatchedLink;
  readonly natsUrl: string;
  readonly metricsUrl: string;
};

/** A stack that is not started yet, the link that it watches, and a server on it. */
export class StackSite {
  readonly stack: ComposeStack;
  readonly link: WatchedLink;
  readonly natsUrl: string;
  readonly metricsUrl: string;
  #used = 0;

  private constructor({ stack, link, natsUrl, metricsUrl }: Parts) {
    this.stack = stack;
    this.link = link;
    this.natsUrl = natsUrl;
    this.metricsUrl = metricsUrl;
  }

  static async create(cleanup: Cleanup, settings: Readonly<Record<string, string>> = {}) {
    const link = createWatchedLink("a", "198.18.7", cleanup);
    const [natsPort, metricsPort] = [await freePort(), await freePort()];
    const stack = new ComposeStack({
      project: PREFIX,
      settings: {
        PW_IFDEV: link.interfaceName,
        PW_PIN_DIR: PIN_DIR,
        PW_NATS_PORT: String(natsPort),
        PW_PROMETHEUS_PORT: String(metricsPort),
        ...settings,
      },
    });
    cleanup.defer(() => rmSync(PIN_DIR, { recursive: true, force: true }));
    cleanup.defer(() => stack.remove());
    cleanup.own(await startNginx({ namespace: here, ports: [OPEN_PORT], answer: "pong" }));
    const natsUrl = `nats://127.0.0.1:${natsPort}`;
    return new StackSite({ stack, link, natsUrl, metricsUrl: `http://127.0.0.1:${metricsPort}` });
  }

  newSource(): string {
    const source = this.link.sources[this.#used++];
    if (source === undefined) throw new Error("the link has no source left");
    return source;
  }

  visitFrom(source: string, port: number = OPEN_PORT) {
    return visit({ from: this.link.visitor, source, address: this.link.address, port });
  }

  /** Attempts on closed ports, as many as make a scanner. */
  async scan(source: string): Promise<void> {
    for (const port of CLOSED_PORTS) await this.visitFrom(source, port);
  }

  /** The caller closes it. */
  openPins(): PinnedPacketwatch {
    return new PinnedPacketwatch(`${PIN_DIR}/${this.link.interfaceName}`);
  }

  async untilBlocked(source: string): Promise<void> {
    const pinned = this.openPins();
    const waitOptions = { timeoutMs: BLOCK_TIMEOUT_MS, what: `${source} to be blocked` };
    try {
      await waitUntil(() => pinned.maps.blockOf(source), waitOptions);
    } finally {
      pinned.close();
    }
  }

  async addBlockedSource(): Promise<string> {
    const source = this.newSource();
    await this.scan(source);
    await this.untilBlocked(source);
    return source;
  }
}
