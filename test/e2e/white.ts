/** The ported tool's e2e-white: with its own addresses whitelisted, a scanning loopback is left alone. */
import { runLoopbackSuite } from "./loopback-suite.ts";

await runLoopbackSuite({
  name: "e2e-white",
  whitelistSelf: "True",
  afterScan: "pong",
  scanners: "nobody",
});
