// SPDX-License-Identifier: BSD-2-Clause
// weftctl worker: the polling threads and the queues they own.
#include "cli/command.h"
#include "cli/output.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// "vm1:0 vm1:1 uplink:0"
static char *queues_text(const json_t *list)
{
	char *text = NULL;
	const json_t *q;
	size_t i;

	json_array_foreach ((json_t *)list, i, q)
		text_add(&text, "%s%s:%d", i ? " " : "", get_text(q, "port"),
			(int)get_number(q, "queue"));
	return text;
}

static int show(struct cli *cli, const json_t *result, const json_t *params)
{
	static const struct column columns[] = {{"WORKER", COL_RIGHT}, {"CORE", COL_RIGHT},
		{"STATE"}, {"BUSY", COL_RIGHT}, {"FRAMES", COL_RIGHT},
		{"CYCLES/FRAME", COL_RIGHT | COL_SPARE}, {"CPU", COL_RIGHT},
		{"SLEEPS", COL_RIGHT | COL_SPARE}, {"QUEUES", COL_WRAP}};
	struct table *t = table_new(cli, columns, 9);
	char number[SHORT_NUMBER];
	const json_t *w;
	size_t i;

	json_array_foreach ((json_t *)result, i, w) {
		double busy = (double)get_number(w, "busy_cycles");
		double hz = (double)get_number(w, "cycles_hz");
		const json_t *cycles = json_object_get(w, "cycles_per_frame");
		const json_t *core = json_object_get(w, "core");
		table_row(t);
		table_cell(t, 0, STRONG, "%d", (int)get_number(w, "worker"));
		if (json_is_integer(core))
			table_cell(t, 1, NULL, "%d", (int)json_integer_value(core));
		else
			table_cell(t, 1, NULL, "any");
		table_cell(t, 2, NULL, "%s", get_text(w, "state"));
		table_cell(t, 3, NULL, "%.1f s", hz > 0 ? busy / hz : 0.0);
		table_cell(t, 4, NULL, "%s", short_number((double)get_number(w, "frames"), number));
		if (json_is_number(cycles))
			table_cell(t, 5, NULL, "%.0f", json_number_value(cycles));
		table_cell(t, 6, NULL, "%.1f s", (double)get_number(w, "cpu_ns") / 1e9);
		table_cell(t, 7, NULL, "%s", short_number((double)get_number(w, "sleeps"), number));
		char *text = queues_text(json_object_get(w, "queues"));
		if (text)
			table_cell(t, 8, NULL, "%s", text);
		free(text);
	}
	table_print(t, "");
	return CLI_OK;
}

static const struct arg add_args[] = {{"core", ARG_NUMBER, false, true}, {NULL}};
static const struct arg del_args[] = {{"worker", ARG_NUMBER, true, true}, {NULL}};
static const struct arg set_args[] = {{"worker", ARG_NUMBER, true, true},
	{"port", ARG_PORT, false, false}, {"queue", ARG_NUMBER, false, false},
	{"core", ARG_NUMBER, false, false}, {NULL}};

const struct command cmd_worker[] = {
	{.noun = "worker",
		.verb = "show",
		.method = "worker.show",
		.help = "list workers, what they do and own",
		.details = "BUSY and CYCLES/FRAME are since the start; weftctl top shows them as "
			   "they are now.",
		.example = "worker show",
		.show = show},
	{.noun = "worker",
		.verb = "add",
		.method = "worker.add",
		.args = add_args,
		.help = "start a polling thread on a core",
		.details = "It takes its share of the queues whose workers nobody chose, without "
			   "losing a frame.",
		.example = "worker add core 0"},
	{.noun = "worker",
		.verb = "del",
		.method = "worker.del",
		.args = del_args,
		.help = "end a polling thread",
		.details = "Its queues go to the others, without losing a frame. The numbers above "
			   "it move down\nby one.",
		.example = "worker del 1"},
	{.noun = "worker",
		.verb = "set",
		.method = "worker.set",
		.args = set_args,
		.help = "move a receive queue to a worker, or a worker to a core",
		.details = "A queue: 'port' and 'queue'; it is saved as workers: of the port. A "
			   "worker: 'core'.",
		.example = "worker set 0 port vm1 queue 0"},
	{NULL},
};
