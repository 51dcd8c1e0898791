/** Reads meaning from the lines that services (pino, JSON) and nats-server (text) log. */

const errorLevels: ReadonlySet<unknown> = new Set(["error", "fatal"]);

type LogEntry = Readonly<Record<string, unknown>>;

/** A service logs a line whose `msg` is "ready" once it does its work. */
export function isServiceReady(line: string): boolean {
  return parseEntry(line)?.["msg"] === "ready";
}

export function isNatsReady(line: string): boolean {
  return line.includes("Server is ready");
}

/** The lines that say what went wrong, as one would read them. */
export function errorLines(lines: readonly string[]): readonly string[] {
  return lines.filter(isError).map(readable);
}

/** The same for a start that failed: where nothing says why, the last lines may. */
export function explainingLines(lines: readonly string[], most: number): readonly string[] {
  const errors = errorLines(lines);
  return (errors.length > 0 ? errors : lines.map(readable)).slice(-most);
}

/** XDP mode by interface, from the lines with which capture reports it. */
export function attachedModes(lines: readonly string[]): ReadonlyMap<string, string> {
  const modes = new Map<string, string>();
  for (const line of lines) {
    const entry = parseEntry(line);
    const { interface: interfaceName, mode } = entry ?? {};
    if (typeof interfaceName === "string" && typeof mode === "string")
      modes.set(interfaceName, mode);
  }
  return modes;
}

function isError(line: string): boolean {
  const entry = parseEntry(line);
  // Text is what a program prints that fails before it has a logger.
  if (entry === undefined) return /\[(ERR|FTL)\]|error|fatal|PW_/i.test(line);
  return errorLevels.has(entry["level"]);
}

/** `msg: err.message` of a JSON line; text as it is. */
function readable(line: string): string {
  const entry = parseEntry(line);
  if (entry === undefined) return line;
  const error = entry["err"] as { readonly message?: unknown } | undefined;
  const parts = [entry["msg"], error?.message].filter((part) => typeof part === "string");
  return parts.length > 0 ? [...new Set(parts)].join(": ") : line;
}

function parseEntry(line: string): LogEntry | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as LogEntry;
  } catch {
    // Cut by a crash or by the log's bound: read as text.
    return undefined;
  }
}
