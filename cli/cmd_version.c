// SPDX-License-Identifier: BSD-2-Clause
// weftctl version.
#include "cli/command.h"
#include "cli/output.h"

#include <stdio.h>

static int run(struct cli *cli, int argc, char **argv)
{
	char up[40];
	json_t *result;

	if (argc)
		return cli_wrong(cli, "unknown word '%s'; usage: weftctl version", argv[0]);
	int status = cli_call(cli, "version.show", NULL, &result);
	if (status == CLI_UNREACHABLE && !cli->json)
		printf("weftctl %s\n", WEFT_VERSION);
	if (status != CLI_OK)
		return status;
	json_object_set_new(result, "weftctl", json_string(WEFT_VERSION));
	duration_text(get_number(result, "uptime"), up, sizeof(up));
	if (cli->json)
		print_json(result);
	else
		printf("weftctl %s\nweftd %s, API %d, process %d, up %s\n", WEFT_VERSION,
			get_text(result, "version"), (int)get_number(result, "api"),
			(int)get_number(result, "pid"), up);
	json_decref(result);
	return CLI_OK;
}

const struct command cmd_version[] = {
	{.noun = "version",
		.synopsis = "",
		.help = "versions of weftctl and weftd",
		.example = "version",
		.run = run},
	{NULL},
};
