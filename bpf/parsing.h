/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Parse helpers: each checks bounds, advances the cursor behind its header and
 * returns what comes next, or a negative pw_unparsed reason, see pw_reason().
 *
 * `end` of the cursor is the end of the IP datagram once its header is known,
 * never only the end of the frame: Ethernet pads short frames, and padding
 * read as a TCP header would hide the fragments that nmap -f sends.
 */
#ifndef PACKETWATCH_PARSING_H
#define PACKETWATCH_PARSING_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "packetwatch.h"

/* Not in the UAPI headers: the fields of frag_off, host byte order. */
#define PW_IPV4_MORE_FRAGMENTS 0x2000
#define PW_IPV4_FRAGMENT_OFFSET 0x1fff
#define PW_IPV6_MORE_FRAGMENTS 0x0001
#define PW_IPV6_FRAGMENT_OFFSET 0xfff8

#define PW_TCP_FLAGS_OFFSET 13
/* The least of a TCP header that a first fragment shows its flags with. */
#define PW_TCP_FRAGMENT_BYTES 16
#define PW_TCP_FLAG_SYN 0x02
#define PW_TCP_FLAG_ACK 0x10

/* Both forms of a VLAN header: IEEE 802.1Q and 802.1ad. */
struct pw_vlan_header {
	__be16 tci;
	__be16 encapsulated_proto;
};

/* RFC 8200, section 4.3 ff.: how every extension header begins. */
struct pw_ipv6_extension {
	__u8 next_header;
	__u8 length; /* not for Fragment, which has a fixed one */
};

/* What follows those two bytes in a Fragment header. */
struct pw_ipv6_fragment_rest {
	__be16 fragment_offset; /* and flags */
	__be32 identification;
} __attribute__((packed));

struct pw_cursor {
	void *position;
	void *frame_end; /* what the verifier lets us read */
	__u32 left;	 /* bytes of the IP datagram behind position */
};

/* The outcome of a parse: a protocol number or EtherType, or one of these. */
#define PW_NOT_OURS (-1) /* understood, and nothing that we watch */
#define PW_BROKEN(reason) (-2 - (int)(reason))

static __always_inline enum pw_unparsed pw_reason(int outcome)
{
	return (enum pw_unparsed)(-2 - outcome);
}

/* Takes `size` bytes of the datagram, or returns NULL where they aren't there. */
static __always_inline void *pw_take(struct pw_cursor *cursor, __u32 size)
{
	void *header = cursor->position;

	if (header + size > cursor->frame_end || size > cursor->left)
		return NULL;
	cursor->position = header + size;
	cursor->left -= size;
	return header;
}

static __always_inline int pw_parse_ethernet(struct pw_cursor *cursor, __u8 *flags)
{
	struct ethhdr *ethernet = pw_take(cursor, sizeof(*ethernet));
	__be16 protocol;

	if (!ethernet)
		return PW_BROKEN(PW_UNPARSED_ETHERNET);
	protocol = ethernet->h_proto;

#pragma unroll
	for (int tags = 0; tags <= PW_MAX_VLAN_TAGS; tags++) {
		struct pw_vlan_header *vlan;

		if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
			return bpf_ntohs(protocol);
		if (tags == PW_MAX_VLAN_TAGS)
			break;
		vlan = pw_take(cursor, sizeof(*vlan));
		if (!vlan)
			break;
		*flags |= PW_SYN_VLAN;
		protocol = vlan->encapsulated_proto;
	}
	return PW_BROKEN(PW_UNPARSED_VLAN);
}

/* Returns the protocol behind the header; PW_NOT_OURS for later fragments. */
static __always_inline int pw_parse_ipv4(struct pw_cursor *cursor, void **ip, __u8 *flags)
{
	__u32 datagram_bytes = cursor->left;
	struct iphdr *header = pw_take(cursor, sizeof(*header));
	__u32 header_bytes, total_bytes;
	__u16 fragment;

	if (!header || header->version != 4 || header->ihl < 5)
		return PW_BROKEN(PW_UNPARSED_IPV4);

	header_bytes = header->ihl * 4;
	total_bytes = bpf_ntohs(header->tot_len);
	if (total_bytes < header_bytes)
		return PW_BROKEN(PW_UNPARSED_IPV4);
	if (total_bytes < datagram_bytes)
		cursor->left = total_bytes - sizeof(*header);

	/* The verifier loses a pointer that advances by an unbounded value. */
	if (!pw_take(cursor, (header_bytes - sizeof(*header)) & 0x3c))
		return PW_BROKEN(PW_UNPARSED_IPV4);

	fragment = bpf_ntohs(header->frag_off);
	if (fragment & PW_IPV4_FRAGMENT_OFFSET)
		return PW_NOT_OURS;
	if (fragment & PW_IPV4_MORE_FRAGMENTS)
		*flags |= PW_SYN_FRAGMENT;
	*ip = header;
	return header->protocol;
}

/*
 * The unit of an extension header's length field, as a power of two; 0 for
 * what is no extension header. A table and shifts, because the verifier
 * follows each comparison of a type through all the iterations that come.
 */
static const volatile __u8 pw_ipv6_extension_shift[256] = {
	[IPPROTO_HOPOPTS] = 3,
	[IPPROTO_ROUTING] = 3,
	[IPPROTO_FRAGMENT] = 3,
	[IPPROTO_AH] = 2,
	[IPPROTO_DSTOPTS] = 3,
	[IPPROTO_MH] = 3,
	[139] = 3, /* HIP, RFC 7401 */
	[140] = 3, /* Shim6, RFC 5533 */
};

/*
 * Skips one extension header. Returns the next header's number; PW_NOT_OURS
 * for later fragments.
 */
static __always_inline int pw_skip_ipv6_extension(struct pw_cursor *cursor, __u8 type, __u8 *flags)
{
	struct pw_ipv6_extension *extension = pw_take(cursor, sizeof(*extension));
	__u32 shift = pw_ipv6_extension_shift[type];
	__u8 next;
	__u32 bytes;

	if (!extension)
		return PW_BROKEN(PW_UNPARSED_IPV6_EXTENSION);
	next = extension->next_header;
	/* AH counts 4-byte units plus 2, the others 8-byte units plus 1. */
	bytes = (extension->length + 4 - shift) << shift;

	if (type == IPPROTO_FRAGMENT) {
		/* Its second byte is reserved: receivers ignore it (RFC 8200, 4.5). */
		__be16 *fragment = pw_take(cursor, sizeof(struct pw_ipv6_fragment_rest));

		if (!fragment)
			return PW_BROKEN(PW_UNPARSED_IPV6_EXTENSION);
		if (*fragment & bpf_htons(PW_IPV6_FRAGMENT_OFFSET))
			return PW_NOT_OURS;
		if (*fragment & bpf_htons(PW_IPV6_MORE_FRAGMENTS))
			*flags |= PW_SYN_FRAGMENT;
		return next;
	}
	if (!pw_take(cursor, (bytes - sizeof(*extension)) & 0xfff))
		return PW_BROKEN(PW_UNPARSED_IPV6_EXTENSION);
	return next;
}

/* Returns the protocol behind the header and its extensions. */
static __always_inline int pw_parse_ipv6(struct pw_cursor *cursor, void **ip, __u8 *flags)
{
	struct ipv6hdr *header = pw_take(cursor, sizeof(*header));
	__u32 payload_bytes;
	int type;

	if (!header || header->version != 6)
		return PW_BROKEN(PW_UNPARSED_IPV6);
	/* A jumbogram says 0 here (RFC 2675) and is as long as its frame. */
	payload_bytes = bpf_ntohs(header->payload_len);
	if (payload_bytes && payload_bytes < cursor->left)
		cursor->left = payload_bytes;

	type = header->nexthdr;
	for (int headers = 0; headers < PW_MAX_EXTENSION_HEADERS; headers++) {
		if (!pw_ipv6_extension_shift[(__u8)type])
			break;
		type = pw_skip_ipv6_extension(cursor, type, flags);
		if (type < 0)
			return type;
	}
	if (pw_ipv6_extension_shift[(__u8)type])
		return PW_BROKEN(PW_UNPARSED_IPV6_EXTENSION);
	*ip = header;
	return type;
}

#endif /* PACKETWATCH_PARSING_H */
