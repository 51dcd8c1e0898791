// Preloaded into a service by a bench with --profile: writes a CPU profile when the process ends in good order.
import { writeFileSync } from "node:fs";
import { Session } from "node:inspector";
import { basename } from "node:path";

const START_DELAY_MS = 2000;

const session = new Session();
session.connect();
session.post("Profiler.enable");
// Later: the profiler's signals interrupt the verifier, which then gives up with EAGAIN.
setTimeout(() => session.post("Profiler.start"), START_DELAY_MS).unref();
process.once("exit", () => {
  // The answer comes within the call.
  session.post("Profiler.stop", (error, { profile }) => {
    if (error) throw error;
    const name = `${basename(process.argv[1], ".js")}-${process.pid}.cpuprofile`;
    writeFileSync(`${process.env.BENCH_PROFILE_FOLDER}/${name}`, JSON.stringify(profile));
  });
});
