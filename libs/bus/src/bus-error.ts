export type BusErrorCode = "ACCESS" | "CONNECT" | "PUBLISH" | "STREAM_FULL" | "STREAM" | "CONSUME";

/** Something NATS refused or did not answer. */
export class BusError extends Error {
  override readonly name = "BusError";
  readonly code: BusErrorCode;
  readonly subject: string;
  readonly retryable: boolean;

  constructor(code: BusErrorCode, subject: string, detail: string, options: BusErrorOptions) {
    super(detail, { cause: options.cause });
    this.code = code;
    this.subject = subject;
    this.retryable = options.retryable;
  }
}

export type BusErrorOptions = { readonly cause?: unknown; readonly retryable: boolean };
