// oxlint-disable max-params -- the signature is C's.
import type { BpfMap } from "@packetwatch/bpf";
import koffi from "koffi";

/** Pages for each CPU: 16 MiB, as the ring. */
const PAGES = 4096;

const PERF_TYPE_SOFTWARE = 1;
const PERF_COUNT_SW_BPF_OUTPUT = 10n;
const PERF_SAMPLE_RAW = 1n << 10n;
/** sizeof(struct perf_event_attr), PERF_ATTR_SIZE_VER5. */
const ATTRIBUTE_BYTES = 112;

/** The consumer of a perf buffer, by libbpf. It counts nothing: the program does. */
export class PerfBuffer {
  readonly #buffer: bigint;

  /** `wakeUpEvents`: the kernel wakes the reader once in so many records; libbpf's own default is 1. */
  constructor(map: BpfMap, wakeUpEvents: number) {
    const buffer = libbpf.create(map.fd, PAGES, attributes(wakeUpEvents), null, null, null);
    if (buffer === null) throw new Error(`open a perf buffer: errno ${koffi.errno()}`);
    this.#buffer = buffer;
  }

  drain(): void {
    const status = libbpf.consume(this.#buffer);
    if (status < 0) throw new Error(`read a perf buffer: errno ${-status}`);
  }

  close(): void {
    libbpf.free(this.#buffer);
  }
}

const library = koffi.load("libbpf.so.1");
const libbpf = {
  create: library.func(
    "void *perf_buffer__new_raw(int, size_t, void *, void *, void *, void *)",
  ) as unknown as (
    fd: number,
    pages: number,
    attributes: Uint8Array,
    onEvent: null,
    context: null,
    options: null,
  ) => bigint | null,
  consume: library.func("int perf_buffer__consume(void *)") as unknown as (
    buffer: bigint,
  ) => number,
  free: library.func("void perf_buffer__free(void *)") as unknown as (buffer: bigint) => void,
};

/** As libbpf's perf_buffer__new() fills them in, but for the wake-up. */
function attributes(wakeUpEvents: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(ATTRIBUTE_BYTES));
  view.setUint32(0, PERF_TYPE_SOFTWARE, true);
  view.setUint32(4, ATTRIBUTE_BYTES, true);
  view.setBigUint64(8, PERF_COUNT_SW_BPF_OUTPUT, true);
  view.setBigUint64(16, 1n, true);
  view.setBigUint64(24, PERF_SAMPLE_RAW, true);
  view.setUint32(48, wakeUpEvents, true);
  return new Uint8Array(view.buffer);
}
