/** Every code that a BpfError can carry, what it means, and whether trying again can help without a human. */
export const bpfErrorCodes = {
  LIBBPF_MISSING: { retryable: false, meaning: "libbpf 1.x can't be loaded" },
  OBJECT_OPEN: { retryable: false, meaning: "the BPF object file can't be read" },
  OBJECT_LOAD: {
    retryable: false,
    meaning: "the object's maps or programs can't be created, for a reason other than the verifier",
  },
  VERIFIER: { retryable: false, meaning: "the kernel's verifier refused a program" },
  NO_PERMISSION: { retryable: false, meaning: "a capability is missing" },
  KERNEL_TOO_OLD: { retryable: false, meaning: "the running kernel lacks a feature" },
  NO_INTERFACE: { retryable: true, meaning: "the network interface does not exist, or has gone" },
  INTERFACE_BUSY: { retryable: true, meaning: "another XDP program is attached to the interface" },
  MTU_TOO_LARGE: { retryable: false, meaning: "the interface's MTU is too large for native XDP" },
  NATIVE_UNSUPPORTED: { retryable: false, meaning: "the interface's driver has no native XDP" },
  NO_BPFFS: { retryable: false, meaning: "the folder for pins is not on a BPF file system" },
  PIN_MISSING: { retryable: true, meaning: "nothing is pinned at the path" },
  PIN_EXISTS: { retryable: false, meaning: "something is pinned at the path already" },
  MAP_MISMATCH: { retryable: false, meaning: "a pinned map is not of the expected type or size" },
  MAP_FULL: { retryable: true, meaning: "the map holds as many entries as it can" },
  SYSCALL: { retryable: false, meaning: "a system call failed for another reason" },
} as const satisfies Record<string, { readonly retryable: boolean; readonly meaning: string }>;

export type BpfErrorCode = keyof typeof bpfErrorCodes;

/** The errnos for which a failed system call is worth another try. */
const retryableErrnos: ReadonlySet<string> = new Set([
  "EAGAIN",
  "EINTR",
  "EBUSY",
  "ENOMEM",
  "ENOBUFS",
]);

/** Where the verifier's words are. */
export interface VerifierLog {
  /** The last lines, as printed in the message. */
  readonly tail: readonly string[];
  /** The file with the whole log, readable by its owner; undefined when it could not be written. */
  readonly path: string | undefined;
}

export interface BpfFailure {
  readonly code: BpfErrorCode;
  /** What was attempted, in words that read on into the subject: "attach xdp to". */
  readonly operation: string;
  /** What it was attempted on: "eth0 (ifindex 2, native)". */
  readonly subject: string;
  /** Why it failed, without the errno's name. */
  readonly reason: string;
  /** The way out. */
  readonly hint: string;
  readonly errnoName?: string;
  readonly verifierLog?: VerifierLog;
  /** How many elements of a batch were done before it failed. */
  readonly completed?: number;
  readonly cause?: unknown;
}

/**
 * The only error that this library throws for what can go wrong at run time. Match on `code`; the message is
 * operation, subject, cause and way out, for people. (Use after close and wrong buffer sizes are AssertionErrors.)
 */
export class BpfError extends Error {
  override readonly name = "BpfError";
  readonly code: BpfErrorCode;
  readonly operation: string;
  readonly subject: string;
  /** The errno's name, "EBUSY", when a system call failed. */
  readonly errnoName: string | undefined;
  readonly hint: string;
  readonly retryable: boolean;
  readonly verifierLog: VerifierLog | undefined;
  /** Elements of a batch that were done before it failed; undefined when it was no batch. */
  readonly completed: number | undefined;

  constructor(failure: BpfFailure) {
    super(formatMessage(failure), { cause: failure.cause ?? new Error(failure.reason) });
    this.code = failure.code;
    this.operation = failure.operation;
    this.subject = failure.subject;
    this.errnoName = failure.errnoName;
    this.hint = failure.hint;
    this.retryable = isRetryable(failure);
    this.verifierLog = failure.verifierLog;
    this.completed = failure.completed;
  }
}

function formatMessage({
  operation,
  subject,
  errnoName,
  reason,
  hint,
  verifierLog,
}: BpfFailure): string {
  const cause = errnoName === undefined ? reason : `${errnoName}: ${reason}`;
  const message = `${operation} ${subject}: ${cause}; ${hint}`;
  if (verifierLog === undefined) return message;
  return [message, ...verifierLog.tail.map((line) => `  ${line}`)].join("\n");
}

function isRetryable({ code, errnoName }: BpfFailure): boolean {
  if (code === "SYSCALL") return errnoName !== undefined && retryableErrnos.has(errnoName);
  return bpfErrorCodes[code].retryable;
}
