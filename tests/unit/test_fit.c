// SPDX-License-Identifier: BSD-2-Clause
// Columns of a table on terminals of any width: what breaks, where, and what never does.
#include "cli/fit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void text_breaks_between_words(void **state)
{
	static const struct {
		const char *text, *wrapped;
		unsigned width;
	} cases[] = {{"", "", 10}, {"a", "a", 0}, {"no free buffers", "no free\nbuffers", 10},
		{"no free buffers", "no free buffers", 15},
		{"no free buffers", "no\nfree\nbuffer\ns", 6},
		{"trunk 10,20-30,400 native 1", "trunk 10,\n20-30,400\nnative 1", 10},
		{"10,20,30", "10,20,30", 8}, {"10,20,30", "10,20,\n30", 7}, {"a  b", "a  b", 4},
		{"/run/weft/vm1.sock", "/run/we\nft/vm1.\nsock", 7}, {"äöü äöü", "äöü\näöü", 4},
		{"äöüäöü", "äöü\näöü", 3}, {"abc ", "abc", 3}};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *wrapped = fit_wrap(cases[i].text, cases[i].width);
		assert_string_equal(wrapped, cases[i].wrapped);
		free(wrapped);
	}
}

// Whatever the text: no line is longer than it may be, and nothing but blanks is lost.
static void no_line_is_too_long(void **state)
{
	static const char letters[] = "ab, c,d  \xc3\xa4";
	char text[64];

	srandom(1);
	for (unsigned run = 0; run < 20000; run++) {
		unsigned n = (unsigned)random() % (sizeof(text) - 2), width = 1 + run % 20;
		for (unsigned i = 0; i < n; i++) {
			text[i] = letters[(unsigned)random() % 9];
			if (random() % 8 == 0 && i + 1 < n)
				memcpy(&text[i++], "\xc3\xa4", 2);
		}
		text[n] = 0;
		char *wrapped = fit_wrap(text, width);
		const char *from = text;
		size_t at = 0;
		for (const char *p = wrapped; *p; p++) {
			at = *p == '\n' ? 0 : at + ((*p & 0xc0) != 0x80);
			assert_true(at <= width);
			while (*from == ' ' && *p != ' ')
				from++;
			if (*p != '\n')
				assert_int_equal(*p, *from++);
		}
		assert_int_equal(strspn(from, " "), strlen(from));
		free(wrapped);
	}
}

static struct fit column(const char *text, bool wraps, bool is_spare)
{
	struct fit f = {.wraps = wraps, .is_spare = is_spare};

	fit_text(&f, text);
	return f;
}

static void widths(struct fit *f, unsigned n, unsigned terminal, const char *want)
{
	char got[100] = "";

	fit_columns(f, n, terminal);
	for (unsigned i = 0; i < n; i++) {
		size_t len = strlen(got);
		if (f[i].is_hidden)
			snprintf(got + len, sizeof(got) - len, "- ");
		else
			snprintf(got + len, sizeof(got) - len, "%u ", f[i].width);
	}
	assert_string_equal(got, want);
}

static void important_columns_never_break(void **state)
{
	struct fit f[] = {column("webserver-01", false, false), column("vhost-user", false, true),
		column("access 10", true, false), column("1500", false, true),
		column("waiting for a VMM to connect", true, false)};

	widths(f, 5, 80, "12 10 9 4 28 ");
	widths(f, 5, 67, "12 10 9 4 28 ");
	widths(f, 5, 60, "12 10 8 4 22 "); // the two share what is left
	widths(f, 5, 47, "12 10 6 4 11 ");
	widths(f, 5, 43, "12 10 6 4 7 ");
	widths(f, 5, 42, "12 10 6 - 11 "); // the last spare one goes first
	widths(f, 5, 36, "12 - 6 - 16 ");
	widths(f, 5, 10, "12 - 6 - 7 "); // the others stay whole where nothing fits
}

// Two long names beside each other: lines that the terminal breaks would be worse than words that are cut.
static void long_words_are_cut_where_they_have_no_room(void **state)
{
	struct fit f[] = {column("100-200", false, false), column("ADDRESSES", false, false),
		column("a b", true, false), column("webserver-production-frankfurt1", true, false),
		column("webserver-production-frankfurt2", true, false)};

	widths(f, 5, 85, "7 9 3 31 31 ");
	widths(f, 5, 83, "7 9 1 31 31 ");
	widths(f, 5, 80, "7 9 1 29 30 ");
	widths(f, 5, 60, "7 9 1 19 20 ");
	widths(f, 5, 20, "7 9 1 12 12 ");
}

// A row of many columns that all wrap takes what there is, and each gets some.
static void room_is_shared_out_in_full(void **state)
{
	struct fit f[8];

	for (unsigned i = 0; i < 8; i++)
		f[i] = column("some words of many letters each", true, false);
	for (unsigned width = 8 * 7 + 7; width < 300; width++) {
		unsigned total = 7;
		fit_columns(f, 8, width);
		for (unsigned i = 0; i < 8; i++) {
			total += f[i].width;
			assert_true(f[i].width >= 7 && f[i].width <= 31);
		}
		assert_int_equal(total, width < 255 ? width : 255);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_breaks_between_words),
		cmocka_unit_test(no_line_is_too_long),
		cmocka_unit_test(important_columns_never_break),
		cmocka_unit_test(long_words_are_cut_where_they_have_no_room),
		cmocka_unit_test(room_is_shared_out_in_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
