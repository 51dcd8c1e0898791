/** The file that a container's health check reads can't be written. */
export class HealthFileError extends Error {
  override readonly name = "HealthFileError";
  readonly code = "HEALTH_FILE";
  readonly retryable = false;

  constructor(file: string, options: { readonly cause: unknown }) {
    const reason = (options.cause as NodeJS.ErrnoException).code ?? String(options.cause);
    super(
      `write the health file ${file}: ${reason}; set PW_HEALTH_FILE to a path that can be written`,
      options,
    );
  }
}
