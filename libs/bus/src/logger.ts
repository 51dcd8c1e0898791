type LogFunction = (fields: object, message: string) => void;

/** What this room asks of a logger; pino's fits. */
export type Logger = {
  readonly debug: LogFunction;
  readonly info: LogFunction;
  readonly warn: LogFunction;
  readonly error: LogFunction;
};
