// SPDX-License-Identifier: BSD-2-Clause
// weftctl stats: counters, and drops with their reasons.
#include "cli/command.h"
#include "cli/output.h"
#include "cli/table.h"

#include <stdio.h>
#include <string.h>

static void show_counters(const struct cli *cli, const json_t *list)
{
	static const struct column columns[] = {{"PORT"}, {"RX FRAMES", COL_RIGHT},
		{"RX BYTES", COL_RIGHT}, {"TX FRAMES", COL_RIGHT}, {"TX BYTES", COL_RIGHT},
		{"DROPS", COL_RIGHT}};
	static const char *const keys[] = {
		"rx_frames", "rx_bytes", "tx_frames", "tx_bytes", "dropped"};
	struct table *t = table_new(cli, columns, 6);
	const json_t *p;
	size_t i;

	json_array_foreach ((json_t *)list, i, p) {
		table_row(t);
		table_cell(t, 0, STRONG, "%s", get_text(p, "port"));
		for (unsigned c = 0; c < 5; c++) {
			uint64_t n = get_number(p, keys[c]);
			table_cell(
				t, 1 + c, c == 4 && n ? WARN : NULL, "%llu", (unsigned long long)n);
		}
	}
	table_print(t, "");
}

static void show_drops(struct cli *cli, const json_t *list)
{
	static const struct column columns[] = {{"PORT"}, {"REASON"}, {"FRAMES", COL_RIGHT},
		{"MEANING", COL_WRAP}, {"WHAT TO DO", COL_WRAP}};
	struct table *t;
	json_t *reasons, *error, *r;
	const json_t *p;
	size_t i, j;

	if (cli_try(cli, "stats.reasons", NULL, &reasons, &error) != CLI_OK)
		return;
	t = table_new(cli, columns, 5);
	json_array_foreach ((json_t *)list, i, p)
		json_array_foreach (reasons, j, r) {
			uint64_t n = get_number(json_object_get(p, "drops"), get_text(r, "reason"));
			if (!n)
				continue;
			table_row(t);
			table_cell(t, 0, STRONG, "%s", get_text(p, "port"));
			table_cell(t, 1, WARN, "%s", get_text(r, "reason"));
			table_cell(t, 2, NULL, "%llu", (unsigned long long)n);
			table_cell(t, 3, NULL, "%s", get_text(r, "text"));
			table_cell(t, 4, NULL, "%s", get_text(r, "remedy"));
		}
	json_decref(reasons);
	puts("");
	table_print(t, "");
}

static int show(struct cli *cli, const json_t *result, const json_t *params)
{
	const char *port = get_text(params, "port");
	const json_t *p;
	uint64_t drops = 0;
	size_t i;

	if (json_array_size(result) == 0 && *port) {
		printf("port %s is not open: weftctl port show %s says why\n", port, port);
		return CLI_OK;
	}
	if (json_array_size(result) == 0) {
		puts("no ports are open");
		return CLI_OK;
	}
	show_counters(cli, result);
	json_array_foreach ((json_t *)result, i, p)
		drops += get_number(p, "dropped");
	if (drops)
		show_drops(cli, result);
	return CLI_OK;
}

static int show_reasons(struct cli *cli, const json_t *result, const json_t *params)
{
	static const struct column columns[] = {
		{"REASON"}, {"MEANING", COL_WRAP}, {"WHAT TO DO", COL_WRAP}};
	struct table *t = table_new(cli, columns, 3);
	const json_t *r;
	size_t i;

	json_array_foreach ((json_t *)result, i, r) {
		table_row(t);
		table_cell(t, 0, STRONG, "%s", get_text(r, "reason"));
		table_cell(t, 1, NULL, "%s", get_text(r, "text"));
		table_cell(t, 2, NULL, "%s", get_text(r, "remedy"));
	}
	table_print(t, "");
	return CLI_OK;
}

static const struct arg args[] = {{"port", ARG_PORT, true, false}, {NULL}};

const struct command cmd_stats[] = {
	{.noun = "stats",
		.verb = "show",
		.method = "stats.show",
		.args = args,
		.help = "counters of the ports, and why frames were dropped",
		.example = "stats show vm1",
		.show = show},
	{.noun = "stats",
		.verb = "reasons",
		.method = "stats.reasons",
		.help = "every reason for which frames are dropped",
		.example = "stats reasons",
		.show = show_reasons},
	{NULL},
};
