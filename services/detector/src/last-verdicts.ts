import type { StreamMessage } from "@packetwatch/bus";
import { VERDICT_MARKER_SECONDS } from "@packetwatch/contracts";

type Message = Pick<StreamMessage, "subject" | "sequence" | "storedUs" | "markerReason">;

/**
 * The last message of each subject of the verdict stream, as far as it was read. As many as the stream holds
 * (PW_MAX_VERDICTS): the marks of verdicts that are gone leave when they do.
 */
export class LastVerdicts {
  readonly #verdicts = new Map<string, number>();
  /** Oldest first. */
  readonly #marks = new Map<string, { readonly sequence: number; readonly storedUs: number }>();

  take({ subject, sequence, storedUs, markerReason }: Message): void {
    this.#verdicts.delete(subject);
    this.#marks.delete(subject);
    if (markerReason === undefined) this.#verdicts.set(subject, sequence);
    else this.#marks.set(subject, { sequence, storedUs });
    for (const [old, mark] of this.#marks) {
      if (mark.storedUs > storedUs - VERDICT_MARKER_SECONDS * 1e6) break;
      this.#marks.delete(old);
    }
  }

  /** The stream was made anew: its sequences begin anew, too. */
  clear(): void {
    this.#verdicts.clear();
    this.#marks.clear();
  }

  /** Of a verdict or of its mark; 0: none is known. */
  sequenceOf(subject: string): number {
    return this.#verdicts.get(subject) ?? this.#marks.get(subject)?.sequence ?? 0;
  }

  /** Whether there is a verdict behind this message of the subject. */
  isDecidedSince(subject: string, sequence: number): boolean {
    return (this.#verdicts.get(subject) ?? 0) > sequence;
  }
}
