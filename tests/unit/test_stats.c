// SPDX-License-Identifier: BSD-2-Clause
// Counters: every reason has its three texts, and sums take every field.
#include "dataplane/port/stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void every_reason_is_explained(void **state)
{
	for (unsigned r = 0; r < N_DROP_REASONS; r++) {
		assert_true(strlen(drop_reason_name(r)) > 0);
		assert_true(strlen(drop_reason_text(r)) > 0);
		assert_true(strlen(drop_reason_remedy(r)) > 0);
	}
	assert_string_equal(drop_reason_name(DROP_ring_full), "ring_full");
	assert_string_equal(drop_reason_name(DROP_no_offload), "no_offload");
}

static void an_unknown_reason_is_no_crash(void **state)
{
	assert_string_equal(drop_reason_name(N_DROP_REASONS), "unknown");
	assert_string_equal(drop_reason_text((enum drop_reason) - 1), "");
	assert_string_equal(drop_reason_remedy((enum drop_reason)1000), "");
}

static void sums_take_every_field(void **state)
{
	struct port_stats a, b;
	uint64_t *wa = (uint64_t *)&a, *wb = (uint64_t *)&b;
	const size_t n = sizeof(a) / sizeof(*wa);

	for (size_t i = 0; i < n; i++) {
		wa[i] = i;
		wb[i] = 1000 * i;
	}
	port_stats_add(&a, &b);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(wa[i], 1001 * i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_is_explained),
		cmocka_unit_test(an_unknown_reason_is_no_crash),
		cmocka_unit_test(sums_take_every_field),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
