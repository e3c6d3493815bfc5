// SPDX-License-Identifier: BSD-2-Clause
// What people see: tables that fit the terminal, colours where they can be seen, short numbers.
#include "cli/output.h"

#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct table {
	const struct cli *cli;
	struct libscols_table *scols;
	struct libscols_line *row;
	unsigned n_rows;
};

struct table *table_new(const struct cli *cli, const struct column *columns, unsigned n)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t || !(t->scols = scols_new_table())) {
		fputs("weftctl: out of memory\n", stderr);
		exit(CLI_REFUSED);
	}
	t->cli = cli;
	scols_table_enable_colors(t->scols, cli->colour);
	// Into a pipe or a file everything goes in full.
	if (!isatty(STDOUT_FILENO)) {
		scols_table_set_termforce(t->scols, SCOLS_TERMFORCE_NEVER);
		scols_table_set_termwidth(t->scols, 10000);
	}
	for (unsigned i = 0; i < n; i++) {
		int flags = 0;
		if (columns[i].flags & COL_RIGHT)
			flags |= SCOLS_FL_RIGHT;
		if (columns[i].flags & COL_TRUNC)
			flags |= SCOLS_FL_TRUNC;
		if (columns[i].flags & COL_WRAP)
			flags |= SCOLS_FL_WRAP;
		struct libscols_column *c =
			scols_table_new_column(t->scols, columns[i].title, 1, flags);
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
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	scols_line_set_data(t->row, column, text);
	if (colour && t->cli->colour)
		scols_cell_set_color(scols_line_get_cell(t->row, column), colour);
}

void table_hide_titles(struct table *t)
{
	scols_table_enable_noheadings(t->scols, 1);
}

static void table_free(struct table *t)
{
	scols_unref_table(t->scols);
	free(t);
}

void table_print(struct table *t, const char *none)
{
	if (t->n_rows)
		scols_print_table(t->scols);
	else
		puts(none);
	table_free(t);
}

void table_print_indented(struct table *t, unsigned indent)
{
	char *text = NULL, *save = NULL;

	if (isatty(STDOUT_FILENO))
		scols_table_set_termwidth(t->scols, terminal_width() - indent);
	scols_table_set_termforce(t->scols, SCOLS_TERMFORCE_ALWAYS);
	if (scols_print_table_to_string(t->scols, &text) == 0 && text)
		for (char *p = strtok_r(text, "\n", &save); p; p = strtok_r(NULL, "\n", &save))
			printf("%*s%s\n", (int)indent, "", p);
	free(text);
	table_free(t);
}

const char *paint(const struct cli *cli, const char *colour)
{
	static const char *const codes[][2] = {{GOOD, "\033[32m"}, {BAD, "\033[31m"},
		{WARN, "\033[33m"}, {STRONG, "\033[1m"}, {FAINT, "\033[2m"}};

	for (unsigned i = 0; cli->colour && i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i][0], colour) == 0)
			return codes[i][1];
	return "";
}

const char *unpaint(const struct cli *cli)
{
	return cli->colour ? "\033[0m" : "";
}

void print_json(const json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
	putchar('\n');
}

const char *short_number(double v, char buf[SHORT_NUMBER])
{
	static const char units[] = " kMGTP";
	unsigned u = 0;

	while (v >= 999.95 && units[u + 1]) {
		v /= 1000;
		u++;
	}
	if (u == 0)
		snprintf(buf, SHORT_NUMBER, "%.0f", v);
	else
		snprintf(buf, SHORT_NUMBER, "%.*f%c",
			v < 9.995   ? 2
			: v < 99.95 ? 1
				    : 0,
			v, units[u]);
	return buf;
}

unsigned terminal_width(void)
{
	struct winsize ws;
	const char *columns = getenv("COLUMNS");

	if (columns && atoi(columns) > 0)
		return atoi(columns);
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col)
		return ws.ws_col;
	return 80;
}

uint64_t get_number(const json_t *json, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(json, key));
}

const char *get_text(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "";
}

static void append(char *buf, size_t size, const char *text)
{
	size_t n = strlen(buf);

	snprintf(buf + n, size - n, "%s", text);
}

void vlan_text(const json_t *config, char *buf, size_t size)
{
	const json_t *vlan = json_object_get(config, "vlan"), *v;
	const json_t *trunk = json_object_get(vlan, "trunk");
	size_t i;

	if (!json_is_array(trunk)) {
		uint64_t access = get_number(vlan, "access");
		snprintf(buf, size, "access %d", access ? (int)access : 1);
		return;
	}
	snprintf(buf, size, "trunk ");
	json_array_foreach ((json_t *)trunk, i, v) {
		if (i)
			append(buf, size, ",");
		append(buf, size, json_string_value(v) ? json_string_value(v) : "");
	}
	if (get_number(vlan, "native")) {
		char native[24];
		snprintf(native, sizeof(native), " native %d", (int)get_number(vlan, "native"));
		append(buf, size, native);
	}
}
