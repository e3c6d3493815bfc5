// SPDX-License-Identifier: BSD-2-Clause
// The XDP program of an uplink: decides for each received frame whether weft or the host gets it.
//
// share: exclusive  everything goes to weft's socket on the queue that it came in on.
// share: host       unicast to a steered (VLAN, MAC) goes to weft, other unicast to the host;
//                   broadcast and multicast pass to the host, and weft takes a copy of them from
//                   a packet socket (dataplane/port/host_copy.c).
//
// Where no socket is bound to the queue everything passes to the host: a daemon that was killed
// does not cut the host off.
#include "bpf/weft_xdp.h"

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, WEFT_XDP_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} weft_sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEFT_XDP_N_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} weft_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WEFT_XDP_STEERED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_steer_key);
	__type(value, __u8);
} weft_steer SEC(".maps");

// Set before the program is loaded.
const volatile __u8 weft_share_host = 0;
const volatile struct weft_xdp_note weft_note SEC(WEFT_XDP_NOTE) = {0};

// For libxdp's dispatcher (its XDP_RUN_CONFIG): we run late, so that filters of the host see the
// frames first, and what we pass goes on to programs behind us.
struct {
	__uint(priority, 90);
	__uint(XDP_PASS, 1);
} _weft_xdp SEC(".xdp_run_config");

static __always_inline int counted(enum weft_xdp_counter which, int action)
{
	__u32 key = which;
	__u64 *value = bpf_map_lookup_elem(&weft_counters, &key);
	if (value)
		(*value)++;
	return action;
}

static __always_inline int redirect(struct xdp_md *ctx)
{
	int action = bpf_redirect_map(&weft_sockets, ctx->rx_queue_index, XDP_PASS);
	return counted(action == XDP_REDIRECT ? WEFT_XDP_redirected : WEFT_XDP_no_socket, action);
}

SEC("xdp.frags")
int weft_xdp(struct xdp_md *ctx)
{
	if (!weft_share_host)
		return redirect(ctx);

	struct weft_steer_key key;
	switch (weft_xdp_parse((void *)(long)ctx->data, (void *)(long)ctx->data_end, &key)) {
	case WEFT_XDP_CLASS_TRUNCATED:
		return counted(WEFT_XDP_truncated, XDP_DROP);
	case WEFT_XDP_CLASS_MULTICAST:
		return counted(WEFT_XDP_multicast, XDP_PASS);
	default:
		break;
	}
	if (!bpf_map_lookup_elem(&weft_steer, &key))
		return counted(WEFT_XDP_host_unicast, XDP_PASS);
	return redirect(ctx);
}

char weft_license[] SEC("license") = "Dual BSD/GPL";
