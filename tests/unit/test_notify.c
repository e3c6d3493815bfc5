// SPDX-License-Identifier: BSD-2-Clause
// The EVENT_IDX arithmetic against its definition, for every distance, at every wrap.
#include "dataplane/virtq/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

// The definition: one of the indexes old, old + 1, ... new - 1 (modulo 2^16) is event.
static bool is_in_interval(uint16_t event, uint16_t new, uint16_t old)
{
	for (uint16_t i = old; i != new; i++)
		if (i == event)
			return true;
	return false;
}

static void test_edges_of_the_interval(void **state)
{
	static const struct {
		uint16_t event, new, old;
		bool want;
	} cases[] = {
		{0, 0, 0, false}, // nothing moved
		{5, 5, 5, false},
		{4, 5, 4, true},  // old itself is inside
		{5, 5, 4, false}, // new is not
		{3, 5, 4, false},
		{9, 20, 10, false},
		{10, 20, 10, true},
		{19, 20, 10, true},
		{20, 20, 10, false},
		{0xffff, 0, 0xffff, true}, // over the wrap
		{0, 0, 0xffff, false},
		{0xffff, 2, 0xfffe, true},
		{0, 2, 0xfffe, true},
		{1, 2, 0xfffe, true},
		{2, 2, 0xfffe, false},
		{0xfffd, 2, 0xfffe, false},
		{0x8000, 0x7fff, 0xffff, false},
		{0x8000, 0xffff, 0, true}, // the longest interval
		{0xffff, 0xffff, 0, false},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
			vq_need_event(cases[i].event, cases[i].new, cases[i].old), cases[i].want);
}

static void test_against_the_definition(void **state)
{
	static const uint16_t olds[] = {0, 1, 0x7fff, 0x8000, 0xfff0, 0xffff};
	static const uint16_t steps[] = {0, 1, 2, 32, 255, 256, 32767, 32768, 65535};

	for (unsigned i = 0; i < sizeof(olds) / sizeof(olds[0]); i++) {
		for (unsigned j = 0; j < sizeof(steps) / sizeof(steps[0]); j++) {
			uint16_t old = olds[i], new = (uint16_t)(old + steps[j]);

			for (int d = -3; d <= 3; d++) {
				uint16_t at_old = (uint16_t)(old + d), at_new = (uint16_t)(new + d);

				assert_int_equal(vq_need_event(at_old, new, old),
					is_in_interval(at_old, new, old));
				assert_int_equal(vq_need_event(at_new, new, old),
					is_in_interval(at_new, new, old));
			}
		}
	}
}

// However a walk of the index over several wraps is cut into steps, an event that stays put is told
// once per wrap.
static void test_told_once_per_wrap(void **state)
{
	static const uint16_t steps[] = {1, 2, 3, 7, 64, 1000, 32768};

	for (unsigned s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
		uint64_t end = 5ull << 16, told = 0;
		uint16_t event = 0xfffe;

		for (uint64_t at = 0; at < end;) {
			uint64_t to = at + steps[s] < end ? at + steps[s] : end;

			told += vq_need_event(event, (uint16_t)to, (uint16_t)at);
			at = to;
		}
		assert_int_equal(told, 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges_of_the_interval),
		cmocka_unit_test(test_against_the_definition),
		cmocka_unit_test(test_told_once_per_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
