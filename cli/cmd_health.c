// SPDX-License-Identifier: BSD-2-Clause
// weftctl health: what is wrong, and what to do.
#include "cli/command.h"
#include "cli/output.h"
#include "cli/table.h"

#include <string.h>

static bool is_note(const json_t *finding)
{
	return strcmp(get_text(finding, "level"), "note") == 0;
}

static int judge(const json_t *result)
{
	const json_t *f;
	size_t i;

	json_array_foreach ((json_t *)result, i, f)
		if (!is_note(f))
			return CLI_REFUSED;
	return CLI_OK;
}

static int show(struct cli *cli, const json_t *result, const json_t *params)
{
	static const struct column columns[] = {
		{"LEVEL"}, {"ABOUT"}, {"FOUND", COL_WRAP}, {"WHAT TO DO", COL_WRAP}};
	static const char *const levels[] = {"error", "warning", "note"};
	struct table *t = table_new(cli, columns, 4);
	const json_t *f;
	size_t i;

	for (unsigned l = 0; l < 3; l++)
		json_array_foreach ((json_t *)result, i, f) {
			const char *level = get_text(f, "level");
			if (strcmp(level, levels[l]) != 0)
				continue;
			table_row(t);
			table_cell(t, 0, l == 0 ? BAD : l == 1 ? WARN : FAINT, "%s", level);
			table_cell(t, 1, STRONG, "%s", get_text(f, "about"));
			table_cell(t, 2, NULL, "%s", get_text(f, "text"));
			table_cell(t, 3, NULL, "%s", get_text(f, "remedy"));
		}
	table_print(t, "nothing is wrong");
	return CLI_OK;
}

const struct command cmd_health[] = {
	{.noun = "health",
		.verb = "show",
		.method = "health.show",
		.help = "what is wrong now, and what to do about it",
		.details =
			"Ports, workers, the address table, wakeup-us and metrics are looked at; "
			"what "
			"counts is what\n"
			"happened in the last 10 to 20 seconds. The exit status is 1 if there is "
			"an error or a\n"
			"warning, 0 if there are at most notes.",
		.example = "health",
		.show = show,
		.judge = judge},
	{NULL},
};
