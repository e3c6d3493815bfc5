// SPDX-License-Identifier: BSD-2-Clause
// weftctl vlan: which ports are in which VLAN.
#include "cli/command.h"
#include "cli/output.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *members(const json_t *ports, const char *mode)
{
	char *text = NULL;
	const json_t *p;
	size_t i;

	json_array_foreach ((json_t *)ports, i, p)
		if (strcmp(get_text(p, "mode"), mode) == 0)
			text_add(&text, "%s%s", text ? " " : "", get_text(p, "port"));
	return text;
}

// The last of the VLANs that follow each other from `i` on with the same ports and no addresses.
static size_t same_until(const json_t *list, size_t i)
{
	const json_t *first = json_array_get(list, i);
	size_t last = i;

	if (get_number(first, "addresses"))
		return i;
	for (const json_t *v; (v = json_array_get(list, last + 1)); last++)
		if (get_number(v, "addresses") ||
			get_number(v, "vlan") != get_number(first, "vlan") + (last + 1 - i) ||
			!json_equal(json_object_get(v, "ports"), json_object_get(first, "ports")))
			break;
	return last;
}

static int show(struct cli *cli, const json_t *result, const json_t *params)
{
	static const struct column columns[] = {{"VLAN", COL_RIGHT}, {"ADDRESSES", COL_RIGHT},
		{"ACCESS", COL_WRAP}, {"TRUNK", COL_WRAP}, {"NATIVE", COL_WRAP}};
	static const char *const modes[] = {"access", "trunk", "native"};
	struct table *t = table_new(cli, columns, 5);
	const json_t *v;
	size_t i;

	for (i = 0; (v = json_array_get(result, i)); i++) {
		size_t last = same_until(result, i);
		table_row(t);
		if (last > i)
			table_cell(t, 0, STRONG, "%d-%d", (int)get_number(v, "vlan"),
				(int)get_number(json_array_get(result, last), "vlan"));
		else
			table_cell(t, 0, STRONG, "%d", (int)get_number(v, "vlan"));
		table_cell(t, 1, NULL, "%d", (int)get_number(v, "addresses"));
		i = last;
		for (unsigned m = 0; m < 3; m++) {
			char *text = members(json_object_get(v, "ports"), modes[m]);
			if (text)
				table_cell(t, 2 + m, NULL, "%s", text);
			free(text);
		}
	}
	table_print(t, "no VLANs: there are no ports");
	return CLI_OK;
}

static const struct arg args[] = {{"vlan", ARG_VLAN, true, false}, {NULL}};

const struct command cmd_vlan[] = {
	{.noun = "vlan",
		.verb = "show",
		.method = "vlan.show",
		.args = args,
		.help = "list VLANs and their ports",
		.details = "VLANs of ports are changed with port set PORT vlan ...",
		.example = "vlan show 10",
		.show = show},
	{NULL},
};
