/** What ends a command that runs until it is told to stop. */
export type Stop = {
  /** Aborts at SIGINT, SIGTERM or SIGHUP, and at now() or fail(). */
  readonly signal: AbortSignal;
  /** Resolves at a signal or now(); rejects at fail(). */
  readonly requested: Promise<void>;
  readonly now: () => void;
  readonly fail: (error: unknown) => void;
};

/** What is thrown where a signal, or now(), ended a wait: nothing is amiss. */
export function isStop(error: unknown, { signal }: Stop): boolean {
  return signal.aborted && error === signal.reason && error instanceof DOMException;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const signalled = new AbortController();

/** The task's end; once a signal was caught, no longer than so much after it. */
export async function unlessSignalled(task: Promise<void>, graceMs: number): Promise<void> {
  const given = new Promise<void>((resolve) => {
    const startGrace = () => setTimeout(resolve, graceMs).unref();
    if (signalled.signal.aborted) startGrace();
    else signalled.signal.addEventListener("abort", startGrace, { once: true });
  });
  await Promise.race([task, given]);
}

/** Catches the signals for the rest of the process. A second one ends it at once. */
export function catchStopSignals(): Stop {
  const controller = new AbortController();
  let now: () => void = () => undefined;
  let fail: (error: unknown) => void = () => undefined;
  const requested = new Promise<void>((resolve, reject) => {
    now = () => {
      controller.abort();
      resolve();
    };
    fail = (error) => {
      controller.abort(error);
      reject(error);
    };
  });
  // It may fail before, or after, somebody waits for it.
  requested.catch(() => undefined);
  const caught = () => {
    if (controller.signal.aborted) process.exit(1);
    signalled.abort();
    now();
  };
  for (const name of SIGNALS) process.on(name, caught);
  return { signal: controller.signal, requested, now, fail };
}
