// SPDX-License-Identifier: BSD-2-Clause
// Objects of the API as indented text for people.
#include "cli/describe_text.h"

#include "cli/output.h"
#include "cli/table.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_WIDTH  23
#define INDENT      4
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
	va_list ap;

	va_start(ap, fmt);
	char *text = text_format(fmt, ap);
	va_end(ap);
	printf("  %*s%s%-*s%s ", (int)indent, "", paint(cli, FAINT), NAME_WIDTH - 1, name,
		unpaint(cli));
	flow(text, length < NAME_WIDTH ? left : left - NAME_WIDTH + length + 1, left);
	free(text);
}

void paragraph(unsigned left, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *text = text_format(fmt, ap);
	va_end(ap);
	flow(text, 0, left);
	free(text);
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

// To be freed.
static char *words_text(const json_t *list)
{
	char word[256], *text = NULL;
	const json_t *v;
	size_t i;

	json_array_foreach ((json_t *)list, i, v) {
		scalar_text(v, word, sizeof(word));
		text_add(&text, "%s%s", i ? ", " : "", word);
	}
	if (!text)
		text_add(&text, "none");
	return text;
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
	if (json_is_array(cell)) {
		char *words = words_text(cell);
		snprintf(buf, size, "%s", words);
		free(words);
	} else if (cell && !json_is_object(cell)) {
		scalar_text(cell, buf, size);
	}
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

// How many of the objects from `first` on have room beside each other; at least one.
static unsigned fit_across(const json_t *list, size_t first)
{
	const size_t all = json_array_size(list);
	size_t room = isatty(STDOUT_FILENO) ? terminal_width() : SIZE_MAX, used = INDENT;
	const char *name;
	char text[512];
	unsigned n = 0;
	json_t *v;

	json_object_foreach (json_array_get(list, 0), name, v)
		if (used < INDENT + strlen(name))
			used = INDENT + strlen(name);
	for (; first + n < all && n < COLUMNS_MAX; n++) {
		size_t width = 0;
		json_object_foreach (json_array_get(list, first + n), name, v) {
			cell_text(v, text, sizeof(text));
			if (width < strlen(text))
				width = strlen(text);
		}
		used += 1 + width;
		if (n && used > room)
			break;
	}
	return n;
}

// Many keys: one line for each, one column for each of n objects.
static void table_across(const struct cli *cli, const json_t *list, size_t first, unsigned n)
{
	struct column columns[COLUMNS_MAX + 1] = {{""}};
	const char *name;
	char text[512];
	json_t *v;

	for (unsigned c = 1; c <= n; c++)
		columns[c] = (struct column){"", COL_RIGHT};
	struct table *t = table_new(cli, columns, n + 1);
	json_object_foreach (json_array_get(list, 0), name, v) {
		table_row(t);
		table_cell(t, 0, FAINT, "%s", heading(name, text));
		for (unsigned c = 0; c < n; c++) {
			cell_text(json_object_get(json_array_get(list, first + c), name), text,
				sizeof(text));
			table_cell(t, 1 + c, NULL, "%s", text);
		}
	}
	table_hide_titles(t);
	table_print_indented(t, INDENT);
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
		unsigned fit;
		for (i = 0; i < json_array_size(list); i += fit) {
			fit = fit_across(list, i);
			if (i)
				puts("");
			table_across(cli, list, i, fit);
		}
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
	table_print_indented(t, INDENT);
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
		char *words = words_text(value);
		field(cli, indent, name, "%s", words);
		free(words);
	} else if (json_is_object(value)) {
		printf("  %*s%s%s%s\n", (int)indent, "", paint(cli, STRONG), name, unpaint(cli));
		json_object_foreach ((json_t *)value, below, v)
			describe_value(cli, indent + 2, below, v);
	} else {
		scalar_text(value, text, sizeof(text));
		field(cli, indent, name, "%s", text);
	}
}
