// SPDX-License-Identifier: BSD-2-Clause
// Tables that fit the terminal. Into a pipe or a file every row is one line.
#pragma once

#include "cli/command.h"

#define TABLE_COLUMNS 32

// Text of COL_WRAP goes on below itself; a column of COL_SPARE is left out where it does not fit. All
// others are shown in full.
enum { COL_RIGHT = 1, COL_WRAP = 2, COL_SPARE = 4 };

struct column {
	const char *title;
	unsigned flags;
};

struct table;

struct table *table_new(const struct cli *cli, const struct column *columns, unsigned n);
void table_row(struct table *t);
// Sets a cell of the last row. `colour` is one of output.h, or NULL.
__attribute__((format(printf, 4, 5))) void table_cell(
	struct table *t, unsigned column, const char *colour, const char *fmt, ...);
void table_hide_titles(struct table *t);
// Takes the column out if it would be narrower than this; true: it was.
bool table_hide_if_narrow(struct table *t, unsigned column, unsigned width);
// Prints and frees; without a row it prints `none`.
void table_print(struct table *t, const char *none);
// The same, each line indented.
void table_print_indented(struct table *t, unsigned indent);
