// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sends SYNs at a rate through a packet socket, past the queueing discipline:
 * what a scanner or a flood puts on the wire. Each field is drawn from FIRST
 * to FIRST + COUNT - 1, but the ports of a single source, which go up.
 *
 *     syn-generator INTERFACE RATE SECONDS SOURCE COUNT DESTINATION COUNT PORT COUNT
 *
 * The frames carry a MAC address that is nobody's: the XDP program sees them
 * as any others, and the stack behind it drops them at once, so that it isn't
 * the stack that is measured. Prints what it sent as JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64
#define FRAME_BYTES (sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr))

struct range {
	uint32_t first;
	uint32_t count;
};

static uint8_t frames[BATCH][FRAME_BYTES];
static struct iovec pieces[BATCH];
static struct mmsghdr messages[BATCH];
static uint64_t state = 0x9e3779b97f4a7c15ULL;

static void fail(const char *operation)
{
	fprintf(stderr, "syn-generator: %s: %s\n", operation, strerror(errno));
	exit(1);
}

static uint32_t draw(struct range range)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return range.first + (uint32_t)(state >> 16) % range.count;
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static struct range address_range(const char *first, const char *count)
{
	struct in_addr address;

	if (inet_pton(AF_INET, first, &address) != 1) {
		fprintf(stderr, "syn-generator: %s is no IPv4 address\n", first);
		exit(2);
	}
	return (struct range){ntohl(address.s_addr), strtoul(count, NULL, 10)};
}

static int open_socket(const char *interface)
{
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	struct sockaddr_ll address = {.sll_family = AF_PACKET};
	int on = 1;

	if (fd < 0)
		fail("open a packet socket");
	address.sll_ifindex = if_nametoindex(interface);
	if (!address.sll_ifindex)
		fail(interface);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		fail("bind the socket");
	if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)))
		fail("go past the queueing discipline");
	return fd;
}

static void prepare_frames(void)
{
	for (int index = 0; index < BATCH; index++) {
		struct ethhdr *ethernet = (void *)frames[index];
		struct iphdr *ip = (void *)(ethernet + 1);
		struct tcphdr *tcp = (void *)(ip + 1);

		/* Locally administered, and nobody's. */
		memcpy(ethernet->h_dest, "\x02\x00\x5e\x00\x53\x01", ETH_ALEN);
		memcpy(ethernet->h_source, "\x02\x00\x5e\x00\x53\x02", ETH_ALEN);
		ethernet->h_proto = htons(ETH_P_IP);
		ip->version = 4;
		ip->ihl = sizeof(*ip) / 4;
		ip->tot_len = htons(sizeof(*ip) + sizeof(*tcp));
		ip->ttl = 64;
		ip->protocol = IPPROTO_TCP;
		tcp->doff = sizeof(*tcp) / 4;
		tcp->syn = 1;
		tcp->window = htons(1024);
		pieces[index] = (struct iovec){frames[index], FRAME_BYTES};
		messages[index].msg_hdr.msg_iov = &pieces[index];
		messages[index].msg_hdr.msg_iovlen = 1;
	}
}

static void fill(int index, struct range sources, struct range destinations, struct range ports)
{
	static uint32_t next_port;
	struct iphdr *ip = (void *)(frames[index] + sizeof(struct ethhdr));
	struct tcphdr *tcp = (void *)(ip + 1);

	ip->saddr = htonl(draw(sources));
	ip->daddr = htonl(draw(destinations));
	tcp->dest =
		htons(sources.count == 1 ? ports.first + next_port++ % ports.count : draw(ports));
	tcp->source = htons(1024 + (uint16_t)(state >> 40) % 60000);
}

int main(int argc, char **argv)
{
	struct range sources, destinations, ports;
	uint64_t rate, total, sent = 0, refused = 0, start_ns, end_ns, started_us;
	int fd;

	if (argc != 10) {
		fprintf(stderr, "usage: syn-generator INTERFACE RATE SECONDS SOURCE COUNT "
				"DESTINATION COUNT PORT COUNT\n");
		return 2;
	}
	rate = strtoull(argv[2], NULL, 10);
	total = rate * strtod(argv[3], NULL);
	sources = address_range(argv[4], argv[5]);
	destinations = address_range(argv[6], argv[7]);
	ports = (struct range){strtoul(argv[8], NULL, 10), strtoul(argv[9], NULL, 10)};
	fd = open_socket(argv[1]);
	prepare_frames();
	started_us = now_ns(CLOCK_REALTIME) / 1000;
	start_ns = now_ns(CLOCK_MONOTONIC);
	end_ns = start_ns + strtod(argv[3], NULL) * 1e9;

	/* Whatever comes first: a rate beyond what can be sent is as much as can be. */
	while (sent < total && now_ns(CLOCK_MONOTONIC) < end_ns) {
		uint64_t due = (now_ns(CLOCK_MONOTONIC) - start_ns) * 1e-9 * rate + 1;
		int count = due > sent ? due - sent > BATCH ? BATCH : due - sent : 0;
		int taken;

		if (sent + count > total)
			count = total - sent;
		if (!count) {
			nanosleep(&(struct timespec){0, 50000}, NULL);
			continue;
		}
		for (int index = 0; index < count; index++)
			fill(index, sources, destinations, ports);
		taken = sendmmsg(fd, messages, count, 0);
		/* The device takes no more just now: the frame is lost on the wire. */
		if (taken < 0) {
			if (errno != ENOBUFS)
				fail("send");
			refused++;
			taken = 1;
		}
		sent += taken;
	}
	printf("{\"sent\":%llu,\"refused\":%llu,\"seconds\":%.3f,\"startedUs\":%llu}\n",
	       (unsigned long long)(sent - refused), (unsigned long long)refused,
	       (now_ns(CLOCK_MONOTONIC) - start_ns) * 1e-9, (unsigned long long)started_us);
	return 0;
}
