// SPDX-License-Identifier: BSD-2-Clause
// weftctl fdb: the addresses the switch knows.
#include "cli/command.h"
#include "cli/output.h"
#include "cli/table.h"

#include <stdio.h>

static int show(struct cli *cli, const json_t *result, const json_t *params)
{
	static const struct column columns[] = {
		{"MAC"}, {"VLAN", COL_RIGHT}, {"PORT"}, {"KIND"}, {"AGE", COL_RIGHT}};
	struct table *t = table_new(cli, columns, 5);
	const json_t *e;
	size_t i;

	json_array_foreach ((json_t *)result, i, e) {
		bool fixed = json_is_true(json_object_get(e, "static"));
		table_row(t);
		table_cell(t, 0, NULL, "%s", get_text(e, "mac"));
		table_cell(t, 1, NULL, "%d", (int)get_number(e, "vlan"));
		table_cell(t, 2, STRONG, "%s", get_text(e, "port"));
		table_cell(t, 3, NULL, "%s", fixed ? "static" : "learnt");
		if (!fixed)
			table_cell(t, 4, NULL, "%d s", (int)get_number(e, "age"));
	}
	table_print(t, "no addresses");
	return CLI_OK;
}

static int flushed(struct cli *cli, const json_t *result, const json_t *params)
{
	printf("%d addresses forgotten\n", (int)get_number(result, "flushed"));
	return CLI_OK;
}

static const struct arg show_args[] = {
	{"port", ARG_PORT}, {"vlan", ARG_VLAN}, {"mac", ARG_MAC}, {NULL}};
static const struct arg add_args[] = {
	{"mac", ARG_MAC, true, true}, {"port", ARG_PORT, false, true}, {"vlan", ARG_VLAN}, {NULL}};
static const struct arg del_args[] = {{"mac", ARG_MAC, true, true}, {"vlan", ARG_VLAN}, {NULL}};
static const struct arg flush_args[] = {{"port", ARG_PORT}, {"vlan", ARG_VLAN}, {NULL}};

const struct command cmd_fdb[] = {
	{.noun = "fdb",
		.verb = "show",
		.method = "fdb.show",
		.args = show_args,
		.help = "list addresses and the ports they live on",
		.example = "fdb show vlan 10",
		.show = show},
	{.noun = "fdb",
		.verb = "add",
		.method = "fdb.add",
		.args = add_args,
		.help = "add a static address",
		.details = "It never ages and never moves, and is saved with the configuration.\n"
			   "The VLAN is 1 if none is given.",
		.example = "fdb add 52:54:00:00:00:01 port vm1 vlan 10"},
	{.noun = "fdb",
		.verb = "del",
		.method = "fdb.del",
		.args = del_args,
		.help = "forget one address",
		.example = "fdb del 52:54:00:00:00:01 vlan 10"},
	{.noun = "fdb",
		.verb = "flush",
		.method = "fdb.flush",
		.args = flush_args,
		.help = "forget what was learnt",
		.details = "Static addresses stay.",
		.example = "fdb flush port vm1",
		.show = flushed},
	{NULL},
};
