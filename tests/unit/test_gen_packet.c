// SPDX-License-Identifier: BSD-2-Clause
// The load generator on Linux interfaces: what it sends on one end of a veth pair arrives at the other as it
// was meant, whatever its length.
#include "tests/bench/gen.h"
#include "tests/lib/netns.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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
	struct gen *g = aligned_alloc(64, (sizeof(*g) + 63) & ~63ull);

	memset(g, 0, sizeof(*g));
	g->n = 2;
	g->n_sizes = 1;
	g->size[0] = size;
	g->lines[0] = (size + 63) / 64;
	g->write = GEN_FULL;
	g->opt.verify = true;
	g->opt.ring = 256;
	g->addresses = addresses;
	g->many = addresses > 1;
	g->batch = 64;
	for (unsigned i = 0; i < g->n; i++) {
		struct gen_guest *w = &g->guest[i];

		w->me = (uint16_t)i;
		w->dst = 1 - i;
		w->flow = aligned_alloc(64, 3 * sizeof(*w->flow));
		w->expect = calloc(4, sizeof(*w->expect));
		for (unsigned to = 0; to < 2; to++)
			gen_make_flow(g, i, to);
		gen_make_flow(g, i, GEN_EVERYBODY);
		assert_int_equal(gen_packet_open(g, w, i ? "wx1" : "wx0"), 0);
	}
	return (struct pair){g, &g->guest[0], &g->guest[1]};
}

static void pair_free(struct pair *p)
{
	for (unsigned i = 0; i < p->g->n; i++) {
		gen_packet_close(&p->g->guest[i]);
		free(p->g->guest[i].flow);
		free(p->g->guest[i].expect);
	}
	free(p->g);
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
	static const unsigned sizes[] = {65, 71, 72, 127, 128, 203, 1514};

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct pair p = pair_new(sizes[i], 1);

		pass(&p);
		pair_free(&p);
	}
}

static void test_addresses_take_turns(void **state)
{
	struct pair p = pair_new(64, 7);

	pass(&p);
	assert_int_equal(p.from->flow[1].address, FRAMES % 7);
	pair_free(&p);
}

static void test_to_everybody(void **state)
{
	struct pair p = pair_new(64, 7);

	p.from->dst = p.g->n;
	pass(&p);
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
		cmocka_unit_test(test_no_such_interface),
	};
	int status;

	if (!netns_enter(&status))
		return status;
	netns_veth("wx0", 1, "wx1", 2, "");
	// With GRO a veth takes what another's XDP program sends.
	netns_run("ethtool -K wx1 gro on >/dev/null");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
