/** Every code that a CliError can carry, and whether trying again can help without a human. */
export const cliErrorCodes = {
  NATS_UNREACHABLE: { retryable: true, meaning: "no NATS server answers" },
  NOT_PROVISIONED: { retryable: true, meaning: "JetStream was not ready in time" },
  NO_JETSTREAM: { retryable: true, meaning: "the NATS server runs without JetStream" },
  NATS_REFUSES: { retryable: false, meaning: "NATS refuses the credentials or the certificate" },
  STREAM_UNREADABLE: { retryable: true, meaning: "a stream can't be read in time" },
  SUBSCRIPTION: { retryable: false, meaning: "NATS refused or ended a subscription" },
  OUTPUT: { retryable: false, meaning: "standard output can't be written" },
  NOT_BLOCKED: { retryable: false, meaning: "the source that was named is not blocked" },
  ALLOWED: { retryable: false, meaning: "the source that was named is allow-listed" },
  BAD_SOURCE: { retryable: false, meaning: "the address or CIDR that was named can't be blocked" },
  NOT_ALLOWED: { retryable: false, meaning: "what was named is not allowed" },
  TOO_WIDE: {
    retryable: false,
    meaning: "a prefix that was to be allowed leaves hardly anybody out",
  },
  NOT_OPEN: { retryable: false, meaning: "the breaker is not open" },
  OVERTAKEN: { retryable: true, meaning: "somebody else made a change in between" },
  NO_SUCH_HOST: { retryable: false, meaning: "a host that was named was never heard" },
  NO_TRIAL: { retryable: false, meaning: "there is no trial to confirm" },
  RECORDING_EXISTS: { retryable: false, meaning: "a recording would overwrite a file" },
  RECORDING_OUTPUT: { retryable: false, meaning: "a recording can't be written" },
  RECORDING_INPUT: { retryable: false, meaning: "a recording can't be read" },
  READER_GONE: { retryable: false, meaning: "the reader of standard output went away" },
  KEY_FOLDER: { retryable: false, meaning: "the folder of keys can't be read or written" },
  PIN_FOLDER: { retryable: false, meaning: "the folder for pins can't be read or removed" },
} as const satisfies Record<string, { readonly retryable: boolean; readonly meaning: string }>;

export type CliErrorCode = keyof typeof cliErrorCodes;

/** Something a command could not do, in one line that names the way out. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: CliErrorCode;
  readonly retryable: boolean;

  constructor(code: CliErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.code = code;
    this.retryable = cliErrorCodes[code].retryable;
  }
}
