/** Ids that are remembered; the stream's duplicate window makes older ones improbable. */
export const MAX_RECENT_IDS = 4096;

/**
 * Tells a verdict from its duplicate. Two detectors may come to the same
 * verdict, and a replay to an old one: the stream drops the second by its id,
 * but a plain subscriber receives both.
 */
export class RecentIds {
  readonly #ids = new Set<string>();

  isNew(id: string): boolean {
    if (this.#ids.has(id)) return false;
    if (this.#ids.size === MAX_RECENT_IDS) this.#forgetOldest();
    this.#ids.add(id);
    return true;
  }

  #forgetOldest(): void {
    const [oldest] = this.#ids;
    if (oldest !== undefined) this.#ids.delete(oldest);
  }
}
