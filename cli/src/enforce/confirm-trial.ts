import type { Bus } from "@packetwatch/bus";
import { type Environment, loadConfig } from "@packetwatch/config";
import {
  bucketStream,
  bucketSubject,
  buckets,
  decodeEnforcement,
  type Enforcement,
  enforcementKey,
} from "@packetwatch/contracts";
import { withBus } from "../block-list/with-bus.ts";
import { CliError } from "../cli-error.ts";
import { readLastMessages } from "../fleet/read-snapshot.ts";
import { describeEffect } from "../hosts/effect.ts";
import { reportEffect } from "../hosts/report-effect.ts";
import { operatorName } from "../operator-name.ts";
import { Rejections } from "../tail/rejections.ts";
import { storeEnforcement } from "./set-enforcement.ts";

export type ConfirmFlags = {
  readonly timeout: number;
  readonly host?: string;
  readonly json?: true;
};

/** Stores what is on trial for good: stored later, it holds in the trial's place. */
export async function confirmTrial(flags: ConfirmFlags, from: Environment): Promise<void> {
  const config = loadConfig("cli", from);
  const timeoutMs = flags.timeout * 1000;
  const setBy = operatorName(config.host, from);
  const work = async (bus: Bus) => {
    const trial = await readTrial(bus, flags.host, timeoutMs);
    const lasting = { ...trial, setBy, setUs: Date.now() * 1000, untilUs: null };
    return { trial, effect: await storeEnforcement(bus, lasting, timeoutMs) };
  };
  const done = await withBus({ config, command: "enforce confirm", timeoutMs, work });
  const { enforce } = done.trial;
  const words = { verb: `confirmed '${enforce}'` };
  reportEffect(done.effect, {
    text: describeEffect(words, done.effect),
    json: flags.json && { enforce },
  });
}

async function readTrial(
  bus: Bus,
  host: string | undefined,
  timeoutMs: number,
): Promise<Enforcement> {
  const key = enforcementKey({ host, kind: "trial" });
  const stream = bucketStream(buckets.enforcement);
  const filter = bucketSubject(buckets.enforcement, key);
  const rejections = new Rejections();
  const [message] = await readLastMessages({ bus, stream, filter, timeoutMs });
  const trial = message && rejections.orCount(() => decodeEnforcement(message.payload));
  if (trial !== undefined && (trial.untilUs ?? 0) > Date.now() * 1000) return trial;
  const where = host === undefined ? "the fleet" : host;
  const detail = `nothing is on trial for ${where}; it has gone back, or was never set with --confirm`;
  throw new CliError("NO_TRIAL", detail);
}
