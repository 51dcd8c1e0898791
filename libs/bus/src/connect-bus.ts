import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { type JetStreamClient, jetstream } from "@nats-io/jetstream";
import { connect, type NatsConnection, PermissionViolationError } from "@nats-io/transport-node";
import { Acknowledgements } from "./acknowledgements.ts";
import { BusError } from "./bus-error.ts";
import { type ConnectFailure, connectFailure } from "./connect-failure.ts";
import type { Logger } from "./logger.ts";
import { accessOptions, type NatsAccess } from "./nats-access.ts";

/** Two tries to connect are this far apart, plus up to the jitter: a fleet must not come back in step. */
const RECONNECT_WAIT_MS = 500;
const RECONNECT_JITTER_MS = 500;
/** A frozen server accepts connections and says nothing; another one may answer. */
const CONNECT_TIMEOUT_MS = 2000;
/** How long an unreachable server stays unmentioned. */
const QUIET_MS = 2000;
/** A connection is tested so often, and given up when two tests were not answered by the time of the third. */
const PING_INTERVAL_MS = 2000;
/** Forbidden subjects that are named in the log. */
const MAX_FORBIDDEN_TOLD = 64;
/** What close() gives a server that doesn't answer. */
const DRAIN_TIMEOUT_MS = 1000;

export type ConnectBusOptions = {
  readonly servers: readonly string[];
  /** Default: no credentials, and TLS where a URL begins with `tls:`. */
  readonly access?: NatsAccess;
  /** The connection's name, as NATS lists it. */
  readonly name: string;
  readonly logger: Logger;
  readonly signal?: AbortSignal;
  /** Called for each try that failed; the next one follows unless the signal aborts. */
  readonly onFailure?: (failure: ConnectFailure) => void;
  /** Called when the bus has become useless for good, without close(): only another one can help. */
  readonly onLost?: (error: BusError) => void;
};

/** A connection to NATS. It outlives the server: only close() ends it, and what `onLost` tells. */
export type Bus = {
  readonly connection: NatsConnection;
  readonly jetstream: JetStreamClient;
  /** What publishAcknowledged() goes through. */
  readonly acknowledgements: Acknowledgements;
  readonly reconnects: () => number;
  readonly isConnected: () => boolean;
  /** Why it isn't connected; undefined: it is. */
  readonly whyNotConnected: () => string | undefined;
  /** Names or addresses of the servers that are configured, or that their cluster has named. */
  readonly serverHosts: () => readonly string[];
  /** The address at the far end of the connection; undefined while there is none. */
  readonly remoteAddress: () => string | undefined;
  /** Calls back after every reconnect; returns what ends that. */
  readonly onReconnect: (listener: () => void) => () => void;
  close(): Promise<void>;
};

/**
 * Connects, and waits for as long as no server is there or lets it in; says so
 * once. Throws the signal's reason, and BusError for a key or certificate file
 * that can't be used.
 */
export async function connectBus(options: ConnectBusOptions): Promise<Bus> {
  accessOptions(options.servers, options.access ?? {}, options.logger);
  const connection = await firstConnection(options);
  keepServers(connection, options.servers);
  return createBus(connection, options);
}

// Not waitOnFirstConnect of nats.js: it can't be aborted, and never says why it waits.
async function firstConnection(options: ConnectBusOptions): Promise<NatsConnection> {
  const mention = mentionOnce(options);
  for (;;) {
    options.signal?.throwIfAborted();
    try {
      return await connectUnlessAborted(options);
    } catch (error) {
      options.signal?.throwIfAborted();
      const failure = connectFailure(error, transportOf(options));
      options.onFailure?.(failure);
      mention(failure);
    }
    const waitMs = RECONNECT_WAIT_MS + Math.random() * RECONNECT_JITTER_MS;
    // An abort ends the wait, and is seen above.
    await Promise.allSettled([delay(waitMs, undefined, signalOption(options))]);
  }
}

/** Once of each kind: who waits for a server may find that it doesn't let him in. */
function mentionOnce({ servers, logger }: ConnectBusOptions): (failure: ConnectFailure) => void {
  const startedMs = performance.now();
  const mentioned = new Set<ConnectFailure["kind"]>();
  return ({ kind, text, variable, cause }) => {
    if (mentioned.has(kind)) return;
    // A server that isn't there may be starting; one that refuses has said so.
    if (kind === "unreachable" && performance.now() - startedMs < QUIET_MS) return;
    mentioned.add(kind);
    logger.warn({ servers: servers.map(hostOf), cause }, `${text}; waiting for it (${variable})`);
  };
}

/** Without the password that a URL may hold. */
function hostOf(server: string): string {
  return new URL(server).host;
}

/** What is asked for; a server may ask for TLS all the same. */
function transportOf({ servers, access }: ConnectBusOptions): "plain" | "tls" {
  const isTls = access?.tls !== undefined || servers.some((server) => server.startsWith("tls:"));
  return isTls ? "tls" : "plain";
}

function hostnameOf(server: string): string {
  return new URL(server).hostname;
}

/** An IPv6 address in a URL stands in brackets. */
function withoutBrackets(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}

function signalOption({ signal }: ConnectBusOptions): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}

/** One try, given up when the signal aborts; a connection that comes after that is closed. */
async function connectUnlessAborted(options: ConnectBusOptions): Promise<NatsConnection> {
  const { signal } = options;
  const connecting = connectOnce(options);
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(signal?.reason as Error);
      connecting.then((connection) => connection.close(), reject);
    };
    signal?.addEventListener("abort", abort, { once: true });
    connecting.then(resolve, reject).finally(() => signal?.removeEventListener("abort", abort));
  });
}

async function connectOnce(options: ConnectBusOptions): Promise<NatsConnection> {
  const { servers, name, access = {}, logger } = options;
  return connect({
    ...accessOptions(servers, access, logger),
    servers: [...servers],
    name,
    timeout: CONNECT_TIMEOUT_MS,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    reconnectJitter: RECONNECT_JITTER_MS,
    // Credentials may be put right while we wait.
    ignoreAuthErrorAbort: true,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: 2,
    // The stack of every request that is made, for the case that it fails, costs more than the request.
    noAsyncTraces: true,
  });
}

/** A connection that is made forgets the servers which did not answer; they may be back when this one dies. */
function keepServers(connection: NatsConnection, servers: readonly string[]): void {
  const known = connection.getServers().map(({ listen }) => listen);
  connection.setServers([...new Set([...known, ...servers.map(hostOf)])]);
}

function createBus(
  connection: NatsConnection,
  { servers, logger, onLost }: ConnectBusOptions,
): Bus {
  const events = new EventEmitter().setMaxListeners(0);
  const state = { reconnects: 0, connected: true, isClosing: false };
  const watching = watchStatus(connection, logger, {
    onDisconnect: () => {
      state.connected = false;
    },
    onReconnect: () => {
      state.connected = true;
      state.reconnects++;
      events.emit("reconnect");
    },
  });
  logger.info({ server: connection.getServer() }, "connected to NATS");
  void watchEnd(connection, (error) => {
    if (!state.isClosing) onLost?.(error);
  });
  const isConnected = () => state.connected && !connection.isClosed();
  const acknowledgements = new Acknowledgements(connection, {
    inboxPrefix: inboxPrefixOf(connection),
    onRefused: (error) => onLost?.(inboxRefused(error)),
  });
  return {
    connection,
    jetstream: jetstream(connection),
    acknowledgements,
    reconnects: () => state.reconnects,
    isConnected,
    whyNotConnected: () =>
      isConnected() ? undefined : "the connection to NATS is lost; reconnecting",
    serverHosts: () => {
      const named = connection.getServers().map(({ hostname }) => hostname);
      return [...new Set([...servers.map(hostnameOf), ...named].map(withoutBrackets))];
    },
    remoteAddress: () => socketOf(connection)?.remoteAddress,
    onReconnect: (listener) => {
      events.on("reconnect", listener);
      return () => events.off("reconnect", listener);
    },
    close: async () => {
      state.isClosing = true;
      events.removeAllListeners();
      if (isConnected()) await drainWithin(connection, DRAIN_TIMEOUT_MS);
      await connection.close();
      acknowledgements.close();
      await watching;
    },
  };
}

/** nats.js closes a connection by itself where the authenticator throws. */
async function watchEnd(
  connection: NatsConnection,
  onEnd: (error: BusError) => void,
): Promise<void> {
  const cause = await connection.closed();
  if (cause instanceof BusError) return onEnd(cause);
  const detail = `keep the connection to NATS: ${cause?.message ?? "it was closed"}`;
  onEnd(new BusError("CONNECT", "", detail, { cause, retryable: true }));
}

function inboxRefused(cause: Error): BusError {
  const why = "without it no answer to what is published arrives (docs/permissions.md)";
  const detail = `read the inbox of this connection: ${cause.message}; ${why}`;
  return new BusError("ACCESS", "", detail, { cause, retryable: false });
}

/** What the connection was told to begin its inboxes with, which may be all that it has the right to read. */
function inboxPrefixOf(connection: NatsConnection): string | undefined {
  const { options } = connection as NatsConnection & {
    readonly options?: { readonly inboxPrefix?: string };
  };
  return options?.inboxPrefix;
}

/** Draining waits for the server, and one that is frozen or dying never answers. */
async function drainWithin(connection: NatsConnection, timeoutMs: number): Promise<void> {
  const timer = new AbortController();
  const late = delay(timeoutMs, undefined, { signal: timer.signal });
  // Either may fail after the other one has settled the race; close() follows in any case.
  await Promise.race([Promise.allSettled([connection.drain()]), late]);
  timer.abort();
  await Promise.allSettled([late]);
}

type StatusHandlers = {
  readonly onDisconnect: () => void;
  readonly onReconnect: () => void;
};

async function watchStatus(
  connection: NatsConnection,
  logger: Logger,
  { onDisconnect, onReconnect }: StatusHandlers,
): Promise<void> {
  const forbidden = new Set<string>();
  for await (const status of connection.status()) {
    if (status.type === "disconnect") {
      logger.warn({ server: status.server }, "NATS is away; reconnecting");
      onDisconnect();
    } else if (status.type === "reconnect") {
      logger.info({ server: status.server }, "NATS is back");
      onReconnect();
    } else if (status.type === "staleConnection") {
      destroySocket(connection);
    } else if (status.type === "error" && status.error instanceof PermissionViolationError) {
      mentionForbidden(status.error, forbidden, logger);
    } else if (status.type === "error" || status.type === "slowConsumer") {
      logger.error({ status }, "NATS reports an error");
    }
  }
}

/** Each once: what is forbidden is tried again as often as it is needed. */
function mentionForbidden(
  error: PermissionViolationError,
  told: Set<string>,
  logger: Logger,
): void {
  const { operation, subject } = error;
  const key = `${operation} ${subject}`;
  if (told.has(key) || told.size >= MAX_FORBIDDEN_TOLD) return;
  told.add(key);
  logger.error(
    { operation, subject },
    "NATS forbids this with these credentials (docs/permissions.md)",
  );
}

/**
 * nats.js 3.4 waits until all is written before it gives a silent connection
 * up. A network that is cut takes nothing, and the wait would last until TCP
 * gives up too: a quarter of an hour, in which what is published piles up.
 */
function destroySocket(connection: NatsConnection): void {
  socketOf(connection)?.destroy();
}

function socketOf(connection: NatsConnection): Socket | undefined {
  const { protocol } = connection as NatsConnection & WithSocket;
  return protocol?.transport?.socket;
}

type WithSocket = {
  readonly protocol?: { readonly transport?: { readonly socket?: Socket } };
};
