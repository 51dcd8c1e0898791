/** One run of a nats-server, from its start to its end. */
export type NatsRun = {
  /** Undefined in a container: its number is the engine's. */
  readonly pid: number | undefined;
  readonly hasEnded: boolean;
  signal(signal: NodeJS.Signals): Promise<void>;
  /** Resolves when it has ended and its port is free; SIGTERM becomes SIGKILL where it doesn't help in time. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
};

export type NatsRunOptions = {
  /** On 127.0.0.1. */
  readonly port: number;
  /** Folder of the store, on this machine. */
  readonly store: string;
  /** Added to the command line. */
  readonly arguments: readonly string[];
  readonly onOutput: (text: string) => void;
};
