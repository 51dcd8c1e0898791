import { type SynEvent, synFlags } from "@packetwatch/contracts";
import type { AlertMark } from "../detector.ts";
import { type RuleName, ruleNames, type RulesConfig } from "../rules.ts";
import type { VerdictMark } from "../verdict-marks.ts";
import { NaiveWindow } from "./naive-window.ts";

export type NaiveDetection = {
  readonly rule: RuleName;
  readonly action: "block" | "alert";
  /** Those in the window, sorted as text. */
  readonly destinations: readonly string[];
  readonly ports: readonly string[];
  readonly count: number;
};

/** The contract of `Detector` written down naively: maps of strings that are never emptied, and no capacity. */
export class NaiveDetector {
  allowed = 0;
  quiet = 0;
  beforeUnblock = 0;
  coolingDown = 0;
  readonly #rules: RulesConfig;
  readonly #blockTtlUs: number;
  readonly #windows: Readonly<Record<RuleName, NaiveWindow>>;
  readonly #verdicts = new Map<string, VerdictMark[]>();
  /** Per source, the highest floor that an event has passed: a later verdict can't bring back what lay below. */
  readonly #passedUs = new Map<string, number>();
  readonly #coolDowns = new Map<string, number>();

  constructor(options: { readonly rules: RulesConfig; readonly blockTtlUs: number }) {
    this.#rules = options.rules;
    this.#blockTtlUs = options.blockTtlUs;
    this.#windows = {
      vertical: new NaiveWindow(options.rules.vertical),
      horizontal: new NaiveWindow(options.rules.horizontal),
      spread: new NaiveWindow(options.rules.spread),
    };
  }

  get late(): number {
    return ruleNames.reduce((sum, rule) => sum + this.#windows[rule].late, 0);
  }

  observe(event: SynEvent): NaiveDetection[] {
    if (event.flags === synFlags.allowed) {
      this.allowed++;
      return [];
    }
    const source = sourceOf(event);
    const verdict = this.#lastVerdict(source);
    const floorUs = Math.max(floorOf(verdict), this.#passedUs.get(source) ?? -Infinity);
    if (event.timeUs < floorUs) {
      if (verdict?.kind === "block") this.quiet++;
      else this.beforeUnblock++;
      return [];
    }
    this.#passedUs.set(source, floorUs);
    const detections = ruleNames.flatMap((rule) => this.#apply(rule, event, floorUs));
    const block = detections.find(({ action }) => action === "block");
    if (block !== undefined) this.#block(event);
    return detections.filter((detection) => detection === block || detection.action === "alert");
  }

  applyVerdict(verdict: VerdictMark): void {
    const source = verdict.sourceKey.join(".");
    this.#verdicts.set(source, [...(this.#verdicts.get(source) ?? []), verdict]);
  }

  applyAlert({ rule, sourceKey, issuedUs }: AlertMark): void {
    const { action, windowUs } = this.#rules[rule];
    if (action !== "alert") return;
    const ruleAndSource = `${rule} ${sourceKey.join(".")}`;
    const knownUs = this.#coolDowns.get(ruleAndSource) ?? -Infinity;
    this.#coolDowns.set(ruleAndSource, Math.max(knownUs, issuedUs + windowUs));
  }

  #apply(rule: RuleName, event: SynEvent, floorUs: number): NaiveDetection[] {
    const { action, windowUs } = this.#rules[rule];
    if (action === "off") return [];
    const ruleAndSource = `${rule} ${sourceOf(event)}`;
    const coolUs = this.#coolDowns.get(ruleAndSource) ?? -Infinity;
    if (event.timeUs < coolUs) {
      this.coolingDown++;
      return [];
    }
    const window = this.#windows[rule];
    const { key, item } = keyAndItem(rule, event);
    const startUs = Math.max(floorUs, coolUs);
    if (!window.observe({ key, item, timeUs: event.timeUs, floorUs: startUs })) return [];
    const items = window.inWindow(key, startUs);
    if (action === "alert") this.#coolDowns.set(ruleAndSource, event.timeUs + windowUs);
    const pairs = items.map((found) => destinationAndPort(rule, found, event));
    const destinations = [...new Set(pairs.map(([destination]) => destination))].toSorted();
    const ports = [...new Set(pairs.map(([, port]) => port))].toSorted();
    return [{ rule, action, destinations, ports, count: items.length }];
  }

  #block(event: SynEvent): void {
    const expiresUs = this.#blockTtlUs === 0 ? undefined : event.timeUs + this.#blockTtlUs;
    const sourceKey = [event.s0, event.s1, event.s2, event.s3] as const;
    this.applyVerdict({ kind: "block", sourceKey, issuedUs: event.timeUs, expiresUs });
  }

  #lastVerdict(source: string): VerdictMark | undefined {
    return (this.#verdicts.get(source) ?? []).toSorted(byPrecedence).at(-1);
  }
}

function floorOf(verdict: VerdictMark | undefined): number {
  if (verdict === undefined) return -Infinity;
  return verdict.kind === "unblock" ? verdict.issuedUs + 1 : (verdict.expiresUs ?? Infinity);
}

/** Issue, then an unblock over a block, then the longer block. */
function byPrecedence(left: VerdictMark, right: VerdictMark): number {
  if (left.issuedUs !== right.issuedUs) return left.issuedUs - right.issuedUs;
  if (left.kind === "unblock" || right.kind === "unblock") return left.kind === "unblock" ? 1 : -1;
  return (left.expiresUs ?? Number.MAX_VALUE) - (right.expiresUs ?? Number.MAX_VALUE);
}

function sourceOf(event: SynEvent): string {
  return [event.s0, event.s1, event.s2, event.s3].join(".");
}

function destinationOf(event: SynEvent): string {
  return [event.d0, event.d1, event.d2, event.d3].join(".");
}

function destinationAndPort(
  rule: RuleName,
  item: string,
  event: SynEvent,
): readonly [string, string] {
  if (rule === "vertical") return [destinationOf(event), item];
  if (rule === "horizontal") return [item, String(event.destinationPort)];
  const [destination = "", port = ""] = item.split(" ");
  return [destination, port];
}

function keyAndItem(rule: RuleName, event: SynEvent): { key: string; item: string } {
  const source = sourceOf(event);
  const destination = destinationOf(event);
  const port = String(event.destinationPort);
  if (rule === "vertical") return { key: `${source} ${destination}`, item: port };
  if (rule === "horizontal") return { key: `${source} ${port}`, item: destination };
  return { key: source, item: `${destination} ${port}` };
}
