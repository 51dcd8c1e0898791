// SPDX-License-Identifier: GPL-2.0-only
/* Maps of every type that libs/bpf reads, and programs that fill a ring buffer on command. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct fixture_value {
	__u64 expires_ns;
	__u64 dropped;
};

enum fixture_kind {
	FIXTURE_FIRST = 3,
	FIXTURE_SECOND
};

typedef __u16 port_t;

/* Padding after `tag`, an array of arrays, a typedef, a pointer, a nested struct and two bit
 * fields. */
struct fixture_layout {
	__u8 tag;
	__u64 time;
	const volatile port_t ports[2][3];
	void *pointer;
	struct fixture_value nested;
	enum fixture_kind kind;
	__u32 low : 4;
	__u32 high : 12;
};

/* BTF has the types of globals. */
struct fixture_layout layout;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct fixture_value);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, 8);
	__uint(value_size, 4);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__uint(value_size, 12);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} live SEC(".maps");

/* A type without batch operations, and in which most keys have no value. */
struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

volatile const __u32 first_setting = 7;
volatile const struct fixture_value second_setting = {.dropped = 9};

__u64 sequence;

struct record {
	__u64 sequence;
	__u32 ifindex;
	__u32 setting;
};

/* Writes one record: 13 bytes if the packet's first byte is 13, none that is kept if it is 0xff,
 * else 16. */
SEC("xdp")
int produce(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	struct record *record;
	__u8 command;

	if (data + 1 > (__u8 *)(long)ctx->data_end)
		return XDP_ABORTED;
	command = data[0];
	if (command == 13)
		record = bpf_ringbuf_reserve(&events, 13, 0);
	else
		record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	if (!record)
		return XDP_DROP;
	record->sequence = sequence++;
	record->ifindex = ctx->ingress_ifindex;
	if (command != 13)
		record->setting = first_setting + second_setting.dropped;
	if (command == 0xff)
		bpf_ringbuf_discard(record, 0);
	else
		bpf_ringbuf_submit(record, 0);
	return XDP_PASS;
}

/* Turns the packet's first byte over and puts 4 bytes in front. */
SEC("xdp")
int rewrite(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;

	if (data + 1 > (__u8 *)(long)ctx->data_end)
		return XDP_ABORTED;
	data[0] = ~data[0];
	if (bpf_xdp_adjust_head(ctx, -4))
		return XDP_ABORTED;
	return XDP_TX;
}

/* Counts in the first slot of the per-CPU array. */
SEC("xdp")
int count(struct xdp_md *ctx)
{
	__u64 *counter;
	__u32 zero = 0;

	counter = bpf_map_lookup_elem(&counters, &zero);
	if (counter)
		++*counter;
	return 77;
}

char _license[] SEC("license") = "GPL";
