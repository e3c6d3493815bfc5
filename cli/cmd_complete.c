// SPDX-License-Identifier: BSD-2-Clause
// weftctl __complete WORD...: what may come after the words before the last, one per line, for the
// shells' completion. Asks the running weftd; without one it offers what it knows by itself.
#include "cli/command.h"
#include "cli/output.h"
#include "cli/words.h"

#include <stdio.h>
#include <string.h>

static void offer(json_t *list, const char *word)
{
	json_array_append_new(list, json_string(word));
}

// Strings `field` of the objects that a method lists.
static void offer_live(struct cli *cli, const char *method, const char *field, json_t *list)
{
	json_t *result, *error, *v;
	char number[16];
	size_t i;

	if (!cli->connection || cli_try(cli, method, NULL, &result, &error) != CLI_OK)
		return;
	json_array_foreach (result, i, v) {
		const json_t *f = json_object_get(v, field);
		snprintf(number, sizeof(number), "%d", (int)json_integer_value(f));
		offer(list, json_is_string(f) ? json_string_value(f) : number);
	}
	json_decref(result);
}

static void offer_value(struct cli *cli, enum arg_kind kind, json_t *list)
{
	switch (kind) {
	case ARG_PORT:
		offer_live(cli, "port.show", "name", list);
		break;
	case ARG_MAC:
		offer_live(cli, "fdb.show", "mac", list);
		break;
	case ARG_VLAN:
		offer_live(cli, "vlan.show", "vlan", list);
		break;
	case ARG_NUMBER:
		offer_live(cli, "worker.show", "worker", list);
		break;
	default:
		break;
	}
}

// The type of a port that there is: a new string, or NULL.
static json_t *type_of(struct cli *cli, const char *port)
{
	json_t *result, *error, *type = NULL;

	if (cli_try(cli, "port.show", json_pack("{s:s}", "name", port), &result, &error) == CLI_OK)
		type = json_incref(json_object_get(json_array_get(result, 0), "type"));
	json_decref(result);
	json_decref(error);
	return type;
}

// The words after the positional ones, of which `port` is the first.
static void offer_schema(struct cli *cli, const struct command *c, const char *port, int argc,
	char **argv, json_t *list)
{
	json_t *owner, *error, *type = NULL;

	if (!cli->connection || cli_try(cli, "api.show", NULL, &owner, &error) != CLI_OK)
		return;
	const json_t *keys = json_object_get(json_object_get(owner, "configuration"), "keys");
	if (*c->keys)
		keys = json_object_get(json_object_get(keys, c->keys), "keys");
	if (port)
		type = type_of(cli, port);
	json_t *left = json_copy((json_t *)keys);
	for (const struct arg *a = c->args; a && a->name; a++)
		json_object_del(left, a->name);
	words_next(left, json_string_value(type), argc, argv, list);
	json_decref(left);
	json_decref(type);
	json_decref(owner);
}

static void offer_args(
	struct cli *cli, const struct command *c, int argc, char **argv, json_t *list)
{
	const struct arg *a = c->args, *last = NULL;
	int i = 0;

	for (; a && a->name && a->positional; a++, i++)
		if (i == argc) {
			// A new port has a new name.
			if (!c->keys || strcmp(c->verb, "add") != 0)
				offer_value(cli, a->kind, list);
			return;
		}
	if (c->keys) {
		offer_schema(cli, c, i ? argv[0] : NULL, argc - i, argv + i, list);
		return;
	}
	for (const struct arg *b = a; b && b->name; b++)
		if (argc > i && (argc - i) % 2 && strcmp(b->name, argv[argc - 1]) == 0)
			last = b;
	if (last) {
		offer_value(cli, last->kind, list);
		return;
	}
	for (; a && a->name; a++) {
		bool used = false;
		for (int w = i; w < argc; w += 2)
			used |= strcmp(argv[w], a->name) == 0;
		if (!used)
			offer(list, a->name);
	}
}

static void offer_words(struct cli *cli, const char *words, json_t *list)
{
	char copy[200], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", words);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		offer(list, w);
}

// Commands that take their words apart themselves.
static void offer_own(struct cli *cli, const char *noun, int argc, char **argv, json_t *list)
{
	const char *last = argc ? argv[argc - 1] : "";

	if (strcmp(noun, "capture") == 0) {
		if (argc == 0)
			offer_value(cli, ARG_PORT, list);
		else if (strcmp(last, "--dir") == 0)
			offer_words(cli, "rx tx both", list);
		else if (strcmp(last, "-w") != 0 && strcmp(last, "-c") != 0)
			offer_words(cli, "-w -c --dir --snaplen --nano", list);
	} else if (strcmp(noun, "monitor") == 0) {
		if (strcmp(last, "port") == 0)
			offer_value(cli, ARG_PORT, list);
		else
			offer_words(cli,
				"port port-added port-removed port-changed link-up link-down "
				"fdb-learnt "
				"fdb-moved fdb-aged drops log config",
				list);
	} else if (strcmp(noun, "top") == 0) {
		offer_words(cli, strcmp(last, "-o") == 0 ? "name rx tx drops cpu" : "-d -n -o -f",
			list);
	}
}

static void offer_nouns(json_t *list, const char *noun)
{
	const char *said = "";

	for (const struct command *const *t = command_tables; *t; t++)
		for (const struct command *c = *t; c->noun; c++) {
			if (noun && strcmp(c->noun, noun) == 0 && c->verb)
				offer(list, c->verb);
			if (!noun && c->help && strcmp(said, c->noun) != 0)
				offer(list, said = c->noun);
		}
	if (!noun)
		offer(list, "help");
}

static int run(struct cli *cli, int argc, char **argv)
{
	json_t *list = json_array(), *v;
	const char *prefix = argc ? argv[argc - 1] : "";
	char text[400];
	size_t i;

	while (argc > 2 && (strcmp(argv[0], "-s") == 0 || strcmp(argv[0], "--socket") == 0)) {
		cli->socket = argv[1];
		argv += 2;
		argc -= 2;
	}
	while (argc > 1 && strcmp(argv[0], "-j") == 0) {
		argv++;
		argc--;
	}
	cli->connection = connection_new(cli->socket, text, sizeof(text));
	const struct command *c =
		argc > 1 ? command_find(argv[0], argc > 2 ? argv[1] : NULL) : NULL;
	if (argc <= 1)
		offer_nouns(list, NULL);
	else if (strcmp(argv[0], "help") == 0)
		offer_nouns(list, argc > 2 ? argv[1] : NULL);
	else if (c && c->run && !c->verb)
		offer_own(cli, c->noun, argc - 2, argv + 1, list);
	else if (argc == 2)
		offer_nouns(list, argv[0]);
	else if (c)
		offer_args(cli, c, argc - 3, argv + 2, list);
	json_array_foreach (list, i, v)
		if (strncmp(json_string_value(v), prefix, strlen(prefix)) == 0)
			puts(json_string_value(v));
	json_decref(list);
	return CLI_OK;
}

const struct command cmd_complete[] = {
	{.noun = "__complete", .run = run, .own_options = true}, {NULL}};
