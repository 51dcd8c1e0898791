// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sees every new TCP connection attempt on one interface, drops those of
 * blocked sources, and reports the rest through a ring buffer.
 *
 * Needs Linux 5.9 (bpf_link for XDP; the ring buffer and CAP_BPF are of 5.8).
 */
#include "parsing.h"

/* User space sets the sizes of the maps before load; these only have to be legal. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct pw_source_key);
	__type(value, struct pw_block);
} blocked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct pw_allow_key);
	__type(value, __u8);
} allowed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pw_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pw_live);
} live SEC(".maps");

/* A reading of the clock. Not pinned: it is worth nothing to the next program. */
struct pw_clock {
	__u64 tick;
	__u64 boot_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pw_clock);
} clock SEC(".maps");

/* An attempt that was reported while the ring was crowded. */
struct pw_sighting {
	__u64 boot_ns; /* 0 = none */
	__u64 source[2];
	__u64 destination[2];
	__be16 destination_port;
	__u16 reserved;
	struct bpf_spin_lock lock;
};

/* By a hash of what is compared: two that meet in one place drive each other out. */
#define PW_SIGHTINGS 16384

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PW_SIGHTINGS);
	__type(key, __u32);
	__type(value, struct pw_sighting);
} sightings SEC(".maps");

/* A blocked source of which the allow list was asked, and didn't hold it. */
struct pw_unallowed {
	__u64 source[2];
	__u64 tick; /* of the question; 0 = none */
	__u32 allow_changes;
	__u32 reserved;
};

/* By a hash of the source: two that meet in one place drive each other out. */
#define PW_UNALLOWED_BITS 8

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << PW_UNALLOWED_BITS);
	__type(key, __u32);
	__type(value, struct pw_unallowed);
} unallowed SEC(".maps");

const volatile struct pw_settings settings = {
	.ipv6_prefix_mask_be = {-1ULL, 0},
};

/* Puts the record's type into the BTF, where the decoder's test looks for it. */
const volatile struct pw_syn_record *const pw_syn_record_type = NULL;

struct pw_packet {
	void *ip; /* the IPv4 or IPv6 header */
	/* Which of both. 64 bits wide: the verifier follows no narrower value on the stack. */
	__u64 is_ipv6;
	__u8 flags; /* PW_SYN_* */
	__u8 tcp_flags;
	__u8 ttl;
	__be16 source_port;
	__be16 destination_port;
	__be16 window;
	__u8 source[16] __attribute__((aligned(8))); /* IPv6, or IPv4-mapped */
	__u8 destination[16] __attribute__((aligned(8)));
};

/*
 * Returns true for a connection attempt. A first fragment that ends before
 * the TCP flags counts as one: RFC 1858 knows no honest sender of it, and
 * nmap -f sends its SYNs this way. One that ends among the 8 bytes with the
 * flags counts too: Linux cuts these 8 off, and takes them from the next
 * fragment (ip_frag_queue() of net/ipv4/ip_fragment.c).
 */
static __always_inline bool parse_syn(struct pw_cursor *cursor, struct pw_packet *packet,
				      struct pw_counters *count, int *outcome)
{
	__u32 tcp_bytes = cursor->left;
	struct tcphdr *tcp = cursor->position;

	if (packet->flags & PW_SYN_FRAGMENT && tcp_bytes >= 4 &&
	    tcp_bytes < PW_TCP_FRAGMENT_BYTES) {
		if ((void *)tcp + 4 > cursor->frame_end)
			goto broken;
		packet->source_port = tcp->source;
		packet->destination_port = tcp->dest;
		packet->flags |= PW_SYN_FLAGS_HIDDEN;
		count->flags_hidden++;
		return true;
	}

	if (packet->flags & PW_SYN_FRAGMENT) {
		/* Ports to window: all that is read, and all that may be there. */
		tcp = pw_take(cursor, PW_TCP_FRAGMENT_BYTES);
	} else {
		tcp = pw_take(cursor, sizeof(*tcp));
	}
	if (!tcp)
		goto broken;
	packet->tcp_flags = ((__u8 *)tcp)[PW_TCP_FLAGS_OFFSET];
	packet->source_port = tcp->source;
	packet->destination_port = tcp->dest;
	packet->window = tcp->window;
	return (packet->tcp_flags & (PW_TCP_FLAG_SYN | PW_TCP_FLAG_ACK)) == PW_TCP_FLAG_SYN;

broken:
	*outcome = PW_BROKEN(PW_UNPARSED_TCP);
	return false;
}

/* Returns true for a connection attempt; else *outcome says what it was. */
static __always_inline bool parse_packet(struct xdp_md *ctx, struct pw_packet *packet,
					 struct pw_counters *count, int *outcome)
{
	void *data = (void *)(long)ctx->data;
	struct pw_cursor cursor = {
		.position = data,
		.frame_end = (void *)(long)ctx->data_end,
		.left = (long)ctx->data_end - (long)ctx->data,
	};

	*outcome = pw_parse_ethernet(&cursor, &packet->flags);
	if (*outcome == ETH_P_IP) {
		*outcome = pw_parse_ipv4(&cursor, &packet->ip, &packet->flags);
	} else if (*outcome == ETH_P_IPV6) {
		packet->is_ipv6 = 1;
		*outcome = pw_parse_ipv6(&cursor, &packet->ip, &packet->flags);
	} else if (*outcome >= 0) {
		*outcome = PW_NOT_OURS;
	}
	if (*outcome != IPPROTO_TCP)
		return false;
	return parse_syn(&cursor, packet, count, outcome);
}

static __always_inline void map_ipv4(__u8 *to, __be32 from)
{
	__u32 *words = (__u32 *)to;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = from;
}

/* Copied only now: most packets are no SYNs, and don't pay for it. */
static __always_inline void read_addresses(struct pw_packet *packet)
{
	if (!packet->is_ipv6) {
		const struct iphdr *ip = packet->ip;

		map_ipv4(packet->source, ip->saddr);
		map_ipv4(packet->destination, ip->daddr);
		packet->ttl = ip->ttl;
	} else {
		const struct ipv6hdr *ip = packet->ip;

		__builtin_memcpy(packet->source, &ip->saddr, sizeof(packet->source));
		__builtin_memcpy(packet->destination, &ip->daddr, sizeof(packet->destination));
		packet->ttl = ip->hop_limit;
	}
}

static __always_inline void source_key(const struct pw_packet *packet, struct pw_source_key *key)
{
	__u64 *halves = (__u64 *)key->address;

	__builtin_memcpy(key->address, packet->source, sizeof(key->address));
	if (!packet->is_ipv6)
		return;
	halves[0] &= settings.ipv6_prefix_mask_be[0];
	halves[1] &= settings.ipv6_prefix_mask_be[1];
}

static __always_inline bool is_allowed(const struct pw_packet *packet)
{
	struct pw_allow_key key = {.prefix_bits = 128};

	__builtin_memcpy(key.address, packet->source, sizeof(key.address));
	return bpf_map_lookup_elem(&allowed, &key);
}

static __always_inline struct pw_unallowed *find_unallowed(const struct pw_packet *packet)
{
	const __u64 *source = (const __u64 *)packet->source;
	__u64 hash = (source[0] ^ source[1]) * 0x9e3779b97f4a7c15ULL;
	__u32 index = hash >> (64 - PW_UNALLOWED_BITS);

	return bpf_map_lookup_elem(&unallowed, &index);
}

/*
 * As is_allowed(), for a source that is blocked. A flood of one would ask the
 * trie the same with every packet, for a fifth of what a drop costs. So it is
 * remembered that the trie doesn't hold a source, never that it does: until
 * user space says that it has changed the list, and for this tick only. The
 * tick is for those who change it and say nothing: an enforcer of an earlier
 * release, or one that has died in between.
 */
static __always_inline bool is_blocked_allowed(const struct pw_packet *packet,
					       const struct pw_live *state)
{
	const __u64 *source = (const __u64 *)packet->source;
	struct pw_unallowed *known = find_unallowed(packet);
	__u64 tick = bpf_jiffies64();
	__u32 changes;

	if (!known || !state)
		return is_allowed(packet);
	/* Before the trie is asked: a change that comes meanwhile makes void what is remembered. */
	changes = *(const volatile __u32 *)&state->allow_changes;
	if (known->tick == tick && known->allow_changes == changes &&
	    known->source[0] == source[0] && known->source[1] == source[1])
		return false;
	if (is_allowed(packet))
		return true;
	known->source[0] = source[0];
	known->source[1] = source[1];
	known->tick = tick;
	known->allow_changes = changes;
	return false;
}

/* A tick is 10 ms at most (CONFIG_HZ=100), and may come late. */
#define PW_READING_MARGIN_NS 20000000ULL

/* CLOCK_BOOTTIME when this tick was first seen here: the present, or up to a tick before. */
static __always_inline __u64 tick_boot_ns(void)
{
	__u64 tick = bpf_jiffies64();
	__u32 zero = 0;
	struct pw_clock *reading = bpf_map_lookup_elem(&clock, &zero);

	if (!reading)
		return bpf_ktime_get_boot_ns();
	if (reading->tick != tick) {
		reading->tick = tick;
		reading->boot_ns = bpf_ktime_get_boot_ns();
	}
	return reading->boot_ns;
}

/*
 * Reading the clock costs as much as all else that a drop does, and a flood of
 * a blocked source would pay for it with every packet. So it is read only
 * where the tick leaves it open.
 */
static __always_inline bool has_passed(__u64 boot_ns)
{
	if (boot_ns > tick_boot_ns() + PW_READING_MARGIN_NS)
		return false;
	return boot_ns <= bpf_ktime_get_boot_ns();
}

/* The source's block if it is in force now, else NULL. */
static __always_inline struct pw_block *find_block(const struct pw_packet *packet)
{
	struct pw_source_key key;
	struct pw_block *block;

	source_key(packet, &key);
	block = bpf_map_lookup_elem(&blocked, &key);
	if (block && block->expires_ns && has_passed(block->expires_ns))
		return NULL;
	return block;
}

static __always_inline void count_drop(struct pw_block *block)
{
	if (!block->first_drop_ns)
		block->first_drop_ns = bpf_ktime_get_boot_ns();
	/* Entries are shared by all CPUs, unlike the counters. */
	__sync_fetch_and_add(&block->dropped, 1);
}

static __always_inline bool is_enforcing(const struct pw_live *state)
{
	__u32 set;

	if (!state)
		return false;
	set = state->until_ns && has_passed(state->until_ns) ? state->set_after : state->set;
	return set == PW_SET_NOTHING ? state->enforce : set == PW_SET_ENFORCE;
}

/*
 * Looks up with source port 0, which no connection has: else a retried SYN,
 * or one whose ports a connection holds already, would find that connection
 * in place of the listener, and an open port would look closed.
 */
static __always_inline __u8 find_listener(struct xdp_md *ctx, const struct pw_packet *packet)
{
	struct bpf_sock_tuple tuple = {};
	__u32 tuple_bytes = sizeof(tuple.ipv6);
	struct bpf_sock *sock;

	if (!packet->is_ipv6) {
		tuple.ipv4.saddr = ((const __be32 *)packet->source)[3];
		tuple.ipv4.daddr = ((const __be32 *)packet->destination)[3];
		tuple.ipv4.dport = packet->destination_port;
		tuple_bytes = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, packet->source, sizeof(packet->source));
		__builtin_memcpy(tuple.ipv6.daddr, packet->destination,
				 sizeof(packet->destination));
		tuple.ipv6.dport = packet->destination_port;
	}
	sock = bpf_skc_lookup_tcp(ctx, &tuple, tuple_bytes, BPF_F_CURRENT_NETNS, 0);
	if (!sock)
		return PW_SYN_LISTENER_KNOWN;
	bpf_sk_release(sock);
	return PW_SYN_LISTENER_KNOWN | PW_SYN_LISTENER;
}

static __always_inline bool report(struct xdp_md *ctx, const struct pw_packet *packet)
{
	struct pw_syn_record *record;
	__u8 listener = settings.listener_lookup ? find_listener(ctx, packet) : 0;

	record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	if (!record)
		return false;
	record->version = PW_RECORD_VERSION;
	record->flags = packet->flags | listener;
	record->tcp_flags = packet->tcp_flags;
	record->ttl = packet->ttl;
	record->ifindex = ctx->ingress_ifindex;
	record->timestamp_ns = bpf_ktime_get_boot_ns();
	__builtin_memcpy(record->source, packet->source, sizeof(record->source));
	__builtin_memcpy(record->destination, packet->destination, sizeof(record->destination));
	record->source_port = packet->source_port;
	record->destination_port = packet->destination_port;
	record->window = packet->window;
	record->reserved = 0;
	bpf_ringbuf_submit(record, 0);
	return true;
}

static __always_inline bool is_crowded(void)
{
	return settings.thin_above_bytes &&
	       bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > settings.thin_above_bytes;
}

/* Where an attempt's sighting lies. Whoever aims at one place only has less of his thinned. */
static __always_inline struct pw_sighting *find_sighting(const struct pw_packet *packet)
{
	const __u64 *source = (const __u64 *)packet->source;
	const __u64 *destination = (const __u64 *)packet->destination;
	__u64 hash = packet->destination_port;
	__u32 index;

	hash = (hash ^ source[0]) * 0x9e3779b97f4a7c15ULL;
	hash = (hash ^ hash >> 32 ^ source[1]) * 0x9e3779b97f4a7c15ULL;
	hash = (hash ^ hash >> 32 ^ destination[0]) * 0x9e3779b97f4a7c15ULL;
	hash = (hash ^ hash >> 32 ^ destination[1]) * 0x9e3779b97f4a7c15ULL;
	index = (hash >> 32) % PW_SIGHTINGS;
	return bpf_map_lookup_elem(&sightings, &index);
}

/*
 * Whether the same source tried the same port of the same destination less
 * than PW_REPEAT_NS ago, and that was reported: once more tells detection
 * nothing but a later time.
 */
static __always_inline bool is_repeat(struct pw_sighting *sighting, const struct pw_packet *packet,
				      __u64 now_ns)
{
	const __u64 *source = (const __u64 *)packet->source;
	const __u64 *destination = (const __u64 *)packet->destination;
	bool same;

	bpf_spin_lock(&sighting->lock);
	same = sighting->boot_ns && now_ns < sighting->boot_ns + PW_REPEAT_NS &&
	       sighting->source[0] == source[0] && sighting->source[1] == source[1] &&
	       sighting->destination[0] == destination[0] &&
	       sighting->destination[1] == destination[1] &&
	       sighting->destination_port == packet->destination_port;
	bpf_spin_unlock(&sighting->lock);
	return same;
}

static __always_inline void note_sighting(struct pw_sighting *sighting,
					  const struct pw_packet *packet, __u64 now_ns)
{
	const __u64 *source = (const __u64 *)packet->source;
	const __u64 *destination = (const __u64 *)packet->destination;

	bpf_spin_lock(&sighting->lock);
	sighting->boot_ns = now_ns;
	sighting->source[0] = source[0];
	sighting->source[1] = source[1];
	sighting->destination[0] = destination[0];
	sighting->destination[1] = destination[1];
	sighting->destination_port = packet->destination_port;
	bpf_spin_unlock(&sighting->lock);
}

/*
 * Reports an attempt to a ring that fills faster than it is read, but not its
 * repetitions: they make room for those who try something new.
 */
static __always_inline void report_to_crowd(struct xdp_md *ctx, const struct pw_packet *packet,
					    struct pw_counters *count)
{
	struct pw_sighting *sighting = find_sighting(packet);
	__u64 now_ns = tick_boot_ns();

	if (sighting && is_repeat(sighting, packet, now_ns)) {
		count->thinned++;
	} else if (report(ctx, packet)) {
		count->reported++;
		if (sighting)
			note_sighting(sighting, packet, now_ns);
	} else {
		/* Not noted: what was lost has to be reported by its repetition. */
		count->ring_full++;
	}
}

/* Judges one connection attempt: every exit counts it exactly once. */
static __always_inline int judge_syn(struct xdp_md *ctx, struct pw_packet *packet,
				     struct pw_counters *count)
{
	__u32 zero = 0;
	struct pw_live *state = bpf_map_lookup_elem(&live, &zero);
	struct pw_block *block;

	read_addresses(packet);
	block = find_block(packet);
	if (packet->is_ipv6)
		count->syn_ipv6++;
	else
		count->syn_ipv4++;

	if (block ? is_blocked_allowed(packet, state) : is_allowed(packet)) {
		packet->flags |= PW_SYN_ALLOWED;
		count->allowed++;
		if (block)
			count->spared++;
	} else if (block) {
		count_drop(block);
		if (is_enforcing(state)) {
			count->dropped++;
			return XDP_DROP;
		}
		packet->flags |= PW_SYN_WOULD_DROP;
		count->would_drop++;
	}

	if (is_crowded())
		report_to_crowd(ctx, packet, count);
	else if (report(ctx, packet))
		count->reported++;
	else
		count->ring_full++;
	return XDP_PASS;
}

SEC("xdp")
int packetwatch(struct xdp_md *ctx)
{
	struct pw_packet packet = {};
	struct pw_counters *count;
	__u32 zero = 0;
	int outcome;

	count = bpf_map_lookup_elem(&counters, &zero);
	if (!count)
		return XDP_PASS;
	if (parse_packet(ctx, &packet, count, &outcome))
		return judge_syn(ctx, &packet, count);
	if (outcome < PW_NOT_OURS) {
		__u32 reason = pw_reason(outcome);

		if (reason < PW_UNPARSED_REASONS)
			count->unparsed[reason]++;
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
