import koffi from "koffi";
import { libbpf } from "./libbpf.ts";
import { libc, type Pointer } from "./libc.ts";

/** libbpf's lines are short; a longer one is cut here. */
const lineBytes = 4096;
/** Lines kept of one call; the earliest go first. */
const maxLines = 200;
/** enum libbpf_print_level: warnings are 0, information 1, debugging 2. */
const levelWarning = 0;

const printCallback = koffi.pointer(koffi.proto("int", ["int", "void *", "void *"]));

/**
 * Runs libbpf calls and returns their result with the warnings that libbpf printed meanwhile, which otherwise
 * go to stderr. Not for asynchronous calls: the callback is only good on this thread.
 */
export function captureLibbpfLog<T>(call: () => T): {
  readonly result: T;
  readonly log: readonly string[];
} {
  const lines: string[] = [];
  // A va_list argument is a pointer in the calling conventions of x86-64 and arm64, so it can be handed to
  // vsnprintf without being understood.
  const print = koffi.register((level: number, format: Pointer, arguments_: Pointer) => {
    if (level === levelWarning) keepLine(lines, formatLine(format, arguments_));
    return 0;
  }, printCallback);
  libbpf().libbpf_set_print(print);
  try {
    return { result: call(), log: lines };
  } finally {
    libbpf().libbpf_set_print(null);
    koffi.unregister(print);
  }
}

function formatLine(format: Pointer, arguments_: Pointer): string {
  const line = new Uint8Array(lineBytes);
  const length = libc.vsnprintf(line, line.length, format, arguments_);
  const end = Math.max(0, Math.min(length, line.length - 1));
  return Buffer.from(line.buffer, 0, end)
    .toString("utf8")
    .replace(/^libbpf: /, "")
    .trimEnd();
}

function keepLine(lines: string[], text: string): void {
  if (lines.length === maxLines) lines.shift();
  lines.push(text);
}
