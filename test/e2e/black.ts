/** The ported tool's e2e-black: with its own addresses not whitelisted, a scanning loopback is blocked. */
import { runLoopbackSuite } from "./loopback-suite.ts";

await runLoopbackSuite({
  name: "e2e-black",
  whitelistSelf: "False",
  afterScan: "timed out",
  scanners: "127.0.0.1",
});
