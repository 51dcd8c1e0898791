// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF_PROG_TEST_RUN repeats one packet. This gives each repetition another
 * source, destination port or destination, and goes on into the program under
 * test by a tail call. For IPv4 without options in an untagged frame.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* Each field is drawn from `first` to `first + count - 1`; a count of 0 leaves it as it is. */
struct pw_range {
	__u32 first;
	__u32 count;
};

struct pw_variation {
	__u64 random; /* the generator's state; never 0 */
	struct pw_range source;
	struct pw_range destination;
	struct pw_range port;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pw_variation);
} variation SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} under_test SEC(".maps");

/* Marsaglia's xorshift64. */
static __always_inline __u32 draw(struct pw_variation *variation)
{
	__u64 state = variation->random;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	variation->random = state;
	return state >> 16;
}

SEC("xdp")
int varied(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(ethernet + 1);
	struct tcphdr *tcp = (void *)(ip + 1);
	struct pw_variation *vary;
	__u32 zero = 0;

	vary = bpf_map_lookup_elem(&variation, &zero);
	if (!vary || (void *)(tcp + 1) > end)
		return XDP_ABORTED;
	if (vary->source.count)
		ip->saddr = bpf_htonl(vary->source.first + draw(vary) % vary->source.count);
	if (vary->destination.count)
		ip->daddr =
			bpf_htonl(vary->destination.first + draw(vary) % vary->destination.count);
	if (vary->port.count)
		tcp->dest = bpf_htons(vary->port.first + draw(vary) % vary->port.count);
	bpf_tail_call(ctx, &under_test, 0);
	/* Nothing under test: what the variation itself costs. */
	return XDP_PASS;
}

/* What a repetition costs by itself, and is part of every figure. */
SEC("xdp")
int empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
