import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { contentTypes } from "./exposition.ts";
import { type HttpHandler, type HttpServer, ListenError, startHttpServer } from "./http-server.ts";
import { createRoutes } from "./routes.ts";

const servers: HttpServer[] = [];
const errors: unknown[] = [];

afterEach(async () => {
  errors.length = 0;
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function start(more: Readonly<Record<string, HttpHandler>> = {}, whyNot?: string) {
  const scrape = (format: string) => Promise.resolve(`metrics as ${format} ü\n`);
  const routes = { ...createRoutes({ scrape, whyNotReady: () => whyNot }), ...more };
  const onError = (error: unknown) => errors.push(error);
  const server = await startHttpServer({ address: "127.0.0.1", port: 0, routes, onError });
  servers.push(server);
  return { server, url: `http://127.0.0.1:${server.port}` };
}

/** What comes back for these bytes until the server closes the connection. */
function exchange(port: number, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(request));
    socket.on("data", (chunk) => (received += chunk.toString()));
    socket.on("error", (error) => (received === "" ? reject(error) : resolve(received)));
    socket.on("close", () => resolve(received));
  });
}

describe("GET", () => {
  it.each([
    [undefined, "prometheus"],
    ["application/openmetrics-text", "openmetrics"],
  ] as const)("/metrics with Accept %s gives %s and its content type", async (accept, format) => {
    const { url } = await start();
    const headers = accept === undefined ? {} : { accept };
    const response = await fetch(`${url}/metrics?x=1`, { headers });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe(contentTypes[format]);
    expect(await response.text()).toBe(`metrics as ${format} ü\n`);
  });

  it.each([
    ["gzip", "gzip"],
    ["deflate, GZIP;q=0.5", "gzip"],
    ["gzip;q=0", null],
    ["gzip;q=0.000, identity", null],
    ["br, x-gzip", null],
    ["", null],
  ] as const)("a long page with Accept-Encoding '%s' is encoded as %s", async (accepted, used) => {
    const body = "packetwatch_syn_seen_total 1\n".repeat(1000);
    const page = () => ({ status: 200, contentType: "text/plain", body });
    const { url } = await start({ "/metrics": page });
    const response = await fetch(`${url}/metrics`, { headers: { "accept-encoding": accepted } });
    expect(response.headers.get("content-encoding")).toBe(used);
    expect(await response.text()).toBe(body);
    const sentBytes = Number(response.headers.get("content-length"));
    expect(used === null ? sentBytes === body.length : sentBytes < body.length / 10).toBe(true);
  });

  it("a short answer is not compressed", async () => {
    const { url } = await start();
    const response = await fetch(`${url}/healthz`, { headers: { "accept-encoding": "gzip" } });
    expect(response.headers.get("content-encoding")).toBeNull();
  });

  it("/healthz is 200 while /readyz is 503 and says why", async () => {
    const { url } = await start({}, "not connected");
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    const ready = await fetch(`${url}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([503, "not connected\n"]);
  });

  it("/readyz is 200 when it is ready", async () => {
    const { url } = await start();
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  it.each(["/", "/metrics/", "/constructor", "http://x/metrics", "/%2e%2e/etc"])(
    "%s is 404",
    async (path) => {
      const { server } = await start();
      const reply = await exchange(
        server.port,
        `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`,
      );
      expect(reply).toMatch(/^HTTP\/1.1 404 /);
    },
  );

  it("of a handler that fails is 500, and the error is told", async () => {
    const error = new Error("broken");
    const { url } = await start({ "/metrics": () => Promise.reject(error) });
    const response = await fetch(`${url}/metrics`);
    expect([response.status, errors]).toEqual([500, [error]]);
    expect(await response.text()).not.toContain("broken");
  });
});

describe("other requests", () => {
  it("HEAD has the headers of GET and no body", async () => {
    const { url } = await start();
    const [get, head] = await Promise.all([
      fetch(`${url}/metrics`),
      fetch(`${url}/metrics`, { method: "HEAD" }),
    ]);
    for (const name of ["content-type", "content-length"]) {
      expect(head.headers.get(name)).toBe(get.headers.get(name));
    }
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });

  it.each(["POST", "PUT", "DELETE", "OPTIONS"])("%s is 405", async (method) => {
    const { url } = await start();
    const response = await fetch(`${url}/metrics`, { method });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });

  it.each([
    ["a length", "content-length: 1000000000", "x"],
    ["chunks", "transfer-encoding: chunked", "5\r\nhello\r\n"],
  ])("a body with %s is 413, unread, and ends the connection", async (_, header, body) => {
    const { server } = await start();
    const reply = await exchange(
      server.port,
      `POST /metrics HTTP/1.1\r\nhost: x\r\n${header}\r\n\r\n${body}`,
    );
    expect(reply).toMatch(/^HTTP\/1.1 413 /);
  });

  it("headers beyond 8 KiB are 431", async () => {
    const { server } = await start();
    const request = `GET /metrics HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(9000)}\r\n\r\n`;
    expect(await exchange(server.port, request)).toMatch(/^HTTP\/1.1 431 /);
  });

  it("a request that never ends is given up", { timeout: 10_000 }, async () => {
    const { server } = await start();
    expect(await exchange(server.port, "GET /metrics HTTP/1.1\r\nhost: x\r\n")).toMatch(
      /^HTTP\/1.1 408 /,
    );
  });
});

it("a port that is taken is a ListenError that names the way out", async () => {
  const { server } = await start();
  const again = startHttpServer({
    address: "127.0.0.1",
    port: server.port,
    routes: {},
    onError: () => undefined,
  });
  await expect(again).rejects.toThrow(ListenError);
  await expect(again).rejects.toThrow(/EADDRINUSE.*PW_PROMETHEUS_PORT/);
});
