// SPDX-License-Identifier: BSD-2-Clause
// weftctl config: the configuration as a whole.
#include "cli/command.h"
#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (1 << 20)

static int show(struct cli *cli, const json_t *result, const json_t *params)
{
	fputs(get_text(result, "yaml"), stdout);
	return CLI_OK;
}

// The file as a JSON text; NULL with a message printed.
static json_t *read_text(struct cli *cli, const char *path)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	json_t *text = NULL;
	char *data;

	if (!f) {
		cli_fail(cli, "%s: %s", path, strerror(errno));
		return NULL;
	}
	data = malloc(FILE_MAX + 1);
	size_t n = data ? fread(data, 1, FILE_MAX + 1, f) : 0;
	if (ferror(f))
		cli_fail(cli, "%s: %s", path, strerror(errno));
	else if (n > FILE_MAX)
		cli_fail(cli, "%s: longer than %d bytes", path, FILE_MAX);
	else if (!(text = json_stringn(data ? data : "", n)))
		cli_fail(cli, "%s: not UTF-8", path);
	free(data);
	if (f != stdin)
		fclose(f);
	return text;
}

// A method that looks at the daemon's own file unless another is given; errors as compilers give them.
static int look(struct cli *cli, int argc, char **argv, const char *method,
	void (*print)(const struct cli *cli, const json_t *result))
{
	json_t *params, *result, *error;
	const char *path = argc ? argv[0] : NULL;
	int status;

	if (argc > 1)
		return cli_wrong(cli, "usage: weftctl config %s [FILE]", strchr(method, '.') + 1);
	params = json_object();
	if (path) {
		json_t *text = read_text(cli, path);
		if (!text) {
			json_decref(params);
			return CLI_REFUSED;
		}
		json_object_set_new(params, "text", text);
	}
	status = cli_connect(cli);
	if (status != CLI_OK) {
		json_decref(params);
		return status;
	}
	status = cli_try(cli, method, params, &result, &error);
	if (cli->json && status != CLI_UNREACHABLE)
		print_json(status == CLI_OK ? result : error);
	if (status == CLI_OK && !cli->json)
		print(cli, result);
	else if (status == CLI_REFUSED)
		cli_refused(cli, error, path);
	else if (status == CLI_UNREACHABLE)
		cli_silent(cli);
	json_decref(result);
	json_decref(error);
	return status;
}

static void print_check(const struct cli *cli, const json_t *result)
{
	printf("good: %d ports\n", (int)get_number(result, "ports"));
}

static int check(struct cli *cli, int argc, char **argv)
{
	return look(cli, argc, argv, "config.check", print_check);
}

static void print_diff(const struct cli *cli, const json_t *result)
{
	const json_t *d, *key;
	size_t i, k;

	if (json_array_size(result) == 0)
		puts("no difference");
	json_array_foreach ((json_t *)result, i, d) {
		const char *change = get_text(d, "change"), *port = get_text(d, "port");
		const char *colour = strcmp(change, "added") == 0     ? GOOD
				     : strcmp(change, "removed") == 0 ? BAD
								      : WARN;
		printf("%s%-7s%s%s%s%s", paint(cli, colour), change, unpaint(cli),
			*port ? " port " : "", port,
			*port && json_object_get(d, "keys") ? ":" : "");
		json_array_foreach (json_object_get(d, "keys"), k, key)
			printf("%s %s", k ? "," : "", json_string_value(key));
		putchar('\n');
	}
}

static int diff(struct cli *cli, int argc, char **argv)
{
	return look(cli, argc, argv, "config.diff", print_diff);
}

static int saved(struct cli *cli, const json_t *result, const json_t *params)
{
	printf("saved to %s\n", get_text(result, "file"));
	return CLI_OK;
}

static int report(struct cli *cli, const json_t *result, const json_t *params)
{
	const json_t *key;
	size_t i;

	printf("ports: %d added, %d removed, %d changed, %d unchanged\n",
		(int)get_number(result, "added"), (int)get_number(result, "removed"),
		(int)get_number(result, "changed"), (int)get_number(result, "unchanged"));
	if (get_number(result, "failed"))
		printf("%s%d could not be opened%s and will be tried again: weftctl port show\n",
			paint(cli, BAD), (int)get_number(result, "failed"), unpaint(cli));
	json_array_foreach (json_object_get((json_t *)result, "needs_restart"), i, key)
		printf("%s: what weftd was started with stays until it starts again\n",
			json_string_value(key));
	return CLI_OK;
}

const struct command cmd_config[] = {
	{.noun = "config",
		.verb = "show",
		.method = "config.show",
		.help = "print the running configuration",
		.example = "config show",
		.show = show},
	{.noun = "config",
		.verb = "check",
		.synopsis = "[FILE]",
		.help = "check a file and change nothing",
		.details = "Without FILE, the file that weftd was started with; - is standard "
			   "input. To check\n"
			   "without a running weftd: weftd -c FILE --check.",
		.example = "config check /etc/weft/weft.yaml",
		.run = check},
	{.noun = "config",
		.verb = "diff",
		.synopsis = "[FILE]",
		.help = "what a reload would change",
		.details = "Compares what runs with the file that weftd was started with, or with "
			   "FILE; - is\n"
			   "standard input. Nothing is changed.",
		.example = "config diff",
		.run = diff},
	{.noun = "config",
		.verb = "set",
		.method = "config.set",
		.keys = "",
		.help = "change settings that are not of one port",
		.details = "Keys are those of the configuration file, see weft.yaml(5); 'default' "
			   "takes one\n"
			   "back.",
		.example = "config set fdb age 600 log level debug",
		.show = report},
	{.noun = "config",
		.verb = "save",
		.method = "config.save",
		.help = "write the running configuration to weftd's file",
		.details = "The file is replaced as a whole; comments in it are lost. One that "
			   "somebody has\n"
			   "changed since weftd read it is left alone: config reload, or move it "
			   "away.",
		.example = "config save",
		.show = saved},
	{.noun = "config",
		.verb = "reload",
		.method = "config.reload",
		.help = "read the file again and apply what differs",
		.details = "Ports that did not change lose no frame. A file with an error, or an "
			   "empty one,\n"
			   "changes nothing.",
		.example = "config reload",
		.show = report},
	{NULL},
};
