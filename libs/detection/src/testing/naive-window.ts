/**
 * The contract of `DistinctWindow` written down naively: everything seen is kept, everything is scanned for every event.
 * The oracle that the real one is held against.
 */
export class NaiveWindow {
  late = 0;
  readonly #threshold: number;
  readonly #windowUs: number;
  readonly #seen = new Map<string, { item: string; timeUs: number }[]>();

  constructor(options: { readonly threshold: number; readonly windowUs: number }) {
    this.#threshold = options.threshold;
    this.#windowUs = options.windowUs;
  }

  observe(event: { key: string; item: string; timeUs: number; floorUs: number }): boolean {
    const { key, item, timeUs, floorUs } = event;
    const seen = this.#seen.get(key) ?? [];
    const newestUs = Math.max(timeUs, ...seen.map((earlier) => earlier.timeUs));
    if (timeUs < newestUs - this.#windowUs) {
      this.late++;
      return false;
    }
    seen.push({ item, timeUs });
    this.#seen.set(key, seen);
    return this.inWindow(key, floorUs).length >= this.#threshold;
  }

  /** The distinct items of the key's window. */
  inWindow(key: string, floorUs: number): string[] {
    const seen = this.#seen.get(key) ?? [];
    const newestUs = Math.max(...seen.map(({ timeUs }) => timeUs));
    const alive = seen.filter(
      ({ timeUs }) => timeUs >= newestUs - this.#windowUs && timeUs >= floorUs,
    );
    return [...new Set(alive.map(({ item }) => item))].toSorted();
  }

  release(key: string): void {
    this.#seen.delete(key);
  }
}
