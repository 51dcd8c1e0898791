export type Step = {
  readonly does: string;
  readonly expects: string;
};

/** Prints what a suite does, what it expects and what came of it, and remembers whether all was as expected. */
export class StepReport {
  #steps = 0;
  #failures = 0;

  get hasFailed(): boolean {
    return this.#failures > 0;
  }

  /** Runs one step; `got` is compared with what is expected, word for word. */
  async step({ does, expects }: Step, run: () => Promise<string>): Promise<void> {
    this.#steps++;
    console.log(`${this.#steps}. ${does}\n   expected: ${expects}`);
    const got = await run().catch((error: unknown) => (error as Error).message);
    if (got === expects) return console.log("   SUCCESS");
    this.#failures++;
    console.log(`   got: ${got}\n   FAIL`);
  }

  /** Prints the sum of it. */
  conclude(suite: string): void {
    const passed = this.#steps - this.#failures;
    console.log(`${suite}: ${passed} of ${this.#steps} steps as expected`);
  }
}
