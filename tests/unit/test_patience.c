// SPDX-License-Identifier: BSD-2-Clause
// How long a queue may leave frames in their sender's ring: the account of one queue's waits.
#include "dataplane/switch/patience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define LIMIT 1000u // ticks

static void a_wait_ends_at_the_limit(void **state)
{
	struct patience p = {0};
	uint64_t now = 5000;

	assert_false(patience_lasts(&p, now, 0, false));
	assert_true(patience_lasts(&p, now, LIMIT, false));
	assert_int_equal(patience_wait(&p, now, LIMIT, false), 0);
	assert_int_equal(patience_wait(&p, now + 400, LIMIT, false), 400);
	assert_int_equal(patience_wait(&p, now + LIMIT, LIMIT, false), LIMIT - 400);
	assert_true(patience_lasts(&p, now + LIMIT, LIMIT, false));
	assert_false(patience_lasts(&p, now + LIMIT + 1, LIMIT, false));
	// The next wait is one of its own.
	patience_end(&p);
	assert_true(patience_lasts(&p, now + LIMIT + 1, LIMIT, false));
	assert_int_equal(patience_wait(&p, now + 5000, LIMIT, false), 0);
}

// A burst that can go on is as good as a new wait, whatever pieces it goes on in; but its time counts.
static void a_burst_that_goes_on_is_a_new_wait(void **state)
{
	struct patience p = {0};
	uint64_t now = 5000;

	patience_moves(&p, now, LIMIT, 100); // before there was a wait
	patience_wait(&p, now, LIMIT, false);
	patience_moves(&p, now + LIMIT, LIMIT, PATIENCE_BURST - 1);
	assert_false(patience_lasts(&p, now + LIMIT + 1, LIMIT, false));
	patience_moves(&p, now + LIMIT, LIMIT, 1);
	assert_true(patience_lasts(&p, now + 2 * LIMIT, LIMIT, false));
	assert_false(patience_lasts(&p, now + 2 * LIMIT + 1, LIMIT, false));
	patience_moves(&p, now + 2 * LIMIT, LIMIT, PATIENCE_BURST - 1);
	assert_false(patience_lasts(&p, now + 2 * LIMIT + 1, LIMIT, false));
	assert_int_equal(patience_wait(&p, now + 2 * LIMIT, LIMIT, false), 2 * LIMIT);
	patience_end(&p);
	patience_moves(&p, now + 3 * LIMIT, LIMIT, 1);
	assert_true(patience_lasts(&p, now + 9 * LIMIT, LIMIT, false));
}

// Waits as long as it may, ends each wait and begins the next at once. Returns the time spent waiting.
static uint64_t wait_always(struct patience *p, uint64_t *now, uint64_t ticks)
{
	uint64_t waited = 0;

	for (uint64_t end = *now + ticks; *now < end; *now += 50) {
		if (patience_lasts(p, *now, LIMIT, false))
			waited += patience_wait(p, *now, LIMIT, false);
		else
			patience_end(p);
	}
	return waited;
}

static void in_the_long_run_a_share_of_the_time(void **state)
{
	const uint64_t credit = PATIENCE_CREDIT * LIMIT;
	struct patience p = {0};
	uint64_t now = 1;

	// First what is free, then the share.
	uint64_t waited = wait_always(&p, &now, 2 * credit);
	assert_in_range(waited, credit - LIMIT, credit + 2 * LIMIT);
	waited = wait_always(&p, &now, 1000 * LIMIT);
	assert_in_range(
		waited, 1000 * LIMIT / PATIENCE_SHARE / 2, 1000 * LIMIT / PATIENCE_SHARE + LIMIT);
	// After a long time without, all of it is free again, and no more.
	patience_end(&p);
	now += 1000 * credit * PATIENCE_SHARE;
	waited = wait_always(&p, &now, 2 * credit);
	assert_in_range(waited, credit - LIMIT, credit + 2 * LIMIT);
}

// Waits for `ticks` for a receiver that takes a burst every `each` of them. Returns how long frames were
// not allowed to.
static uint64_t wait_for_one_at_work(
	struct patience *p, uint64_t *now, uint64_t ticks, uint64_t each, bool alone)
{
	uint64_t lost = 0;

	for (uint64_t end = *now + ticks; *now < end; *now += each) {
		if (patience_lasts(p, *now, LIMIT, alone)) {
			patience_wait(p, *now, LIMIT, alone);
		} else {
			patience_lost(p, *now);
			lost += each;
		}
		patience_moves(p, *now, LIMIT, PATIENCE_BURST);
	}
	return lost;
}

static void who_waits_alone_pays_nothing(void **state)
{
	const uint64_t long_time = 1000 * LIMIT, pace = LIMIT / PATIENCE_PACE,
		       credit = PATIENCE_CREDIT * LIMIT;
	struct patience p = {0};
	uint64_t now = 1;

	assert_int_equal(wait_for_one_at_work(&p, &now, long_time, pace, true), 0);
	// All of the credit is left.
	patience_end(&p);
	assert_in_range(wait_always(&p, &now, 2 * credit), credit - LIMIT, credit + 2 * LIMIT);
	// And if it is not, this is no reason to wait no longer.
	patience_end(&p);
	assert_false(patience_lasts(&p, now, LIMIT, false));
	assert_int_equal(wait_for_one_at_work(&p, &now, long_time, pace, true), 0);
	// Others, and slower ones, pay.
	assert_in_range(wait_for_one_at_work(&p, &now, long_time, pace, false), long_time * 9 / 10,
		long_time);
	assert_in_range(wait_for_one_at_work(&p, &now, long_time, pace + 1, true),
		long_time * 9 / 10, long_time);
	// The next wait is one of its own.
	patience_end(&p);
	assert_false(patience_lasts(&p, now, LIMIT, false));
	patience_wait(&p, now, LIMIT, true);
	assert_true(patience_lasts(&p, now + pace, LIMIT, true));
	assert_false(patience_lasts(&p, now + pace + 1, LIMIT, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wait_ends_at_the_limit),
		cmocka_unit_test(a_burst_that_goes_on_is_a_new_wait),
		cmocka_unit_test(in_the_long_run_a_share_of_the_time),
		cmocka_unit_test(who_waits_alone_pays_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
