// SPDX-License-Identifier: BSD-2-Clause
// weftctl monitor: events as they happen.
#include "cli/command.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void print_time(const struct cli *cli, const json_t *e)
{
	uint64_t us = get_number(e, "time_us");
	time_t s = (time_t)(us / 1000000);
	struct tm tm;
	char text[32];

	localtime_r(&s, &tm);
	strftime(text, sizeof(text), "%H:%M:%S", &tm);
	printf("%s%s.%06llu%s ", paint(cli, FAINT), text, (unsigned long long)(us % 1000000),
		unpaint(cli));
}

static const char *colour_of(const char *kind)
{
	if (strcmp(kind, "link-up") == 0 || strcmp(kind, "port-added") == 0)
		return GOOD;
	if (strcmp(kind, "link-down") == 0 || strcmp(kind, "port-removed") == 0)
		return BAD;
	if (strcmp(kind, "drops") == 0 || strcmp(kind, "lost") == 0)
		return WARN;
	return STRONG;
}

static void print_event(const struct cli *cli, const json_t *e)
{
	const char *kind = get_text(e, "event");

	print_time(cli, e);
	printf("%s%-12s%s %s", paint(cli, colour_of(kind)), kind, unpaint(cli),
		get_text(e, "port"));
	if (json_object_get(e, "mac"))
		printf(" %s vlan %d", get_text(e, "mac"), (int)get_number(e, "vlan"));
	if (json_object_get(e, "old_port"))
		printf(" from %s", get_text(e, "old_port"));
	if (json_object_get(e, "reason"))
		printf(" %s: %s", get_text(e, "reason"), get_text(e, "remedy"));
	if (json_object_get(e, "count"))
		printf(" (%llu)", (unsigned long long)get_number(e, "count"));
	if (*get_text(e, "text"))
		printf("%s%s", *get_text(e, "port") ? ": " : "", get_text(e, "text"));
	putchar('\n');
}

static int follow(struct cli *cli)
{
	json_t *message;
	int rc;

	for (;;) {
		rc = connection_receive(cli->connection, -1, &message);
		if (rc < 0)
			break;
		const json_t *e = json_object_get(message, "params");
		if (e && cli->json) {
			json_dumpf(e, stdout, JSON_COMPACT);
			putchar('\n');
		} else if (e) {
			print_event(cli, e);
		}
		json_decref(message);
		if (fflush(stdout) == EOF)
			return CLI_OK;
	}
	cli_fail(cli, "weftd closed the connection");
	return CLI_UNREACHABLE;
}

static int parse(struct cli *cli, int argc, char **argv, json_t *params, json_t *events)
{
	for (int i = 0; i < argc; i++) {
		const bool is_port = strcmp(argv[i], "port") == 0;
		if (is_port && ++i == argc)
			return cli_wrong(cli, "'port' needs a value");
		if (is_port && json_object_get(params, "port"))
			return cli_wrong(cli, "'port' is there twice");
		if (is_port ? json_object_set_new(params, "port", json_string(argv[i])) < 0
			    : json_array_append_new(events, json_string(argv[i])) < 0)
			return cli_wrong(
				cli, "%s: the text is not UTF-8", is_port ? "port" : "event");
	}
	return CLI_OK;
}

static int run(struct cli *cli, int argc, char **argv)
{
	json_t *params = json_object(), *events = json_array(), *result;
	int status;

	status = parse(cli, argc, argv, params, events);
	if (json_array_size(events))
		json_object_set(params, "events", events);
	json_decref(events);
	if (status != CLI_OK) {
		json_decref(params);
		return status;
	}
	status = cli_call(cli, "monitor.subscribe", params, &result);
	if (status != CLI_OK)
		return status;
	json_decref(result);
	return follow(cli);
}

const struct command cmd_monitor[] = {
	{.noun = "monitor",
		.synopsis = "[port PORT] [EVENT...]",
		.help = "print events as they happen, until Ctrl-C",
		.details =
			"Events: port-added port-removed port-changed link-up link-down "
			"fdb-learnt\n"
			"fdb-moved fdb-aged drops log config; all if none is named. 'lost', that "
			"some were\n"
			"lost, comes in any case. With -j one object per line.",
		.example = "monitor port vm1 link-up link-down",
		.run = run},
	{NULL},
};
