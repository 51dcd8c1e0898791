/** A service that does what its argument names. */
import { BusError } from "@packetwatch/bus";
import { runService, type Scope } from "@packetwatch/runtime";

const [behaviour = ""] = process.argv.slice(2);

await runService("metrics", async ({ config, logger, scope, fail }) => {
  const resource = (name: string, close: () => Promise<void> | void = () => undefined) => {
    logger.info({}, `open ${name}`);
    scope.own({
      close: async () => {
        logger.info({}, `close ${name}`);
        await close();
      },
    });
  };
  const brokenDown = (retryable: boolean) =>
    new BusError("STREAM", "S", "provision stream S: no space; remove something", { retryable });
  const later = (action: () => void) => {
    setTimeout(action, 50);
  };
  keepAlive(scope);
  const behaviours: Record<string, () => Promise<void> | void> = {
    orderly: () => {
      resource("first");
      resource("second");
      resource("third");
    },
    configured: () => logger.info({ port: config.prometheusPort }, "configured"),
    "operating error at start": () => {
      resource("first");
      throw brokenDown(true);
    },
    "programmer's error at start": () => {
      resource("first");
      throw new TypeError("undefined is not a port");
    },
    "start that takes for ever": async () => {
      resource("first");
      await new Promise((_, reject) => {
        scope.signal.addEventListener("abort", () => reject(scope.signal.reason as Error));
      });
    },
    "close that takes for ever": () => {
      resource("first");
      resource("stuck", () => new Promise(() => undefined));
    },
    "close that fails": () => {
      resource("first");
      resource("broken", () => Promise.reject(brokenDown(false)));
      resource("last");
    },
    "failure later": () => {
      resource("first");
      later(() => fail(brokenDown(true)));
    },
    "unhandled rejection": () => {
      resource("first");
      later(() => void Promise.reject(new TypeError("nobody waits for me")));
    },
    "uncaught exception": () => {
      resource("first");
      later(() => {
        throw new TypeError("nobody catches me");
      });
    },
    "failure while closing": () => {
      resource("first");
      resource("nervous", () => fail(brokenDown(true)));
    },
  };
  await behaviours[behaviour]?.();
});

function keepAlive(scope: Scope): void {
  const timer = setInterval(() => undefined, 1000);
  scope.own({ close: () => clearInterval(timer) });
}
