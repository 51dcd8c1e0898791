/** Every code that a NativeError can carry, and whether trying again can help without a human. */
export const nativeErrorCodes = {
  NOT_NATIVE: { retryable: false, meaning: "another runtime was asked for" },
  NOT_ROOT: { retryable: false, meaning: "the native runtime needs root" },
  NO_BPFFS: { retryable: false, meaning: "the BPF file system can't be mounted" },
  RUN_DIR: { retryable: false, meaning: "the folder of logs and keys can't be made" },
  START_FAILED: { retryable: true, meaning: "a program of the host did not become ready" },
  RECORD_DAMAGED: { retryable: false, meaning: "what the last start left can't be read" },
} as const satisfies Record<string, { readonly retryable: boolean; readonly meaning: string }>;

export type NativeErrorCode = keyof typeof nativeErrorCodes;

/** What keeps the native runtime from starting or stopping. */
export class NativeError extends Error {
  override readonly name = "NativeError";
  readonly code: NativeErrorCode;
  readonly retryable: boolean;

  constructor(code: NativeErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.retryable = nativeErrorCodes[code].retryable;
  }
}
