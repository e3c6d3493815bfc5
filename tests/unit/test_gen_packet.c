// SPDX-License-Identifier: BSD-2-Clause
// The load generator on Linux interfaces: what it sends on one end of a veth pair arrives at the other as it
// was meant, whatever its length.
#include "tests/lib/netns.h"
#include "tests/unit/gen_bed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

// Not a multiple of what the kernel runs at once.
#define FRAMES 600u

struct pair {
	struct gen *g;
	struct gen_guest *from, *to;
};

// Guest 0 on wx0, guest 1 on wx1, with frames of `size` bytes and this many addresses each.
static struct pair pair_new(unsigned size, unsigned addresses)
{
	struct gen *g = new_gen(size);

	g->opt.ring = 256;
	g->addresses = addresses;
	g->many = addresses > 1;
	g->batch = 64;
	for (unsigned i = 0; i < g->n; i++)
		assert_int_equal(gen_packet_open(g, &g->guest[i], i ? "wx1" : "wx0"), 0);
	return (struct pair){g, &g->guest[0], &g->guest[1]};
}

static void pair_free(struct pair *p)
{
	for (unsigned i = 0; i < p->g->n; i++)
		gen_packet_close(&p->g->guest[i]);
	free_gen(p->g);
}

static bool has_arrived(void *ctx)
{
	struct pair *p = ctx;

	gen_packet_rx(p->g, p->to);
	return p->to->st.rx_frames == FRAMES;
}

// Sends FRAMES and takes them: each as sent, in order.
static void pass(struct pair *p)
{
	const struct gen_stats *st = &p->to->st;

	p->from->budget = FRAMES;
	while (p->from->budget && !p->g->broken) {
		gen_packet_tx(p->g, p->from);
		gen_packet_rx(p->g, p->to);
	}
	assert_null(p->g->broken);
	assert_int_equal(p->from->st.tx_frames, FRAMES);
	assert_int_equal(p->from->st.tx_bytes, FRAMES * p->g->size[0]);
	assert_true(netns_wait(has_arrived, p));
	assert_int_equal(st->rx_bytes, FRAMES * p->g->size[0]);
	assert_int_equal(st->lost + st->late + st->doubled + st->altered + st->flooded, 0);
}

static void test_one_line(void **state)
{
	struct pair p = pair_new(64, 1);

	pass(&p);
	pair_free(&p);
}

static void test_lines_and_what_is_left(void **state)
{
	static const unsigned sizes[] = {65, 71, 72, 127, 128, 203, 1514, 1792};

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct pair p = pair_new(sizes[i], 1);

		pass(&p);
		pair_free(&p);
	}
}

// The next frame of ours that arrives at `fd`.
struct arrival {
	int fd;
	uint8_t bytes[2048];
};

static bool next_arrives(void *ctx)
{
	struct arrival *a = ctx;
	uint16_t magic = 0;

	if (recv(a->fd, a->bytes, sizeof(a->bytes), 0) >= 64)
		memcpy(&magic, a->bytes + GEN_OFF_MAGIC, sizeof(magic));
	return magic == GEN_MAGIC;
}

// Sends FRAMES, of which a socket beside the generator's sees the first twenty: from seven addresses in turn, and
// to as many, or to everybody.
static void addresses_take_turns(bool to_all)
{
	struct pair p = pair_new(64, 7);
	struct arrival a = {.fd = netns_packet("wx1")};

	p.from->dst = to_all ? p.g->n : p.from->dst;
	pass(&p);
	assert_int_equal(p.from->flow[p.from->dst].address, FRAMES % 7);
	for (uint8_t i = 0; i < 20; i++) {
		const uint8_t from[2] = {i % 7, 0}, all[2] = {0xff, 0xff};

		assert_true(netns_wait(next_arrives, &a));
		assert_memory_equal(a.bytes + GEN_OFF_SRC_ADDRESS, from, 2);
		assert_memory_equal(a.bytes + GEN_OFF_DST_ADDRESS, to_all ? all : from, 2);
	}
	close(a.fd);
	pair_free(&p);
}

static void test_addresses_take_turns(void **state)
{
	addresses_take_turns(false);
}

static void test_to_everybody(void **state)
{
	addresses_take_turns(true);
}

// If guests touch first lines only, the others stay as the kernel made them.
static void test_first_lines_only(void **state)
{
	static const uint8_t untouched[64];
	struct pair p = pair_new(128, 1);
	struct arrival a = {.fd = netns_packet("wx1")};

	p.g->write = GEN_HEAD;
	pass(&p);
	assert_true(netns_wait(next_arrives, &a));
	assert_memory_equal(a.bytes + 64, untouched, 64);
	close(a.fd);
	pair_free(&p);
}

static void test_frames_that_no_slot_holds_are_refused(void **state)
{
	struct pair p = pair_new(64, 1);
	struct gen_guest w = {.me = 1};

	p.g->size[0] = 1793;
	assert_int_equal(gen_packet_open(p.g, &w, "wx1"), -EMSGSIZE);
	pair_free(&p);
}

static void test_no_such_interface(void **state)
{
	struct pair p = pair_new(64, 1);
	struct gen_guest w = {.me = 1};

	assert_int_equal(gen_packet_open(p.g, &w, "wx9"), -ENODEV);
	pair_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_line),
		cmocka_unit_test(test_lines_and_what_is_left),
		cmocka_unit_test(test_addresses_take_turns),
		cmocka_unit_test(test_to_everybody),
		cmocka_unit_test(test_first_lines_only),
		cmocka_unit_test(test_frames_that_no_slot_holds_are_refused),
		cmocka_unit_test(test_no_such_interface),
	};
	int status;

	if (!netns_enter(&status))
		return status;
	netns_veth("wx0", 1, "wx1", 2, "");
	netns_run("ip link set wx0 mtu 2000 && ip link set wx1 mtu 2000");
	// With GRO a veth takes what another's XDP program sends.
	netns_run("ethtool -K wx1 gro on >/dev/null");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
