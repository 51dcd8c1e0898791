import { connect } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { fuzzed, fuzzSeed } from "../../../test/support/fuzz-budget.ts";
import { type HttpServer, startHttpServer } from "./http-server.ts";
import { createRoutes } from "./routes.ts";

const RUNS = 200;
const errors: unknown[] = [];
let server: HttpServer;

beforeAll(async () => {
  const routes = createRoutes({ scrape: async () => "page\n", whyNotReady: () => undefined });
  const onError = (error: unknown) => errors.push(error);
  server = await startHttpServer({ address: "127.0.0.1", port: 0, routes, onError });
});
afterAll(() => server.close());

/** Sends bytes and hangs up; what came back until then. */
function send(bytes: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    let received = "";
    const socket = connect(server.port, "127.0.0.1", () => socket.end(bytes));
    socket.on("data", (chunk) => (received += chunk.toString("latin1")));
    // A server that resets the connection of such a client is right.
    socket.on("error", () => resolve(received));
    socket.on("close", () => resolve(received));
  });
}

const piece = fc.constantFrom(
  "GET ",
  "HEAD ",
  "POST ",
  "PRI * HTTP/2.0\r\n",
  "/metrics",
  "/../../etc/passwd",
  "/%00",
  "/__proto__",
  " HTTP/1.1\r\n",
  " HTTP/9.9\r\n",
  "Host: x\r\n",
  "Host: a\r\nHost: b\r\n",
  "Content-Length: -1\r\n",
  "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
  "Accept: ,;q=\r\n",
  "Accept-Encoding: gzip;q=NaN\r\n",
  "Upgrade: websocket\r\nConnection: upgrade\r\n",
  "Expect: 100-continue\r\n",
  "\r\n",
  "\n",
  "\0",
  `X: ${"y".repeat(9000)}\r\n`,
);
const hostileRequest = fc.oneof(
  fc.array(piece, { maxLength: 10 }).map((parts) => new TextEncoder().encode(parts.join(""))),
  fc.uint8Array({ maxLength: 500 }),
);

it(`hostile requests get an error or nothing, and the page is served on (FUZZ_SEED=${fuzzSeed})`, async () => {
  await fc.assert(
    fc.asyncProperty(hostileRequest, async (bytes) => {
      const answer = await send(bytes);
      if (answer !== "") expect(answer).toMatch(/^HTTP\/1\.1 [2-5]\d\d /);
      expect(answer).not.toContain("root:");
    }),
    fuzzed(RUNS),
  );
  expect(errors).toEqual([]);
  expect((await fetch(`http://127.0.0.1:${server.port}/metrics`)).status).toBe(200);
});
