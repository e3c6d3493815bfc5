// SPDX-License-Identifier: BSD-2-Clause
// What the load generator says about frames must be true: content, order, loss, and its quantiles; and
// the floor that sleeps.
#include "tests/unit/gen_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 200u

// Guest 0 sends frame number seq to guest 1, which gets it with byte `bad` changed (-1: none).
static void pass(struct gen *g, uint64_t seq, int bad)
{
	uint8_t frame[256] __attribute__((aligned(64)));

	gen_write_frame(g, &g->guest[0], frame, 0, seq);
	if (bad >= 0)
		frame[bad] ^= 0x40;
	gen_verify(g, &g->guest[1], frame, SIZE);
}

static void test_in_order(void **state)
{
	struct gen *g = new_gen(SIZE);
	const struct gen_stats *st = &g->guest[1].st;

	for (uint64_t seq = 0; seq < 1000; seq++)
		pass(g, seq, -1);
	assert_int_equal(st->rx_frames, 1000);
	assert_int_equal(st->rx_bytes, 1000 * SIZE);
	assert_int_equal(st->lost + st->late + st->doubled + st->altered + st->rx_other, 0);
	free_gen(g);
}

static void test_lost_late_doubled(void **state)
{
	static const uint64_t order[] = {0, 1, 5, 3, 3, 6, 6, 0, 4};
	struct gen *g = new_gen(SIZE);
	const struct gen_stats *st = &g->guest[1].st;

	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		pass(g, order[i], -1);
	assert_int_equal(st->lost, 1); // 2
	assert_int_equal(st->late, 2); // 3 and 4, after 5
	assert_int_equal(st->doubled, 3);
	gen_forget_sequences(g);
	pass(g, 0, -1);
	assert_int_equal(st->doubled, 3);
	free_gen(g);
}

// More holes than are remembered: loss is still counted right.
static void test_many_gaps(void **state)
{
	struct gen *g = new_gen(SIZE);

	for (uint64_t seq = 0; seq < 4 * GEN_GAPS; seq += 2)
		pass(g, seq, -1);
	assert_int_equal(g->guest[1].st.lost, 2 * GEN_GAPS - 1);
	pass(g, 4 * GEN_GAPS - 3, -1);
	assert_int_equal(g->guest[1].st.late, 1);
	assert_int_equal(g->guest[1].st.lost, 2 * GEN_GAPS - 2);
	free_gen(g);
}

// A changed byte shows, wherever it is: but for what is different in each frame anyway, its second
// address bytes (they are counted through), its number (which shows as loss) and its time.
static void test_each_byte_counts(void **state)
{
	struct gen *g = new_gen(SIZE);
	struct gen_stats *st = &g->guest[1].st;

	for (int at = 0; at < (int)SIZE; at++) {
		bool free_byte = at == 4 || at == 5 || at == 10 || at == 11 ||
				 (at >= GEN_OFF_SEQ && at < GEN_OFF_TIME + 8);

		memset(st, 0, sizeof(*st));
		gen_forget_sequences(g);
		pass(g, 0, at);
		if (free_byte)
			continue;
		assert_int_equal(st->rx_frames, 0);
		assert_int_equal(st->altered + st->rx_other + st->flooded, 1);
	}
	free_gen(g);
}

static void test_not_ours_and_not_for_me(void **state)
{
	struct gen *g = new_gen(SIZE);
	uint8_t frame[256] __attribute__((aligned(64))) = {0};
	const struct gen_stats *st = &g->guest[1].st;

	gen_verify(g, &g->guest[1], frame, SIZE);
	gen_verify(g, &g->guest[1], frame, 20);
	assert_int_equal(st->rx_other, 2);
	gen_write_frame(g, &g->guest[0], frame, 0, 0);
	gen_verify(g, &g->guest[0], frame, SIZE);
	assert_int_equal(g->guest[0].st.flooded, 1);
	gen_verify(g, &g->guest[1], frame, SIZE - 1); // cut
	assert_int_equal(st->altered, 1);
	free_gen(g);
}

static void test_quantiles(void **state)
{
	static struct histogram h;

	assert_int_equal(histogram_quantile(&h, 0.5), 0);
	for (uint64_t v = 1; v <= 100000; v++)
		histogram_add(&h, v);
	for (double share = 0.01; share < 1; share += 0.01) {
		double got = (double)histogram_quantile(&h, share);

		assert_true(got >= share * 100000 && got <= share * 100000 * 1.02 + 2);
	}
	assert_int_equal(histogram_quantile(&h, 1.0), 100000);
	histogram_add(&h, ~0ull);
	assert_true(histogram_quantile(&h, 1.0) == ~0ull);
}

// The floor of the first frame after idle answers each time it is asked, asleep or not.
static void test_the_woken_thread_answers(void **state)
{
	struct gen_wake *w = gen_wake_start(0);

	assert_non_null(w);
	for (unsigned i = 0; i < 100; i++)
		assert_true(gen_wake_trip(w, 10000000000ull));
	gen_wake_stop(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_lost_late_doubled),
		cmocka_unit_test(test_many_gaps),
		cmocka_unit_test(test_each_byte_counts),
		cmocka_unit_test(test_not_ours_and_not_for_me),
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_the_woken_thread_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
