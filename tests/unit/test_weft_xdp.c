// SPDX-License-Identifier: BSD-2-Clause
// The XDP program, run by the kernel (BPF_PROG_RUN) over a table of frames.
#include "bpf/weft_xdp.h"
#include "bpf/weft_xdp.skel.h"
#include "dataplane/port/xsk.h"
#include "tests/lib/netns.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

// Stations: a VM that is steered (untagged and in VLAN 10), the host, everybody, a group.
#define VM       2, 0, 0, 0, 0, 0x11
#define HOST     2, 0, 0, 0, 0, 0xa0
#define BCAST    255, 255, 255, 255, 255, 255
#define GROUP    0x33, 0x33, 0, 0, 0, 1
#define PEER     2, 0, 0, 0, 0, 0xb0
#define TYPE     0x08, 0x00
#define TAG(vid) 0x81, 0x00, (vid) >> 8, (vid)&0xff

static const struct row {
	const char *what;
	uint8_t frame[32];
	uint32_t len;
	bool socket;         // a socket is bound to the queue
	int exclusive, host; // action under share: exclusive and share: host
	enum weft_xdp_counter exclusive_counts, host_counts;
	uint32_t queue; // that it comes in on
} rows[] = {
#define X(r) WEFT_XDP_##r
	{"a VM's unicast", {VM, PEER, TYPE}, 60, true, XDP_REDIRECT, XDP_REDIRECT, X(redirected),
		X(redirected)},
	{"the host's unicast", {HOST, PEER, TYPE}, 60, true, XDP_REDIRECT, XDP_PASS, X(redirected),
		X(host_unicast)},
	{"a broadcast", {BCAST, PEER, TYPE}, 60, true, XDP_REDIRECT, XDP_PASS, X(redirected),
		X(multicast)},
	{"a multicast", {GROUP, PEER, TYPE}, 60, true, XDP_REDIRECT, XDP_PASS, X(redirected),
		X(multicast)},
	{"a tagged broadcast", {BCAST, PEER, TAG(10), TYPE}, 60, true, XDP_REDIRECT, XDP_PASS,
		X(redirected), X(multicast)},
	{"a VM's unicast in its VLAN", {VM, PEER, TAG(10), TYPE}, 60, true, XDP_REDIRECT,
		XDP_REDIRECT, X(redirected), X(redirected)},
	{"with a priority in the tag", {VM, PEER, TAG(0xe00a), TYPE}, 60, true, XDP_REDIRECT,
		XDP_REDIRECT, X(redirected), X(redirected)},
	{"the same address in another VLAN", {VM, PEER, TAG(11), TYPE}, 60, true, XDP_REDIRECT,
		XDP_PASS, X(redirected), X(host_unicast)},
	{"a priority tag is no VLAN", {VM, PEER, TAG(0xe000), TYPE}, 60, true, XDP_REDIRECT,
		XDP_REDIRECT, X(redirected), X(redirected)},
	{"all twelve bits of the tag count", {VM, PEER, TAG(0x80a), TYPE}, 60, true, XDP_REDIRECT,
		XDP_PASS, X(redirected), X(host_unicast)},
	{"with the drop eligible bit in the tag", {VM, PEER, TAG(0x100a), TYPE}, 60, true,
		XDP_REDIRECT, XDP_REDIRECT, X(redirected), X(redirected)},
	{"a type that begins as a tag does", {VM, PEER, 0x81, 0x01, 0, 11, TYPE}, 60, true,
		XDP_REDIRECT, XDP_REDIRECT, X(redirected), X(redirected)},
	{"an inner tag does not count", {VM, PEER, TAG(11), TAG(10), TYPE}, 60, true, XDP_REDIRECT,
		XDP_PASS, X(redirected), X(host_unicast)},
	{"802.1ad is payload", {VM, PEER, 0x88, 0xa8, 0, 11, TYPE}, 60, true, XDP_REDIRECT,
		XDP_REDIRECT, X(redirected), X(redirected)},
	{"a frame of several pages", {VM, PEER, TYPE}, 9014, true, XDP_REDIRECT, XDP_REDIRECT,
		X(redirected), X(redirected)},
	{"the shortest", {VM, PEER, TYPE}, 14, true, XDP_REDIRECT, XDP_REDIRECT, X(redirected),
		X(redirected)},
	{"cut in its tag", {VM, PEER, 0x81, 0, 0}, 15, true, XDP_REDIRECT, XDP_DROP, X(redirected),
		X(truncated)},
	{"cut before the type behind its tag", {VM, PEER, TAG(10), 8}, 17, true, XDP_REDIRECT,
		XDP_DROP, X(redirected), X(truncated)},
	{"tag and no more", {VM, PEER, TAG(10), TYPE}, 18, true, XDP_REDIRECT, XDP_REDIRECT,
		X(redirected), X(redirected)},
	{"a VM's unicast, weft is dead", {VM, PEER, TYPE}, 60, false, XDP_PASS, XDP_PASS,
		X(no_socket), X(no_socket)},
	{"on a queue without a socket", {VM, PEER, TYPE}, 60, true, XDP_PASS, XDP_PASS,
		X(no_socket), X(no_socket), .queue = 1},
	{"the host's, weft is dead", {HOST, PEER, TYPE}, 60, false, XDP_PASS, XDP_PASS,
		X(no_socket), X(host_unicast)},
	{"a broadcast, weft is dead", {BCAST, PEER, TYPE}, 60, false, XDP_PASS, XDP_PASS,
		X(no_socket), X(multicast)},
#undef X
};

static uint64_t counter(const struct weft_xdp *skel, uint32_t which)
{
	int n = libbpf_num_possible_cpus();
	uint64_t values[n], sum = 0;
	assert_int_equal(
		bpf_map_lookup_elem(bpf_map__fd(skel->maps.weft_counters), &which, values), 0);
	for (int i = 0; i < n; i++)
		sum += values[i];
	return sum;
}

static int run(const struct weft_xdp *skel, const struct row *row, int ifindex)
{
	static uint8_t frame[9014];
	// What is longer than a page can hold goes behind the first.
	uint32_t linear = row->len < 2048 ? row->len : 2048;
	struct xdp_md ctx = {.data_end = linear,
		.ingress_ifindex = (uint32_t)ifindex,
		.rx_queue_index = row->queue};
	memcpy(frame, row->frame, sizeof(row->frame));
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = row->len,
		.ctx_in = &ctx, .ctx_size_in = sizeof(ctx));
	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(skel->progs.weft_xdp), &opts), 0);
	return (int)opts.retval;
}

static void run_table(bool share_host)
{
	struct weft_xdp *skel = weft_xdp__open();
	struct xsk xsk;
	struct xsk_config config = {.ifindex = (int)if_nametoindex("wx0"),
		.rx_ring = 64,
		.tx_ring = 64,
		.chunk_size = 2048,
		.n_chunks = 64};
	struct error err;
	uint32_t queue = 0;
	uint8_t one = 1;
	assert_non_null(skel);
	skel->rodata->weft_share_host = share_host;
	assert_int_equal(weft_xdp__load(skel), 0);
	assert_int_equal(xsk_open(&xsk, &config, &err), 0);
	int sockets = bpf_map__fd(skel->maps.weft_sockets);
	const struct weft_steer_key vm[] = {{0, {VM}}, {10, {VM}}};
	for (unsigned i = 0; i < N(vm); i++)
		assert_int_equal(bpf_map_update_elem(
					 bpf_map__fd(skel->maps.weft_steer), &vm[i], &one, BPF_ANY),
			0);
	for (unsigned i = 0; i < N(rows); i++) {
		const struct row *row = &rows[i];
		enum weft_xdp_counter counts =
			share_host ? row->host_counts : row->exclusive_counts;
		int want = share_host ? row->host : row->exclusive;
		if (row->socket)
			assert_int_equal(bpf_map_update_elem(sockets, &queue, &xsk.fd, BPF_ANY), 0);
		else
			bpf_map_delete_elem(sockets, &queue);
		uint64_t before = counter(skel, counts);
		int got = run(skel, row, config.ifindex);
		if (got != want)
			fail_msg("%s: action %d, not %d", row->what, got, want);
		if (counter(skel, counts) != before + 1)
			fail_msg("%s: counted elsewhere", row->what);
	}
	uint64_t sum = 0;
	for (uint32_t i = 0; i < WEFT_XDP_N_COUNTERS; i++)
		sum += counter(skel, i);
	assert_int_equal(sum, N(rows)); // each frame is counted once
	xsk_close(&xsk);
	weft_xdp__destroy(skel);
}

static void test_exclusive(void **state)
{
	run_table(false);
}

static void test_shared_with_the_host(void **state)
{
	run_table(true);
}

// So many addresses can be steered, and no more.
static void test_the_limit_of_steered_addresses(void **state)
{
	struct weft_xdp *skel = weft_xdp__open_and_load();
	uint8_t one = 1;
	assert_non_null(skel);
	int fd = bpf_map__fd(skel->maps.weft_steer);
	for (uint32_t i = 0; i <= WEFT_XDP_STEERED; i++) {
		struct weft_steer_key key = {.mac = {2, 0, 0, i >> 16, i >> 8 & 0xff, i & 0xff}};
		int rc = bpf_map_update_elem(fd, &key, &one, BPF_ANY);
		assert_int_equal(rc, i < WEFT_XDP_STEERED ? 0 : -E2BIG);
	}
	weft_xdp__destroy(skel);
}

// What no driver hands to XDP, and BPF_PROG_RUN neither: the parse path in user space.
static void test_parse_of_frames_shorter_than_a_header(void **state)
{
	static const uint8_t frame[18] = {VM, PEER, TAG(10), TYPE};
	for (unsigned len = 0; len < 18; len++) {
		struct weft_steer_key key;
		uint8_t *exact = malloc(len ? len : 1); // so that a sanitizer sees the end
		memcpy(exact, frame, len);
		assert_int_equal(
			weft_xdp_parse(exact, exact + len, &key), WEFT_XDP_CLASS_TRUNCATED);
		free(exact);
	}
}

static int setup(void **state)
{
	netns_veth("wx0", 0xa0, "wx1", 0xb0, "numrxqueues 2 numtxqueues 2");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exclusive),
		cmocka_unit_test(test_shared_with_the_host),
		cmocka_unit_test(test_the_limit_of_steered_addresses),
		cmocka_unit_test(test_parse_of_frames_shorter_than_a_header),
	};
	int status;
	if (!netns_enter(&status))
		return status;
	return cmocka_run_group_tests(tests, setup, NULL);
}
