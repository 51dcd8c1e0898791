import { type Bus, putKey } from "@packetwatch/bus";
import { type Environment, loadConfig } from "@packetwatch/config";
import {
  buckets,
  encodeEnforcement,
  type Enforcement,
  ENFORCEMENT_VERSION,
  enforcementKey,
  type HostState,
} from "@packetwatch/contracts";
import { withBus } from "../block-list/with-bus.ts";
import { CliError } from "../cli-error.ts";
import { describeEffect, type Effect } from "../hosts/effect.ts";
import { HostWatch, type Settled } from "../hosts/host-watch.ts";
import { reportEffect } from "../hosts/report-effect.ts";
import { operatorName } from "../operator-name.ts";
import { printable } from "../printable.ts";
import { IsoTime } from "../tail/time-text.ts";

export type Enforce = Enforcement["enforce"];

export type SetFlags = {
  readonly timeout: number;
  readonly host?: string;
  readonly confirm?: number;
  readonly json?: true;
};

const verbs = {
  on: "dropping",
  off: "dry run",
  default: "back to PW_ENFORCE",
} as const satisfies Record<Enforce, string>;

export async function setEnforcement(
  enforce: Enforce,
  flags: SetFlags,
  from: Environment,
): Promise<void> {
  const config = loadConfig("cli", from);
  const timeoutMs = flags.timeout * 1000;
  const setUs = Date.now() * 1000;
  const setting: Enforcement = {
    version: ENFORCEMENT_VERSION,
    host: flags.host ?? null,
    enforce,
    setBy: operatorName(config.host, from),
    setUs,
    untilUs: flags.confirm === undefined ? null : setUs + Math.round(flags.confirm * 1e6),
  };
  const work = (bus: Bus) => storeEnforcement(bus, setting, timeoutMs);
  const effect = await withBus({ config, command: "enforce", timeoutMs, work });
  const goesBack =
    flags.confirm === undefined
      ? ""
      : `; goes back in ${flags.confirm} s unless 'packetwatch enforce confirm' comes`;
  const words = { verb: verbs[enforce] };
  reportEffect(effect, {
    text: `${describeEffect(words, effect)}${goesBack}`,
    json: flags.json && { enforce, until: endOf(setting), untilUs: setting.untilUs },
  });
}

/** As other commands write times. */
function endOf({ untilUs }: Enforcement): string | null {
  return untilUs === null ? null : new IsoTime().format(untilUs);
}

/** Stores a setting, and waits until the hosts that it concerns have it in their kernels. */
export async function storeEnforcement(
  bus: Bus,
  setting: Enforcement,
  timeoutMs: number,
): Promise<Effect> {
  const hosts = await HostWatch.open(bus, timeoutMs);
  try {
    if (setting.host !== null) requireHost(hosts, setting.host);
    const startMs = performance.now();
    const sequence = await store(bus, setting);
    const judge = ({ enforcementSequence, interfaces }: HostState): Settled => {
      if (enforcementSequence < sequence) return undefined;
      return interfaces.length === 0 ? "idle" : "done";
    };
    return await hosts.until(judge, { startMs, timeoutMs, onlyHost: setting.host ?? undefined });
  } finally {
    hosts.close();
  }
}

async function store(bus: Bus, setting: Enforcement): Promise<number> {
  const { host, untilUs, setUs } = setting;
  const kind = untilUs === null ? "lasting" : "trial";
  const key = enforcementKey({ host: host ?? undefined, kind });
  const options = untilUs === null ? {} : { ttlSeconds: (untilUs - setUs) / 1e6 };
  const place = { bucket: buckets.enforcement, key };
  const { sequence } = await putKey(bus, place, encodeEnforcement(setting), options);
  return sequence;
}

/** A mistyped name would be stored, and change nothing. */
function requireHost(hosts: HostWatch, name: string): void {
  const known = [...hosts.live, ...hosts.silent].map(({ host }) => host);
  if (known.includes(name)) return;
  const names = known.length === 0 ? "none" : known.map(printable).join(", ");
  throw new CliError("NO_SUCH_HOST", `no host ${printable(name)} was heard; known: ${names}`);
}
