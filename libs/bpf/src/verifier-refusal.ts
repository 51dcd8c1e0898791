import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BpfError, type VerifierLog } from "./bpf-error.ts";
import { missingCapabilities, permissionHint } from "./capabilities.ts";
import { ErrnoError } from "./errno.ts";

const tailLines = 20;

/** The error for a program that the verifier refused, with the end of its log and the place of the whole log. */
export function verifierRefusal(refusal: {
  programName: string;
  errno: number;
  log: string;
}): BpfError {
  const { programName, errno, log } = refusal;
  const cause = new ErrnoError(errno);
  const saved = saveLog(programName, log);
  return new BpfError({
    code: "VERIFIER",
    operation: "load",
    subject: `program ${programName}`,
    errnoName: cause.code,
    reason: "the verifier refused it",
    hint: [...capabilityHint(), saved.hint].join("; "),
    verifierLog: { tail: log.trimEnd().split("\n").slice(-tailLines), path: saved.path },
    cause,
  });
}

/** Without CAP_PERFMON the verifier refuses what it otherwise lets pass. */
function capabilityHint(): readonly string[] {
  const missing = missingCapabilities();
  return missing.length === 0 ? [] : [permissionHint(missing)];
}

/** The folder is made with a random name and mode 0700: a fixed one in /tmp could be a planted symbolic link. */
function saveLog(
  programName: string,
  log: string,
): { readonly path: VerifierLog["path"]; readonly hint: string } {
  try {
    const path = join(mkdtempSync(join(tmpdir(), "packetwatch-")), `verifier-${programName}.log`);
    writeFileSync(path, log);
    return { path, hint: `the whole log is in ${path}` };
  } catch (error) {
    return { path: undefined, hint: `the whole log could not be written (${String(error)})` };
  }
}
