// SPDX-License-Identifier: BSD-2-Clause
// What people see: colours where they can be seen, short numbers, JSON.
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

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

void duration_text(uint64_t s, char *buf, size_t size)
{
	const unsigned long long min = s / 60, h = min / 60, d = h / 24;

	if (d)
		snprintf(buf, size, "%llu d %llu h", d, h % 24);
	else if (h)
		snprintf(buf, size, "%llu h %llu min", h, min % 60);
	else if (min)
		snprintf(buf, size, "%llu min %llu s", min, (unsigned long long)s % 60);
	else
		snprintf(buf, size, "%llu s", (unsigned long long)s);
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

char *text_format(const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) >= 0)
		return text;
	fputs("weftctl: out of memory\n", stderr);
	exit(CLI_REFUSED);
}

void text_add(char **text, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *more = text_format(fmt, ap);
	va_end(ap);
	const size_t n = *text ? strlen(*text) : 0, size = strlen(more) + 1;
	char *all = realloc(*text, n + size);
	if (!all) {
		fputs("weftctl: out of memory\n", stderr);
		exit(CLI_REFUSED);
	}
	memcpy(all + n, more, size);
	free(more);
	*text = all;
}

char *vlan_text(const json_t *config)
{
	const json_t *vlan = json_object_get(config, "vlan"), *v;
	const json_t *trunk = json_object_get(vlan, "trunk");
	const uint64_t access = get_number(vlan, "access"), native = get_number(vlan, "native");
	char *text = NULL;
	size_t i;

	if (!json_is_array(trunk)) {
		text_add(&text, "access %d", access ? (int)access : 1);
		return text;
	}
	text_add(&text, "trunk ");
	json_array_foreach ((json_t *)trunk, i, v)
		text_add(&text, "%s%s", i ? "," : "",
			json_string_value(v) ? json_string_value(v) : "");
	if (native)
		text_add(&text, " native %d", (int)native);
	return text;
}
