// SPDX-License-Identifier: BSD-2-Clause
// How a table's columns share a terminal: which are as wide as they want, which wrap and where.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// A column that wraps may be as narrow as its longest piece, or as this if that is longer.
#define FIT_PIECE 34
// And down to this where the terminal has no room for its longest piece.
#define FIT_LEAST 12

struct fit {
	unsigned want, least; // columns of the longest text, and of its longest piece
	bool wraps;    // its text may go on below itself; others are never narrower than want
	bool is_spare; // left out, the last first, if the others do not fit otherwise
	bool is_hidden;
	unsigned width; // result
};

// Takes a text into account that stands in the column.
void fit_text(struct fit *f, const char *text);
// Shares `width` columns; one is between two of them. Those that wrap get what is left so that
// they take about as many lines.
void fit_columns(struct fit *f, unsigned n, unsigned width);
// The text with line ends at spaces, else after commas, else anywhere; the caller frees it. NULL: no
// memory.
char *fit_wrap(const char *text, unsigned width);
// Characters of UTF-8 text.
size_t fit_length(const char *text, size_t bytes);
