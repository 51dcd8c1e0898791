import { ConfigError } from "@packetwatch/config";
import { AddressError } from "@packetwatch/net";
import { CommanderError } from "commander";
import { CliError } from "./cli-error.ts";
import { NativeError } from "./native/native-error.ts";
import { complain } from "./terminal.ts";

export const exitCodes = { done: 0, failed: 1, misused: 2 } as const;

/** Says what went wrong, and returns the exit code. Errors that nobody expected come with their stack. */
export function reportFailure(error: unknown): number {
  // Commander has said it, and calls for help and the version failures, too.
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? exitCodes.done : exitCodes.misused;
  }
  if (error instanceof ConfigError || isBadArgument(error)) {
    complain(error.message);
    return exitCodes.misused;
  }
  complain(isOperatingError(error) ? error.message : stackOf(error));
  return exitCodes.failed;
}

/** An argument that names no source, or more than can be blocked; a runtime that isn't this one. */
function isBadArgument(error: unknown): error is Error {
  if (error instanceof NativeError) return error.code === "NOT_NATIVE";
  return (
    error instanceof AddressError || (error instanceof CliError && error.code === "BAD_SOURCE")
  );
}

/** The house's typed errors: their message is operation, subject, cause and way out. */
function isOperatingError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && "retryable" in error;
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
