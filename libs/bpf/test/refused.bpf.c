// SPDX-License-Identifier: GPL-2.0-only
/* A program that the verifier refuses: it reads the packet without a look at its end. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int refused(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;

	return data[100] ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int accepted(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
