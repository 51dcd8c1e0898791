/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the XDP program and user space agree on: records, map values, names
 * and limits. libs/bpf reads the same layouts from the object's BTF, and a
 * test compares them with the decoder's, so a change here that is not made
 * there fails.
 *
 * Byte order: addresses and values of type __be16 are in network byte order;
 * everything else is in the host's.
 */
#ifndef PACKETWATCH_H
#define PACKETWATCH_H

#include <linux/types.h>

#define PW_RECORD_VERSION 1

/* VLAN tags walked before the frame is passed as unparsed (QinQ is two). */
#define PW_MAX_VLAN_TAGS 2
/* IPv6 extension headers walked before the packet is passed as unparsed. */
#define PW_MAX_EXTENSION_HEADERS 8

/* How long a reported attempt makes its repetitions needless, where the ring is crowded. */
#define PW_REPEAT_NS 1000000000ULL

/* Bits of pw_syn_record.flags. */
#define PW_SYN_ALLOWED (1 << 0)	       /* the source is allow-listed */
#define PW_SYN_LISTENER (1 << 1)       /* the destination port has a listener */
#define PW_SYN_LISTENER_KNOWN (1 << 2) /* the listener lookup was made */
#define PW_SYN_VLAN (1 << 3)	       /* the frame carried a VLAN tag */
#define PW_SYN_FRAGMENT (1 << 4)       /* the packet is a first fragment */
#define PW_SYN_FLAGS_HIDDEN (1 << 5)   /* its TCP flags lie in a later fragment */
#define PW_SYN_WOULD_DROP (1 << 6)     /* blocked, passed because enforcement is off */

/* One connection attempt, as it lies in the ring buffer. */
struct pw_syn_record {
	__u8 version;	/* PW_RECORD_VERSION */
	__u8 flags;	/* PW_SYN_* */
	__u8 tcp_flags; /* byte 13 of the TCP header; 0 when hidden */
	__u8 ttl;	/* IPv4 TTL or IPv6 hop limit */
	__u32 ifindex;
	__u64 timestamp_ns; /* CLOCK_BOOTTIME */
	__u8 source[16];    /* IPv6, or IPv4-mapped IPv6 */
	__u8 destination[16];
	__be16 source_port;
	__be16 destination_port;
	__be16 window; /* 0 when hidden */
	__u16 reserved;
};
_Static_assert(sizeof(struct pw_syn_record) == 56, "ring buffer record v1 is 56 bytes");

/*
 * A source as it is judged and blocked: IPv4 whole, IPv6 cut to a prefix
 * (see pw_settings), both as 16 bytes of IPv6.
 */
struct pw_source_key {
	__u8 address[16];
};
_Static_assert(sizeof(struct pw_source_key) == 16, "source key is 16 bytes");

/* Value of the `blocked` map. */
struct pw_block {
	__u64 expires_ns;    /* CLOCK_BOOTTIME; 0 = until it is removed */
	__u64 dropped;	     /* SYNs dropped, or that would have been */
	__u64 first_drop_ns; /* CLOCK_BOOTTIME; 0 = none yet */
};
_Static_assert(sizeof(struct pw_block) == 24, "block is 24 bytes");

/* Key of the `allowed` LPM trie; an IPv4 prefix counts 96 bits more. */
struct pw_allow_key {
	__u32 prefix_bits;
	__u8 address[16];
};
_Static_assert(sizeof(struct pw_allow_key) == 20, "allow key is 20 bytes");

/* Reasons for which a packet is passed without having been understood. */
enum pw_unparsed {
	PW_UNPARSED_ETHERNET,	    /* shorter than an Ethernet header */
	PW_UNPARSED_VLAN,	    /* cut inside a tag, or more than PW_MAX_VLAN_TAGS */
	PW_UNPARSED_IPV4,	    /* cut inside the header, or a bad version or length */
	PW_UNPARSED_IPV6,	    /* cut inside the header, or a bad version */
	PW_UNPARSED_IPV6_EXTENSION, /* cut, or more than PW_MAX_EXTENSION_HEADERS */
	PW_UNPARSED_TCP,	    /* cut inside the TCP header */
	PW_UNPARSED_REASONS,
};

/*
 * Value of the `counters` per-CPU array (one entry). Every SYN is counted
 * once in syn_ipv4 or syn_ipv6, and then once in exactly one of reported,
 * ring_full, dropped and thinned:
 *     syn_ipv4 + syn_ipv6 = reported + ring_full + dropped + thinned
 */
struct pw_counters {
	__u64 syn_ipv4;
	__u64 syn_ipv6;
	__u64 reported;	    /* written to the ring buffer */
	__u64 ring_full;    /* passed, and lost to the ring buffer */
	__u64 dropped;	    /* XDP_DROP */
	__u64 would_drop;   /* blocked, passed because enforcement is off */
	__u64 allowed;	    /* from an allow-listed source */
	__u64 spared;	    /* blocked, passed because it is allow-listed */
	__u64 flags_hidden; /* first fragments that end before the TCP flags */
	__u64 thinned;	    /* passed, a repetition left out of a crowded ring */
	__u64 unparsed[PW_UNPARSED_REASONS];
};

/* Read-only settings, set before load. */
struct pw_settings {
	__u64 ipv6_prefix_mask_be[2]; /* cuts an IPv6 source to its key */
	__u8 listener_lookup;	      /* fill in PW_SYN_LISTENER; costs a socket lookup */
	__u8 reserved[3];
	__u32 thin_above_bytes; /* repetitions are left out of a ring with more; 0 = never */
};
_Static_assert(sizeof(struct pw_settings) == 24, "settings are 24 bytes");

/* Values of pw_live.set and pw_live.set_after. */
#define PW_SET_NOTHING 0 /* `enforce` holds */
#define PW_SET_ENFORCE 1
#define PW_SET_DRY_RUN 2

/*
 * Value of the `live` array (one entry): what changes while the program runs.
 * capture writes `enforce`, enforcer the rest. A trial that nobody confirms
 * ends here, so that it ends with no process alive.
 */
struct pw_live {
	__u32 enforce;	 /* 0 = dry run: count would-drops, drop nothing */
	__u32 set;	 /* PW_SET_*, in place of `enforce`, until until_ns */
	__u32 set_after; /* PW_SET_*, from until_ns on */
	/* Another number whenever something was added to `allowed`, and after that. */
	__u32 allow_changes;
	__u64 until_ns; /* CLOCK_BOOTTIME; 0 = for ever */
	/* When the list was made that `blocked` is equal to; microseconds since 1970, 0 = unknown.
	 * Not read here. */
	__u64 list_us;
};
_Static_assert(sizeof(struct pw_live) == 32, "live is 32 bytes");

#endif /* PACKETWATCH_H */
