// SPDX-License-Identifier: BSD-2-Clause
// Tables that fit the terminal. libsmartcols draws them; who gets how much of the terminal is decided
// here, because it would cut words apart.
#include "cli/table.h"

#include "cli/fit.h"
#include "cli/output.h"

#include <assert.h>
#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct table {
	const struct cli *cli;
	struct libscols_table *scols;
	struct libscols_line *row;
	struct fit fit[TABLE_COLUMNS];
	bool is_out[TABLE_COLUMNS];
	unsigned n_columns, n_rows;
};

struct table *table_new(const struct cli *cli, const struct column *columns, unsigned n)
{
	struct table *t = calloc(1, sizeof(*t));

	assert(n <= TABLE_COLUMNS);
	if (!t || !(t->scols = scols_new_table())) {
		fputs("weftctl: out of memory\n", stderr);
		exit(CLI_REFUSED);
	}
	t->cli = cli;
	t->n_columns = n;
	scols_table_enable_colors(t->scols, cli->colour);
	scols_table_set_termforce(
		t->scols, cli->colour ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
	scols_table_set_termwidth(t->scols, 100000);
	for (unsigned i = 0; i < n; i++) {
		unsigned flags = columns[i].flags;
		struct libscols_column *c = scols_table_new_column(
			t->scols, columns[i].title, 1, flags & COL_RIGHT ? SCOLS_FL_RIGHT : 0);
		t->fit[i].wraps = flags & COL_WRAP;
		t->fit[i].is_spare = flags & COL_SPARE;
		t->fit[i].want = t->fit[i].least = (unsigned)strlen(columns[i].title);
		if (c && cli->colour)
			scols_cell_set_color(scols_column_get_header(c), STRONG);
	}
	return t;
}

void table_row(struct table *t)
{
	t->row = scols_table_new_line(t->scols, NULL);
	t->n_rows++;
}

void table_cell(struct table *t, unsigned column, const char *colour, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *text = text_format(fmt, ap);
	va_end(ap);
	fit_text(&t->fit[column], text);
	scols_line_refer_data(t->row, column, text); // which frees it
	if (colour && t->cli->colour)
		scols_cell_set_color(scols_line_get_cell(t->row, column), colour);
}

void table_hide_titles(struct table *t)
{
	scols_table_enable_noheadings(t->scols, 1);
}

static void fit_table(struct table *t, unsigned indent)
{
	unsigned width = terminal_width();

	fit_columns(t->fit, t->n_columns,
		!isatty(STDOUT_FILENO) ? UINT16_MAX
		: width > indent       ? width - indent
				       : 1);
}

bool table_hide_if_narrow(struct table *t, unsigned column, unsigned width)
{
	struct fit *f = &t->fit[column];

	fit_table(t, 0);
	if (f->width >= width || f->width >= f->want)
		return false;
	t->is_out[column] = true;
	f->want = f->least = 0;
	return true;
}

static void wrap_column(struct table *t, unsigned column)
{
	struct libscols_column *c = scols_table_get_column(t->scols, column);

	scols_column_set_flags(c, scols_column_get_flags(c) | SCOLS_FL_WRAP);
	scols_column_set_safechars(c, "\n");
	scols_column_set_wrapfunc(c, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL);
	for (unsigned i = 0; i < t->n_rows; i++) {
		struct libscols_line *line = scols_table_get_line(t->scols, i);
		const char *text = scols_cell_get_data(scols_line_get_cell(line, column));
		char *wrapped = text ? fit_wrap(text, t->fit[column].width) : NULL;
		if (wrapped)
			scols_line_refer_data(line, column, wrapped);
	}
}

void table_print_indented(struct table *t, unsigned indent)
{
	char *text = NULL, *save = NULL;

	fit_table(t, indent);
	for (unsigned i = 0; i < t->n_columns; i++) {
		struct libscols_column *c = scols_table_get_column(t->scols, i);
		if (t->is_out[i] || t->fit[i].is_hidden)
			scols_column_set_flags(c, scols_column_get_flags(c) | SCOLS_FL_HIDDEN);
		else if (t->fit[i].width < t->fit[i].want)
			wrap_column(t, i);
	}
	if (scols_print_table_to_string(t->scols, &text) == 0 && text)
		for (char *p = strtok_r(text, "\n", &save); p; p = strtok_r(NULL, "\n", &save)) {
			size_t n = strlen(p);
			while (n && p[n - 1] == ' ')
				n--;
			printf("%*s%.*s\n", (int)indent, "", (int)n, p);
		}
	free(text);
	scols_unref_table(t->scols);
	free(t);
}

void table_print(struct table *t, const char *none)
{
	if (t->n_rows == 0)
		puts(none);
	table_print_indented(t, 0);
}
