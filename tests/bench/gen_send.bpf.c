// SPDX-License-Identifier: BSD-2-Clause
// Sends frames out of an interface without a socket buffer for each, as a network card would bring them:
// the kernel runs this on pages of its own (BPF_PROG_RUN, BPF_F_TEST_XDP_LIVE_FRAMES), each filled
// once with the frame that gen_packet.c hands it.
#include "tests/bench/gen_layout.h"

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#define WORDS_MAX 216u // behind the first line; 1792 bytes in all

// Of one run; set before it.
bool full;   // write all lines, not only the first
bool to_one; // not to everybody
__u32 ifindex;
__u32 address, n_addresses; // of either guest, taken in turn
__u64 seq, time;

static void put16(__u8 *p, __u32 v)
{
	*(volatile __u16 *)p = (__u16)v;
}

// Lines [1, n): as gen_write_frame().
static void write_lines(__u8 *frame, const __u8 *end)
{
	const __u64 first = seq * GEN_PATTERN_FACTOR;
	__u8 *p = frame + GEN_LINE;

	for (__u32 i = 0; i < WORDS_MAX; i++, p += 8) {
		if (p + 8 > end)
			break;
		*(__u64 *)p = first + 1 + i / 8;
	}
	const __u64 last = first + (__u32)(end - frame) / GEN_LINE;
	for (__u32 i = 0; i < 7; i++)
		if (p + i + 1 <= end)
			p[i] = (__u8)(last >> 8 * i);
}

SEC("xdp")
int gen_send(struct xdp_md *ctx)
{
	__u8 *frame = (__u8 *)(long)ctx->data;
	const __u8 *end = (const __u8 *)(long)ctx->data_end;

	if (frame + GEN_LINE > end)
		return XDP_ABORTED;
	if (to_one)
		put16(frame + GEN_OFF_DST_ADDRESS, address);
	put16(frame + GEN_OFF_SRC_ADDRESS, address);
	*(__u64 *)(frame + GEN_OFF_SEQ) = seq;
	*(__u64 *)(frame + GEN_OFF_TIME) = time;
	if (full)
		write_lines(frame, end);
	seq++;
	address = address + 1 < n_addresses ? address + 1 : 0;
	return bpf_redirect(ifindex, 0);
}

char gen_license[] SEC("license") = "Dual BSD/GPL";
