// SPDX-License-Identifier: BSD-2-Clause
// Objects of the API as indented text for people.
#include "cli/describe_text.h"

#include "cli/output.h"
#include "cli/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_WIDTH  23
#define COLUMNS_MAX (TABLE_COLUMNS - 1)

// Columns that text takes on the terminal: neither escape sequences nor continuation bytes.
static size_t visible(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\033') {
			while (i < len && s[i] != 'm')
				i++;
			continue;
		}
		n += (s[i] & 0xc0) != 0x80;
	}
	return n;
}

// Prints words from column `at` on; what does not fit goes on in column `left` of the next line.
static void flow(const char *text, size_t at, size_t left)
{
	size_t width = isatty(STDOUT_FILENO) ? terminal_width() : 10000, from = at;

	for (const char *p = text; *p;) {
		size_t word = strcspn(p, " "), size = visible(p, word);
		if (at > from && at + 1 + size > width) {
			printf("\n%*s", (int)left, "");
			at = from = left;
		} else if (p != text) {
			putchar(' ');
			at++;
		}
		fwrite(p, 1, word, stdout);
		at += size;
		p += word;
		p += *p == ' ';
	}
	putchar('\n');
}

void field(const struct cli *cli, unsigned indent, const char *name, const char *fmt, ...)
{
	size_t left = 2 + indent + NAME_WIDTH, length = strlen(name);
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	printf("  %*s%s%-*s%s ", (int)indent, "", paint(cli, FAINT), NAME_WIDTH - 1, name,
		unpaint(cli));
	flow(text, length < NAME_WIDTH ? left : left - NAME_WIDTH + length + 1, left);
}

void paragraph(unsigned left, const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	flow(text, 0, left);
}

static void scalar_text(const json_t *v, char *buf, size_t size)
{
	switch (json_typeof(v)) {
	case JSON_STRING:
		snprintf(buf, size, "%s", json_string_value(v));
		break;
	case JSON_INTEGER:
		snprintf(buf, size, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case JSON_REAL:
		snprintf(buf, size, "%.2f", json_real_value(v));
		break;
	case JSON_TRUE:
		snprintf(buf, size, "yes");
		break;
	case JSON_FALSE:
		snprintf(buf, size, "no");
		break;
	default:
		snprintf(buf, size, "-");
	}
}

static void words_text(const json_t *list, char *buf, size_t size)
{
	char word[256];
	const json_t *v;
	size_t i;

	*buf = 0;
	json_array_foreach ((json_t *)list, i, v) {
		size_t n = strlen(buf);
		scalar_text(v, word, sizeof(word));
		snprintf(buf + n, size - n, "%s%s", i ? ", " : "", word);
	}
	if (!*buf)
		snprintf(buf, size, "none");
}

static const char *heading(const char *key, char buf[64])
{
	snprintf(buf, 64, "%s", key);
	for (char *p = buf; *p; p++)
		*p = *p == '_' ? ' ' : *p;
	return buf;
}

static void cell_text(const json_t *cell, char *buf, size_t size)
{
	*buf = 0;
	if (json_is_array(cell))
		words_text(cell, buf, size);
	else if (cell && !json_is_object(cell))
		scalar_text(cell, buf, size);
}

// A guest's memory: addresses as its kernel writes them, sizes as its owner does.
static void memory_text(const char *name, json_int_t v, char *buf, size_t size)
{
	if (strcmp(name, "size") != 0)
		snprintf(buf, size, "%#llx", (unsigned long long)v);
	else if (v % (1 << 20) == 0)
		snprintf(buf, size, "%lld MiB", (long long)v >> 20);
	else
		snprintf(buf, size, "%lld KiB", (long long)v >> 10);
}

// Many keys: one line for each, one column for each object.
static void table_across(const struct cli *cli, const json_t *list)
{
	struct column columns[COLUMNS_MAX + 1] = {{""}};
	unsigned n = (unsigned)json_array_size(list);
	const char *name;
	char text[512];
	json_t *v;

	n = n < COLUMNS_MAX ? n : COLUMNS_MAX;
	for (unsigned c = 1; c <= n; c++)
		columns[c] = (struct column){"", COL_RIGHT};
	struct table *t = table_new(cli, columns, n + 1);
	json_object_foreach (json_array_get(list, 0), name, v) {
		table_row(t);
		table_cell(t, 0, FAINT, "%s", heading(name, text));
		for (unsigned c = 0; c < n; c++) {
			cell_text(
				json_object_get(json_array_get(list, c), name), text, sizeof(text));
			table_cell(t, 1 + c, NULL, "%s", text);
		}
	}
	table_hide_titles(t);
	table_print_indented(t, 4);
}

// One row for each object; the columns are the keys of the first.
static void table_of(const struct cli *cli, const char *key, const json_t *list)
{
	struct column columns[COLUMNS_MAX];
	char names[COLUMNS_MAX][32], titles[COLUMNS_MAX][64], text[512];
	const char *name;
	const json_t *row;
	unsigned n = 0;
	json_t *v;
	size_t i;

	printf("  %s%s%s\n", paint(cli, STRONG), heading(key, text), unpaint(cli));
	if (json_object_size(json_array_get(list, 0)) > 8) {
		table_across(cli, list);
		return;
	}
	json_object_foreach (json_array_get(list, 0), name, v) {
		snprintf(names[n], sizeof(names[n]), "%s", name);
		columns[n] = (struct column){
			heading(name, titles[n]), json_is_number(v) ? COL_RIGHT : COL_WRAP};
		n++;
	}
	struct table *t = table_new(cli, columns, n);
	json_array_foreach ((json_t *)list, i, row) {
		table_row(t);
		for (unsigned c = 0; c < n; c++) {
			const json_t *cell = json_object_get(row, names[c]);
			if (strcmp(key, "memory") == 0 && json_is_integer(cell))
				memory_text(names[c], json_integer_value(cell), text, sizeof(text));
			else
				cell_text(cell, text, sizeof(text));
			table_cell(t, c, NULL, "%s", text);
		}
	}
	table_print_indented(t, 4);
}

void describe_value(const struct cli *cli, unsigned indent, const char *key, const json_t *value)
{
	char name[64], text[4096];
	const char *below;
	json_t *v;

	heading(key, name);
	if (json_is_array(value) && json_is_object(json_array_get(value, 0))) {
		table_of(cli, key, value);
	} else if (json_is_array(value)) {
		words_text(value, text, sizeof(text));
		field(cli, indent, name, "%s", text);
	} else if (json_is_object(value)) {
		printf("  %*s%s%s%s\n", (int)indent, "", paint(cli, STRONG), name, unpaint(cli));
		json_object_foreach ((json_t *)value, below, v)
			describe_value(cli, indent + 2, below, v);
	} else {
		scalar_text(value, text, sizeof(text));
		field(cli, indent, name, "%s", text);
	}
}
