import { type Bus, putKey } from "@packetwatch/bus";
import { type Environment, loadConfig } from "@packetwatch/config";
import {
  buckets,
  encodeEnforcement,
  type Enforcement,
  ENFORCEMENT_VERSION,
  enforcementKey,
} from "@packetwatch/contracts";
import { withBus } from "../block-list/with-bus.ts";
import { CliError } from "../cli-error.ts";
import { describeEffect, requireEffect } from "../hosts/effect-text.ts";
import { type Effect, HostWatch } from "../hosts/host-watch.ts";
import { operatorName } from "../operator-name.ts";
import { jsonText, printable } from "../printable.ts";
import { print } from "../terminal.ts";

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
  print(
    flags.json
      ? jsonText({ enforce, untilUs: setting.untilUs, ...effect })
      : `${describeEffect(verbs[enforce], effect)}${goesBack}`,
  );
  requireEffect(effect, { timeoutSeconds: flags.timeout });
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
    const isDone = (state: { readonly enforcementSequence: number }) =>
      state.enforcementSequence >= sequence;
    const effect = await hosts.until(isDone, { startMs, timeoutMs });
    return setting.host === null ? effect : only(effect, setting.host);
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

function only(effect: Effect, name: string): Effect {
  const isIt = (host: string) => host === name;
  return {
    ...effect,
    hosts: effect.hosts.filter(isIt),
    missing: effect.missing.filter(isIt),
    silent: effect.silent.filter(({ host }) => isIt(host)),
  };
}
