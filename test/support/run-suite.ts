import { Cleanup } from "./cleanup.ts";

/**
 * Runs a suite that is a program of its own: undoes what it made, however it
 * ends, and sets the exit code. What it throws is printed.
 */
export async function runSuite(
  name: string,
  suite: (cleanup: Cleanup) => Promise<"passed" | "failed">,
): Promise<void> {
  const cleanup = new Cleanup();
  let outcome: "passed" | "failed" = "failed";
  try {
    outcome = await suite(cleanup);
  } catch (error) {
    console.error(`${name}:`, error);
  } finally {
    await cleanup.run();
  }
  console.log(`${name}: ${outcome === "passed" ? "SUCCESS" : "FAIL"}`);
  process.exitCode = outcome === "passed" ? 0 : 1;
}
