import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

const compress = promisify(gzip);

/** Requests have no body and a few headers: what is larger or slower is refused. */
const MAX_HEADER_BYTES = 8 * 1024;
const MAX_CONNECTIONS = 64;
const REQUEST_TIMEOUT_MS = 5000;
/** A connection that neither sends nor takes anything for this long is closed. */
const IDLE_TIMEOUT_MS = 15_000;
const CLOSE_TIMEOUT_MS = 1000;
/** What fits into one packet gains nothing. */
const COMPRESS_FROM_BYTES = 1400;

export type HttpReply = {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
};

/** Answers a GET, or a HEAD whose body is left out. */
export type HttpHandler = (request: IncomingMessage) => HttpReply | Promise<HttpReply>;

export type HttpServerOptions = {
  readonly address: string;
  readonly port: number;
  /** By path; anything else is not found. */
  readonly routes: Readonly<Record<string, HttpHandler>>;
  /** A handler failed; the client got status 500. */
  readonly onError: (error: unknown) => void;
};

export type HttpServer = {
  readonly port: number;
  close(): Promise<void>;
};

/** The address or port can't be listened on. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly code = "LISTEN";
  readonly retryable = false;

  constructor(where: string, cause: Error) {
    const wayOut = "free it, or set PW_PROMETHEUS_ADDRESS or PW_PROMETHEUS_PORT";
    super(`listen on ${where}: ${cause.message}; ${wayOut}`, { cause });
  }
}

/** Serves the routes until it is closed; throws ListenError. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const server = createServer(serverOptions, (request, response) => {
    void serve(request, response, options);
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.setTimeout(IDLE_TIMEOUT_MS);
  await listen(server, options);
  return { port: (server.address() as AddressInfo).port, close: () => close(server) };
}

const serverOptions: ServerOptions = {
  maxHeaderSize: MAX_HEADER_BYTES,
  headersTimeout: REQUEST_TIMEOUT_MS,
  requestTimeout: REQUEST_TIMEOUT_MS,
  keepAliveTimeout: IDLE_TIMEOUT_MS,
  connectionsCheckingInterval: 1000,
};

function listen(server: Server, { address, port }: HttpServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (cause: Error) => reject(new ListenError(`${address} port ${port}`, cause));
    server.once("error", onError);
    server.listen({ host: address, port }, () => {
      server.off("error", onError);
      resolve();
    });
  });
}

/** Lets answers that are under way come to their end, for a moment. */
async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_TIMEOUT_MS);
  await closed;
  clearTimeout(timer);
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  { routes, onError }: HttpServerOptions,
): Promise<void> {
  try {
    await send(request, response, await answer(request, response, routes));
  } catch (error) {
    onError(error);
    if (response.headersSent) response.destroy();
    else await send(request, response, plain(500, "this failed; the log says why"));
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  routes: HttpServerOptions["routes"],
): Promise<HttpReply> {
  if (hasBody(request)) {
    // The body isn't read, so the connection can't carry another request.
    response.setHeader("connection", "close");
    return plain(413, "a request must not have a body");
  }
  const [path = ""] = (request.url ?? "").split("?", 1);
  const handler = routes[path];
  if (!handler) return plain(404, `there is ${Object.keys(routes).join(", ")}`);
  if (request.method === "GET" || request.method === "HEAD") return handler(request);
  response.setHeader("allow", "GET, HEAD");
  return plain(405, "only GET and HEAD");
}

function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers["content-length"] ?? "0";
  return headers["transfer-encoding"] !== undefined || Number(length) !== 0;
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  reply: HttpReply,
): Promise<void> {
  const plainBody = Buffer.from(reply.body);
  const isCompressed = plainBody.byteLength >= COMPRESS_FROM_BYTES && takesGzip(request);
  const body = isCompressed ? await compress(plainBody) : plainBody;
  if (isCompressed) response.setHeader("content-encoding", "gzip");
  response.writeHead(reply.status, {
    "content-type": reply.contentType,
    "content-length": body.byteLength,
    "cache-control": "no-store",
    vary: "accept, accept-encoding",
    "x-content-type-options": "nosniff",
  });
  response.end(request.method === "HEAD" ? undefined : body);
  // Without this, Node would read a refused body to its end.
  if (reply.status === 413) response.once("finish", () => request.destroy());
}

function takesGzip({ headers }: IncomingMessage): boolean {
  const codings = (headers["accept-encoding"] ?? "").split(",");
  return codings.some((coding) => {
    const [name = "", ...parameters] = coding.split(";").map((part) => part.trim().toLowerCase());
    return name === "gzip" && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  });
}

export function plain(status: number, text: string): HttpReply {
  return { status, contentType: "text/plain; charset=utf-8", body: `${text}\n` };
}
