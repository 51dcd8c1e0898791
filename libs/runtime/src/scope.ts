/** What owns a resource and gives it back. Closing twice is harmless. */
export type Closeable = {
  close(): Promise<void> | void;
};

/** Owns resources in the order in which they were made, and closes them in reverse. */
export class Scope {
  readonly #owned: Closeable[] = [];
  readonly #abort = new AbortController();
  #closing: Promise<void> | undefined;
  #isClosed = false;

  /** Aborts when closing begins: for waits that are under way. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** What is owned while the scope closes is closed too; afterwards it is too late, and this throws. */
  own<T extends Closeable>(resource: T): T {
    if (this.#isClosed) throw new Error("the scope is closed and can't own anything more");
    this.#owned.push(resource);
    return resource;
  }

  /** Closes everything, whatever fails on the way; then throws what failed, if anything did. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    this.#abort.abort();
    const failures: unknown[] = [];
    for (let next = this.#owned.pop(); next; next = this.#owned.pop()) {
      try {
        await next.close();
      } catch (error) {
        failures.push(error);
      }
    }
    this.#isClosed = true;
    if (failures.length > 0) throw new AggregateError(failures, "some resources did not close");
  }
}
