import type { Bus } from "@packetwatch/bus";
import {
  decodeHostBlocksReply,
  encodeHostBlocksRequest,
  type HostBlock,
  type HostBlocksReply,
  hostBlocksSubject,
  MAX_ASKED_SOURCES,
} from "@packetwatch/contracts";
import { inParallel } from "../in-parallel.ts";

/** Hosts that are asked at the same time. */
const MAX_ASKED_HOSTS = 32;
/** How long a host may take for one answer. */
const ANSWER_TIMEOUT_MS = 2000;

export type AskHostsOptions = {
  readonly bus: Bus;
  readonly hosts: readonly string[];
  readonly sources: readonly string[];
};

export type HostAnswer = {
  readonly host: string;
  /** Interfaces whose maps are open there. */
  readonly interfaces: readonly string[];
  readonly blocks: ReadonlyMap<string, HostBlock>;
};

export type HostAnswers = {
  /** In the order of the hosts' names. */
  readonly answers: readonly HostAnswer[];
  /** Hosts that gave no answer, or not all of it, in time. */
  readonly unanswered: readonly string[];
};

/** What the kernels of these hosts hold of these sources, asked in pages. A host that doesn't answer once is asked no more. */
export async function askHosts({ bus, hosts, sources }: AskHostsOptions): Promise<HostAnswers> {
  const answers: HostAnswer[] = [];
  const unanswered: string[] = [];
  await inParallel(hosts, MAX_ASKED_HOSTS, async (host) => {
    const answer = await askHost(bus, host, sources);
    if (answer) answers.push(answer);
    else unanswered.push(host);
  });
  const byName = (a: HostAnswer, b: HostAnswer) => (a.host < b.host ? -1 : 1);
  return { answers: answers.sort(byName), unanswered: unanswered.sort() };
}

async function askHost(
  bus: Bus,
  host: string,
  sources: readonly string[],
): Promise<HostAnswer | undefined> {
  const blocks = new Map<string, HostBlock>();
  let interfaces: readonly string[] = [];
  for (let start = 0; start < sources.length; start += MAX_ASKED_SOURCES) {
    const page = sources.slice(start, start + MAX_ASKED_SOURCES);
    const reply = await askPage(bus, host, page);
    if (reply === undefined) return undefined;
    interfaces = reply.interfaces;
    for (const block of reply.blocks) blocks.set(block.source, block);
  }
  return { host, interfaces, blocks };
}

/** Undefined where nobody answers, or with what is no answer. */
async function askPage(
  bus: Bus,
  host: string,
  sources: readonly string[],
): Promise<HostBlocksReply | undefined> {
  const payload = encodeHostBlocksRequest({ version: 1, sources: [...sources] });
  const timeout = ANSWER_TIMEOUT_MS;
  try {
    const { data } = await bus.connection.request(hostBlocksSubject(host), payload, { timeout });
    const reply = decodeHostBlocksReply(data);
    // Two names can make one subject: the answer may be another's.
    return reply.host === host ? reply : undefined;
  } catch {
    // No responder, no answer in time, a broken answer: the caller names the host.
    return undefined;
  }
}
