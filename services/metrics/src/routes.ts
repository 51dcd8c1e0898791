import { contentTypes, type ExpositionFormat } from "./exposition.ts";
import { type HttpHandler, plain } from "./http-server.ts";
import { negotiateFormat } from "./negotiate-format.ts";

export type RoutesOptions = {
  readonly scrape: (format: ExpositionFormat) => Promise<string>;
  /** Undefined: ready. */
  readonly whyNotReady: () => string | undefined;
};

/** What is served, by path. */
export function createRoutes(options: RoutesOptions): Readonly<Record<string, HttpHandler>> {
  return {
    "/metrics": async ({ headers }) => {
      const format = negotiateFormat(headers.accept);
      const body = await options.scrape(format);
      return { status: 200, contentType: contentTypes[format], body };
    },
    // An answer is the proof: a process that hangs gives none.
    "/healthz": () => plain(200, "alive"),
    "/readyz": () => {
      const reason = options.whyNotReady();
      return reason === undefined ? plain(200, "ready") : plain(503, reason);
    },
  };
}
