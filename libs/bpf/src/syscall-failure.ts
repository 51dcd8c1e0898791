import { BpfError, type BpfErrorCode } from "./bpf-error.ts";
import { permissionHint } from "./capabilities.ts";
import { ErrnoError } from "./errno.ts";

export interface SyscallFailure {
  readonly operation: string;
  readonly subject: string;
  /** Positive. */
  readonly errno: number;
  /** For what the errno alone doesn't tell; leave it out and the errno decides between NO_PERMISSION and SYSCALL. */
  readonly code?: BpfErrorCode;
  readonly reason?: string;
  readonly hint?: string;
  readonly completed?: number;
}

const hints: Readonly<Record<string, string>> = {
  EMFILE: "raise the limit of open files (ulimit -n)",
  ENFILE: "raise the system's limit of open files (sysctl fs.file-max)",
  ENOMEM: "free memory, raise the limit of locked memory, or make the maps smaller",
  EAGAIN: "try again",
  EINTR: "try again",
  EINVAL: "the kernel refused an argument: it may be too old for this program",
};

/** The BpfError of a failed system or libbpf call. */
export function syscallFailure(failure: SyscallFailure): BpfError {
  const cause = new ErrnoError(failure.errno);
  const denied = cause.code === "EPERM" || cause.code === "EACCES";
  return new BpfError({
    operation: failure.operation,
    subject: failure.subject,
    code: failure.code ?? (denied ? "NO_PERMISSION" : "SYSCALL"),
    errnoName: cause.code,
    reason: failure.reason ?? cause.meaning,
    hint: failure.hint ?? (denied ? permissionHint() : (hints[cause.code] ?? "see 'man 2 bpf'")),
    ...(failure.completed === undefined ? {} : { completed: failure.completed }),
    cause,
  });
}
