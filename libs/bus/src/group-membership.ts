import { type KV, Kvm } from "@nats-io/kv";
import { StorageType } from "@nats-io/jetstream";
import { subjectToken } from "@packetwatch/contracts";
import type { Bus } from "./connect-bus.ts";
import type { Logger } from "./logger.ts";
import { MemberList } from "./member-list.ts";
import { type StreamMessage, StreamReader } from "./stream-reader.ts";

/** A member says that it lives so many times in a TTL: two may get lost. */
const BEATS_PER_TTL = 3;
const CHECK_INTERVAL_MS = 250;
/** Where a member's own word has not come back for this part of the TTL, nobody's can. */
const ECHO_SHARE = 0.5;
const MEMBER_PREFETCH = 512;

export type GroupMembershipOptions = {
  readonly bus: Bus;
  /** The KV bucket in which members announce themselves. */
  readonly bucket: string;
  readonly instance: string;
  /** After so long without a word a member counts as crashed. */
  readonly ttlMs: number;
  readonly replicas: number;
  /** Called with the names of all members, in order, whenever they change. */
  readonly onChange: (members: readonly string[]) => void;
  readonly logger: Logger;
};

/** Membership in a group: announces this instance, and follows who else is there. */
export class GroupMembership {
  readonly #options: GroupMembershipOptions;
  readonly #member: string;
  readonly #list: MemberList;
  readonly #reader: StreamReader;
  readonly #timers: readonly NodeJS.Timeout[];
  readonly #unsubscribe: () => void;
  #kv: Promise<KV> | undefined;
  #isCaughtUp = false;
  #isClosed = false;
  /** When this member last read its own word. */
  #echoMs = performance.now();
  #told = "";

  constructor(options: GroupMembershipOptions) {
    this.#options = options;
    this.#member = subjectToken(options.instance);
    this.#list = new MemberList(options.ttlMs);
    void this.#beat();
    this.#reader = this.#follow();
    this.#timers = [
      setInterval(() => void this.#beat(), options.ttlMs / BEATS_PER_TTL),
      setInterval(() => this.#check(), CHECK_INTERVAL_MS),
    ];
    this.#unsubscribe = options.bus.onReconnect(() => {
      this.#list.excuse(performance.now());
      void this.#beat();
    });
  }

  /** Leaves: the others take over at once. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#unsubscribe();
    await this.#reader.close();
    if (this.#options.bus.isConnected()) await this.#leave();
  }

  #follow(): StreamReader {
    const { bus, bucket, logger } = this.#options;
    return new StreamReader({
      bus,
      stream: `KV_${bucket}`,
      filter: `$KV.${bucket}.>`,
      start: { kind: "last_per_subject" },
      prefetch: MEMBER_PREFETCH,
      onMessage: (message) => this.#hear(message),
      onCaughtUp: () => {
        this.#isCaughtUp = true;
        this.#check();
      },
      logger,
    });
  }

  #hear({ subject, markerReason }: StreamMessage): void {
    const member = subject.slice(subject.lastIndexOf(".") + 1);
    if (member === this.#member) this.#echoMs = performance.now();
    if (markerReason !== undefined) this.#list.leave(member);
    else if (!this.#list.hear(member, performance.now())) {
      this.#options.logger.warn({ member }, "the group is full; a member is not counted");
    }
    if (this.#isCaughtUp) this.#check();
  }

  /**
   * Tells the members if they are others than last time. While NATS is away, or
   * a cluster elects the bucket's leader, they stay as they were.
   */
  #check(): void {
    if (this.#isClosed || !this.#isCaughtUp || !this.#options.bus.isConnected()) return;
    const nowMs = performance.now();
    if (nowMs - this.#echoMs > this.#options.ttlMs * ECHO_SHARE) return this.#list.excuse(nowMs);
    this.#list.hear(this.#member, nowMs);
    const members = this.#list.alive(nowMs);
    if (members.join() === this.#told) return;
    this.#told = members.join();
    this.#options.onChange(members);
  }

  async #beat(): Promise<void> {
    if (!this.#options.bus.isConnected()) return;
    try {
      const kv = await this.#bucket();
      if (!this.#isClosed) await kv.put(this.#member, "");
    } catch (error) {
      // The bucket may be gone with NATS's memory: it is made anew with the next beat.
      this.#kv = undefined;
      this.#options.logger.debug(
        { cause: (error as Error).message },
        "not announced; trying again",
      );
    }
  }

  async #leave(): Promise<void> {
    try {
      const kv = await this.#bucket();
      await kv.delete(this.#member);
    } catch (error) {
      this.#options.logger.warn(
        { cause: (error as Error).message },
        "could not take leave; the others wait for the TTL",
      );
    }
  }

  #bucket(): Promise<KV> {
    const { bus, bucket, ttlMs, replicas } = this.#options;
    this.#kv ??= new Kvm(bus.connection).create(bucket, {
      description: "Who is in the group; a member that says nothing is gone",
      ttl: ttlMs,
      history: 1,
      replicas,
      storage: StorageType.Memory,
    });
    return this.#kv;
  }
}
