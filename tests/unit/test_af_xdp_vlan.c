// SPDX-License-Identifier: BSD-2-Clause
// Tags that a sender keeps beside the frame, as a VLAN device or a bridge does: what XDP sees of them
// behind a veth, and the remedy of docs/uplink.md. A tc program pushes the tag here.
#include "dataplane/frame/eth.h"
#include "dataplane/port/af_xdp.h"
#include "tests/lib/netns.h"
#include "tests/lib/port_rig.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define VID  10

// Whatever leaves wx1 gets a tag, which the kernel keeps in the packet's metadata.
static void push_tags(void)
{
	const struct bpf_insn push[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 0x0081},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = VID},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_vlan_push},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex("wx1"),
		.attach_point = BPF_TC_EGRESS);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = 1, .priority = 1);
	opts.prog_fd = bpf_prog_load(
		BPF_PROG_TYPE_SCHED_CLS, "push_tags", "Dual BSD/GPL", push, N(push), NULL);
	assert_true(opts.prog_fd >= 0);
	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
	close(opts.prog_fd);
}

static int setup(void **state)
{
	*state = rig_new_veth("");
	push_tags();
	return 0;
}

// Sends one frame to the port. What of its tag arrives there: the TCI, 0 without a tag.
static uint16_t arriving_tag(struct port_rig *r, bool broadcast)
{
	uint8_t bytes[100];
	uint16_t tci = 0;
	rig_fill(bytes, sizeof(bytes), 1);
	if (broadcast)
		memset(bytes, 0xff, 6);
	assert_int_equal(send(r->far, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_true(rig_rx(r));
	assert_int_equal(r->burst.n, 1);
	struct frame *f = &r->burst.f[0];
	if (eth_parse_tag(f, &tci))
		assert_int_equal(f->len, sizeof(bytes) + ETH_TAG_LEN);
	else
		assert_int_equal(f->len, sizeof(bytes));
	rig_rx_done(r);
	return tci;
}

static void open_mode(struct port_rig *r, unsigned mode, bool share_host)
{
	struct port_config c = {.name = "up",
		.type = "af-xdp",
		.device = "wx0",
		.xdp_mode = mode,
		.share_host = share_host};
	rig_open_ok(r, &c);
}

static void test_a_tag_that_the_peer_inserts_arrives(void **state)
{
	struct port_rig *r = *state;
	netns_run("ethtool -K wx1 tx-vlan-hw-insert off");
	for (unsigned mode = XDP_MODE_COPY; mode <= XDP_MODE_GENERIC; mode++) {
		open_mode(r, mode, false);
		assert_int_equal(arriving_tag(r, false), VID);
		assert_int_equal(arriving_tag(r, true), VID);
		rig_close(r);
	}
}

// XDP does not see it, and nothing on this side of the veth can help. If this fails the kernel has
// learnt better, and docs/uplink.md asks for something that is needed no more.
static void test_a_tag_beside_the_frame_is_lost_as_documented(void **state)
{
	struct port_rig *r = *state;
	netns_run("ethtool -K wx1 tx-vlan-hw-insert on");
	open_mode(r, XDP_MODE_COPY, false);
	assert_int_equal(arriving_tag(r, false), 0);
}

// The packet socket's metadata has the tag.
static void test_the_hosts_copy_has_the_tag_in_any_case(void **state)
{
	struct port_rig *r = *state;
	open_mode(r, XDP_MODE_AUTO, true);
	netns_run("ethtool -K wx1 tx-vlan-hw-insert on");
	assert_int_equal(arriving_tag(r, true), VID);
	netns_run("ethtool -K wx1 tx-vlan-hw-insert off");
	assert_int_equal(arriving_tag(r, true), VID);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_a_tag_that_the_peer_inserts_arrives),
		T(test_a_tag_beside_the_frame_is_lost_as_documented),
		T(test_the_hosts_copy_has_the_tag_in_any_case),
	};
	int status;
	if (!netns_enter(&status))
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
