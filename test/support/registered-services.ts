import type { Bus } from "@packetwatch/bus";
import { errors } from "@nats-io/transport-node";

/** How long answers are gathered; `nats micro` waits as long by default. */
const GATHER_MS = 1000;

/** What a service answers on `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`, as far as tests look at it. */
export type RegisteredService = {
  readonly type: string;
  readonly name: string;
  readonly id: string;
  readonly version: string;
  readonly description?: string;
  readonly started?: string;
  readonly metadata: Readonly<Record<string, string>>;
};

export type ServiceVerb = "PING" | "INFO" | "STATS";

/** All answers to a question of the services framework, as `nats micro` asks it; `of` narrows it to a name. */
export async function askServices(
  bus: Bus,
  verb: ServiceVerb,
  of?: string,
): Promise<readonly RegisteredService[]> {
  const subject = ["$SRV", verb, ...(of === undefined ? [] : [of])].join(".");
  const answers: RegisteredService[] = [];
  const options = { strategy: "timer", maxWait: GATHER_MS } as const;
  try {
    for await (const message of await bus.connection.requestMany(subject, undefined, options)) {
      answers.push(message.json<RegisteredService>());
    }
  } catch (error) {
    if (!(error instanceof errors.NoRespondersError)) throw error;
  }
  return answers.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
