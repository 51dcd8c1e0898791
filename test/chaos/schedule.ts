import { SeededRandom } from "./seeded-random.ts";

/** What is done to a process: SIGKILL, SIGTERM or SIGSTOP; after a while it is started again, or goes on. */
const disturbances = ["kill", "stop", "pause"] as const;

export type Disturbance = {
  readonly kind: (typeof disturbances)[number];
  readonly atMs: number;
  readonly target: string;
  readonly forMs: number;
};

export type Scan = {
  readonly kind: "scan";
  readonly atMs: number;
  readonly scanner: string;
  /** An index into the hosts. */
  readonly host: number;
};

export type Step = Disturbance | Scan;

export type ScheduleOptions = {
  readonly seed: number;
  readonly durationMs: number;
  /** One that is named twice is disturbed twice as often. */
  readonly targets: readonly string[];
  readonly scanners: readonly string[];
  readonly hosts: number;
};

/** Between the beginnings of two disturbances; several are under way at once. */
const DISTURBANCE_GAP_MS = { min: 150, max: 1200 };
/** Shorter and longer than a detector's TTL, a telemetry interval, a publish that is given up. */
const DISTURBANCE_MS = { min: 50, max: 4000 };
/** How long a process is left alone after it: some have not even started by then. */
const REST_MS = { min: 200, max: 2500 };
const SCAN_GAP_MS = { min: 250, max: 900 };

/** What happens when: a function of its arguments alone, in the order of time. */
export function createSchedule(options: ScheduleOptions): readonly Step[] {
  const { seed } = options;
  const steps = [
    ...createDisturbances(options, new SeededRandom(seed)),
    ...createScans(options, new SeededRandom(~seed)),
  ];
  return steps.toSorted((a, b) => a.atMs - b.atMs);
}

function createDisturbances(
  { durationMs, targets }: ScheduleOptions,
  random: SeededRandom,
): readonly Disturbance[] {
  const created: Disturbance[] = [];
  const busyUntilMs = new Map<string, number>();
  const nextGap = () => random.integer(DISTURBANCE_GAP_MS.min, DISTURBANCE_GAP_MS.max);
  for (let atMs = nextGap(); atMs < durationMs; atMs += nextGap()) {
    const free = targets.filter((target) => (busyUntilMs.get(target) ?? 0) <= atMs);
    if (free.length === 0) continue;
    const target = random.pick(free);
    const kind = random.pick(disturbances);
    const forMs = random.integer(DISTURBANCE_MS.min, DISTURBANCE_MS.max);
    const restMs = random.integer(REST_MS.min, REST_MS.max);
    busyUntilMs.set(target, atMs + forMs + restMs);
    created.push({ kind, atMs, target, forMs });
  }
  return created;
}

/** Every scanner in turn, in an order that changes. */
function createScans(
  { durationMs, scanners, hosts }: ScheduleOptions,
  random: SeededRandom,
): readonly Scan[] {
  const created: Scan[] = [];
  let turn: string[] = [];
  const nextGap = () => random.integer(SCAN_GAP_MS.min, SCAN_GAP_MS.max);
  for (let atMs = nextGap(); atMs < durationMs; atMs += nextGap()) {
    if (turn.length === 0) turn = random.shuffle(scanners);
    const scanner = turn.pop() as string;
    created.push({ kind: "scan", atMs, scanner, host: random.integer(0, hosts - 1) });
  }
  return created;
}

export function formatStep(step: Step): string {
  const at = `${(step.atMs / 1000).toFixed(3).padStart(8)} s`;
  if (step.kind === "scan") return `${at}  scan   ${step.scanner} of host ${step.host}`;
  return `${at}  ${step.kind.padEnd(5)}  ${step.target} for ${step.forMs} ms`;
}
