export type LogLine = {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly fields: object;
  readonly message: string;
};

/** A logger that keeps its lines. */
export class RecordingLogger {
  readonly lines: LogLine[] = [];
  readonly debug = this.#keep("debug");
  readonly info = this.#keep("info");
  readonly warn = this.#keep("warn");
  readonly error = this.#keep("error");

  /** The messages of one level, in order. */
  messages(level: LogLine["level"]): readonly string[] {
    return this.lines.filter((line) => line.level === level).map(({ message }) => message);
  }

  #keep(level: LogLine["level"]) {
    return (fields: object, message: string): void => {
      this.lines.push({ level, fields, message });
    };
  }
}
