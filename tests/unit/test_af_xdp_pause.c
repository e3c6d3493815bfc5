// SPDX-License-Identifier: BSD-2-Clause
// Which receive rings are left alone for a moment, and that nobody waits for a lone frame.
#include "dataplane/port/af_xdp_pause.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define HZ    2000000000ull
#define TICKS 16000u // of a pause

// Bursts of n frames, `gap` ticks from each to the next. Returns the time of the last.
static uint64_t bursts(struct xdp_pause *p, unsigned count, uint32_t n, uint64_t gap)
{
	uint64_t now = UINT64_MAX - 100; // the counter wraps on the way
	for (unsigned i = 0; i < count; i++) {
		now += gap;
		xdp_pause_found(p, now, n, TICKS, 0);
	}
	return now;
}

static void test_a_stream_of_small_bursts_waits(void **state)
{
	struct xdp_pause p = {0};
	assert_int_equal(xdp_pause_ticks(HZ), TICKS);
	uint64_t now = bursts(&p, 100, 1, 2000);
	assert_true(xdp_pause_is_on(&p, now));
	assert_true(xdp_pause_is_on(&p, now + TICKS - 1));
	assert_false(xdp_pause_is_on(&p, now + TICKS));
	// What comes right after a pause was close, or the next pause would have to be earned anew.
	xdp_pause_found(&p, now + TICKS + 2000, 4, TICKS, 0);
	assert_true(xdp_pause_is_on(&p, now + TICKS + 2000));
}

static void test_first_frames_do_not_wait(void **state)
{
	struct xdp_pause p = {0};
	uint64_t now = bursts(&p, XDP_PAUSE_STREAK - 1, 1, 2000);
	assert_false(xdp_pause_is_on(&p, now));
}

static void test_a_ping_does_not_wait(void **state)
{
	struct xdp_pause p = {0};
	uint64_t now = bursts(&p, 1000, 1, TICKS + TICKS / 2 + 1);
	assert_false(xdp_pause_is_on(&p, now));
	// Nor does one after a stream that has ended.
	bursts(&p, 100, 1, 2000);
	xdp_pause_found(&p, now += 100 * TICKS, 1, TICKS, 0);
	assert_false(xdp_pause_is_on(&p, now));
}

static void test_large_bursts_do_not_wait(void **state)
{
	struct xdp_pause p = {0};
	uint64_t now = bursts(&p, 100, XDP_PAUSE_SMALL, 2000);
	assert_false(xdp_pause_is_on(&p, now));
}

static void test_who_sends_does_not_wait(void **state)
{
	struct xdp_pause p = {0};
	uint64_t now = bursts(&p, 100, 1, 2000);
	xdp_pause_found(&p, now += 2000, 1, TICKS, 7);
	assert_false(xdp_pause_is_on(&p, now));
}

static void test_without_a_clock_nobody_waits(void **state)
{
	struct xdp_pause p = {0};
	for (unsigned i = 0; i < 100; i++)
		xdp_pause_found(&p, 1000, 1, xdp_pause_ticks(0), 0);
	assert_false(xdp_pause_is_on(&p, 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_stream_of_small_bursts_waits),
		cmocka_unit_test(test_first_frames_do_not_wait),
		cmocka_unit_test(test_a_ping_does_not_wait),
		cmocka_unit_test(test_large_bursts_do_not_wait),
		cmocka_unit_test(test_who_sends_does_not_wait),
		cmocka_unit_test(test_without_a_clock_nobody_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
