// SPDX-License-Identifier: BSD-2-Clause
// The nearest right word for a mistyped one.
#include "common/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void counts_edits(void **state)
{
	assert_int_equal(suggest_distance("vm1", "vm1"), 0);
	assert_int_equal(suggest_distance("vm01", "vm1"), 1);
	assert_int_equal(suggest_distance("sokcet", "socket"), 1);
	assert_int_equal(suggest_distance("", "abc"), 3);
	assert_int_equal(suggest_distance("kitten", "sitting"), 3);
}

static void long_words_are_infinitely_far(void **state)
{
	char word[80];

	memset(word, 'a', sizeof(word) - 1);
	word[79] = 0;
	assert_true(suggest_distance(word, "a") == SIZE_MAX);
	assert_true(suggest_distance("a", word) == SIZE_MAX);
}

static const char *best(const char *word)
{
	static const char *const known[] = {"port", "fdb", "vlan", "worker", "stats", "config"};
	struct suggest s;

	suggest_init(&s, word);
	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		suggest_offer(&s, known[i]);
	return s.best;
}

static void takes_the_nearest_and_nothing_far(void **state)
{
	assert_string_equal(best("prot"), "port");
	assert_string_equal(best("wroker"), "worker");
	assert_string_equal(best("conf"), "config");
	assert_string_equal(best("vlans"), "vlan");
	assert_null(best("xyzzy"));
	assert_null(best("pond"));
	assert_null(best(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_edits),
		cmocka_unit_test(long_words_are_infinitely_far),
		cmocka_unit_test(takes_the_nearest_and_nothing_far),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
