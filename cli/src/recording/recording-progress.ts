import { isatty } from "node:tty";
import { counted } from "../printable.ts";
import type { Recorder } from "./recorder.ts";

const INTERVAL_MS = 500;
const BACK_TO_START = "\r\u001b[K";

export type RecordingProgressOptions = {
  readonly recorder: Recorder;
  readonly title: string;
};

/** A line on standard error that says how far the recording is; nothing where that is no terminal. */
export class RecordingProgress {
  readonly #recorder: Recorder;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor({ recorder, title }: RecordingProgressOptions) {
    this.#recorder = recorder;
    if (!isatty(process.stderr.fd)) return;
    process.stderr.write(`${title}; Ctrl-C ends it\n`);
    this.#timer = setInterval(() => this.#show(), INTERVAL_MS);
  }

  close(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    process.stderr.write(BACK_TO_START);
  }

  #show(): void {
    const { tally, bytes } = this.#recorder;
    const text = `${counted(tally.attempts, "attempt")}, ${counted(bytes, "byte")}`;
    process.stderr.write(`${BACK_TO_START}${text}`);
  }
}
