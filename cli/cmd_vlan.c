// SPDX-License-Identifier: BSD-2-Clause
// weftctl vlan: which ports are in which VLAN.
#include "cli/command.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>

static void members(const json_t *ports, const char *mode, char *buf, size_t size)
{
	const json_t *p;
	size_t i;

	*buf = 0;
	json_array_foreach ((json_t *)ports, i, p) {
		size_t n = strlen(buf);
		if (strcmp(get_text(p, "mode"), mode) == 0)
			snprintf(buf + n, size - n, "%s%s", n ? " " : "", get_text(p, "port"));
	}
}

static int show(struct cli *cli, const json_t *result, const json_t *params)
{
	static const struct column columns[] = {{"VLAN", COL_RIGHT}, {"ADDRESSES", COL_RIGHT},
		{"ACCESS", COL_WRAP}, {"TRUNK", COL_WRAP}, {"NATIVE", COL_WRAP}};
	static const char *const modes[] = {"access", "trunk", "native"};
	struct table *t = table_new(cli, columns, 5);
	const json_t *v;
	char text[1000];
	size_t i;

	json_array_foreach ((json_t *)result, i, v) {
		table_row(t);
		table_cell(t, 0, STRONG, "%d", (int)get_number(v, "vlan"));
		table_cell(t, 1, NULL, "%d", (int)get_number(v, "addresses"));
		for (unsigned m = 0; m < 3; m++) {
			members(json_object_get(v, "ports"), modes[m], text, sizeof(text));
			table_cell(t, 2 + m, NULL, "%s", text);
		}
	}
	if (table_n_rows(t) == 0)
		puts("no VLANs: there are no ports");
	else
		table_print(t);
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
