// SPDX-License-Identifier: BSD-2-Clause
// Finding commands, running them, and explaining them.
#include "cli/command.h"

#include "cli/output.h"
#include "cli/words.h"
#include "common/suggest.h"

#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct command *const command_tables[] = {cmd_port, cmd_fdb, cmd_vlan, cmd_stats, cmd_health,
	cmd_worker, cmd_config, cmd_top, cmd_monitor, cmd_capture, cmd_version, cmd_complete, NULL};

#define CALL_TIMEOUT_MS 30000
// Of the API's codes.
#define DENIED    3
#define NO_METHOD (-32601)

int cli_wrong(struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	fputs("weftctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return CLI_USAGE;
}

int cli_fail(struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%sweftctl:%s ", isatty(STDERR_FILENO) ? paint(cli, BAD) : "",
		isatty(STDERR_FILENO) ? unpaint(cli) : "");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return CLI_REFUSED;
}

int cli_refused(struct cli *cli, const json_t *error, const char *file)
{
	const json_t *data = json_object_get(error, "data");
	const char *in = file ? file : get_text(data, "file");

	// Commands ask for nothing that a weftd of their version has not.
	if (json_integer_value(json_object_get(error, "code")) == NO_METHOD)
		return cli_fail(cli,
			"%s: weftd is of another version than weftctl ('weftctl version' has "
			"both); start it again after an upgrade",
			get_text(error, "message"));
	if (!*in)
		return cli_fail(cli, "%s", get_text(error, "message"));
	if (!get_number(data, "line"))
		return cli_fail(cli, "%s: %s", in, get_text(error, "message"));
	fprintf(stderr, "%s:%d:%d: %s\n", in, (int)get_number(data, "line"),
		(int)get_number(data, "column"), get_text(error, "message"));
	return CLI_REFUSED;
}

int cli_silent(struct cli *cli)
{
	cli_fail(cli, "weftd does not answer on %s", cli->socket);
	return CLI_UNREACHABLE;
}

int cli_connect(struct cli *cli)
{
	char text[400] = "out of memory";

	if (cli->connection)
		return CLI_OK;
	cli->connection = connection_new(cli->socket, text, sizeof(text));
	if (cli->connection)
		return CLI_OK;
	cli_fail(cli, "%s", text);
	return CLI_UNREACHABLE;
}

static bool is_stopped(const struct cli *cli)
{
	return cli->stop && *cli->stop;
}

int cli_try(struct cli *cli, const char *method, json_t *params, json_t **result, json_t **error)
{
	int64_t id = ++cli->next_id;
	json_t *answer, *got;
	int rc;

	*result = *error = NULL;
	rc = connection_send(cli->connection,
		json_pack("{s:s, s:s, s:I, s:o}", "jsonrpc", "2.0", "method", method, "id",
			(json_int_t)id, "params", params ? params : json_object()));
	if (rc < 0 && rc != -EPIPE)
		return CLI_UNREACHABLE;
	for (;;) {
		rc = connection_receive(cli->connection, CALL_TIMEOUT_MS, &answer);
		if (rc == -EINTR && !is_stopped(cli))
			continue;
		if (rc < 0 || !answer)
			return CLI_UNREACHABLE;
		// A refusal at the door has no id.
		const json_t *its = json_object_get(answer, "id");
		if (!json_object_get(answer, "method") &&
			(json_is_null(its) || json_integer_value(its) == id))
			break;
		json_decref(answer);
	}
	const json_t *why = json_object_get(answer, "error");
	if (json_is_null(json_object_get(answer, "id")) && get_number(why, "code") == DENIED)
		cli->is_turned_away = true;
	if ((got = json_object_get(answer, "result")))
		*result = json_incref(got);
	else
		*error = json_incref(json_object_get(answer, "error"));
	json_decref(answer);
	return *result ? CLI_OK : CLI_REFUSED;
}

int cli_call(struct cli *cli, const char *method, json_t *params, json_t **result)
{
	json_t *error;
	int status = cli_connect(cli);

	if (status != CLI_OK) {
		json_decref(params);
		return status;
	}
	status = cli_try(cli, method, params, result, &error);
	if (status == CLI_REFUSED && cli->json)
		print_json(error);
	if (status == CLI_REFUSED)
		cli_refused(cli, error, NULL);
	else if (status == CLI_UNREACHABLE)
		cli_silent(cli);
	json_decref(error);
	return status;
}

static const char *alias(const char *verb)
{
	static const char *const names[][2] = {{"list", "show"}, {"ls", "show"}, {"delete", "del"},
		{"remove", "del"}, {"change", "set"}};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i][0], verb) == 0)
			return names[i][1];
	return verb;
}

// verb NULL: what the noun alone does.
const struct command *command_find(const char *noun, const char *verb)
{
	for (const struct command *const *t = command_tables; *t; t++)
		for (const struct command *c = *t; c->noun; c++)
			if (strcmp(c->noun, noun) == 0 &&
				(!c->verb || strcmp(c->verb, verb ? alias(verb) : "show") == 0))
				return c;
	return NULL;
}

static const char *arg_form(const struct arg *a)
{
	static const char *const forms[] = {[ARG_PORT] = "PORT",
		[ARG_MAC] = "MAC",
		[ARG_VLAN] = "VLAN",
		[ARG_NUMBER] = "N",
		[ARG_TEXT] = "TEXT",
		[ARG_FILE] = "FILE",
		[ARG_EVENT] = "EVENT"};

	return forms[a->kind];
}

void command_synopsis(const struct command *c, char *buf, size_t size)
{
	size_t n =
		snprintf(buf, size, "%s%s%s", c->noun, c->verb ? " " : "", c->verb ? c->verb : "");

	if (c->synopsis) {
		snprintf(buf + n, size - n, " %s", c->synopsis);
		return;
	}
	for (const struct arg *a = c->args; a && a->name; a++) {
		n = strlen(buf);
		snprintf(buf + n, size - n, " %s%s%s%s%s", a->required ? "" : "[",
			a->positional ? "" : a->name, a->positional ? "" : " ", arg_form(a),
			a->required ? "" : "]");
	}
	n = strlen(buf);
	if (c->keys)
		snprintf(buf + n, size - n, " KEY VALUE...");
}

static void help_command(const struct command *c)
{
	char synopsis[400];

	command_synopsis(c, synopsis, sizeof(synopsis));
	printf("Usage: weftctl %s\n\n%s\n", synopsis, c->help);
	if (c->details)
		printf("\n%s\n", c->details);
	printf("\nExample: weftctl %s\n", c->example);
}

static void help_all(void)
{
	puts("Usage: weftctl [-s SOCKET] [-j] NOUN VERB ...\n"
	     "\n"
	     "Shows and changes the switch weftd.\n"
	     "\n"
	     "  -s, --socket SOCKET  socket of weftd; default $WEFT_SOCKET,\n"
	     "                       or " CLI_SOCKET "\n"
	     "  -j, --json           print JSON, with the keys of the API\n"
	     "  -V, --version        print the version of weftctl\n"
	     "  -h, --help           print this\n");
	for (const struct command *const *t = command_tables; *t; t++)
		for (const struct command *c = *t; c->noun; c++)
			if (c->help)
				printf("  %-8s %-7s  %s\n", c->noun, c->verb ? c->verb : "",
					c->help);
	puts("\nMore: weftctl help NOUN [VERB], and weftctl(1).\n"
	     "Example: weftctl port show");
}

static int unknown_noun(const char *noun)
{
	struct suggest s;

	suggest_init(&s, noun);
	for (const struct command *const *t = command_tables; *t; t++)
		if ((*t)->help)
			suggest_offer(&s, (*t)->noun);
	suggest_offer(&s, "help");
	if (s.best)
		return cli_wrong(NULL, "unknown word '%s', did you mean '%s'?", noun, s.best);
	return cli_wrong(NULL, "unknown word '%s'; see weftctl help", noun);
}

static int unknown_verb(const char *noun, const char *verb)
{
	struct suggest s;
	char known[200] = "";

	suggest_init(&s, verb);
	for (const struct command *const *t = command_tables; *t; t++)
		for (const struct command *c = *t; c->noun; c++) {
			size_t n = strlen(known);
			if (strcmp(c->noun, noun) != 0)
				continue;
			suggest_offer(&s, c->verb);
			snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "", c->verb);
		}
	if (!*known)
		return unknown_noun(noun);
	if (s.best)
		return cli_wrong(NULL, "unknown word '%s %s', did you mean '%s %s'?", noun, verb,
			noun, s.best);
	return cli_wrong(NULL, "unknown word '%s %s'; %s has: %s", noun, verb, noun, known);
}

int command_help(const char *noun, const char *verb)
{
	const struct command *found = NULL;
	unsigned n = 0;

	if (!noun) {
		help_all();
		return CLI_OK;
	}
	for (const struct command *const *t = command_tables; *t; t++)
		for (const struct command *c = *t; c->noun; c++)
			if (strcmp(c->noun, noun) == 0 &&
				(!verb || !c->verb || strcmp(c->verb, alias(verb)) == 0)) {
				found = c;
				if (n++)
					puts("");
				help_command(c);
			}
	if (found)
		return CLI_OK;
	return verb ? unknown_verb(noun, verb) : unknown_noun(noun);
}

static int run(struct cli *cli, int argc, char **argv)
{
	const struct command *c = cli->command;
	json_t *params, *result = NULL;
	int status;

	if (c->run)
		return c->run(cli, argc, argv);
	status = words_parse(cli, c, argc, argv, &params);
	if (status != CLI_OK)
		return status;
	status = cli_call(cli, c->method, json_incref(params), &result);
	if (status == CLI_OK && cli->json)
		print_json(result);
	else if (status == CLI_OK && c->show)
		status = c->show(cli, result, params);
	if (status == CLI_OK && c->judge)
		status = c->judge(result);
	json_decref(params);
	json_decref(result);
	return status;
}

// Takes an option of the whole program out of argv[i]; how many words it was, 0: none.
static int global_option(struct cli *cli, int argc, char **argv, int i)
{
	const char *w = argv[i];

	if (strcmp(w, "-j") == 0 || strcmp(w, "--json") == 0) {
		cli->json = true;
		return 1;
	}
	if ((strcmp(w, "-s") == 0 || strcmp(w, "--socket") == 0) && i + 1 < argc) {
		cli->socket = argv[i + 1];
		return 2;
	}
	if (strncmp(w, "--socket=", 9) == 0) {
		cli->socket = w + 9;
		return 1;
	}
	return 0;
}

static bool is_help(const char *word)
{
	return strcmp(word, "help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0;
}

static int dispatch(struct cli *cli, int argc, char **argv)
{
	const char *noun = argv[0], *verb = argc > 1 ? argv[1] : NULL;
	int skip, n = 0;

	if (is_help(noun))
		return command_help(verb, argc > 2 ? argv[2] : NULL);
	if (strcmp(noun, "-V") == 0 || strcmp(noun, "--version") == 0) {
		puts("weftctl " WEFT_VERSION);
		return CLI_OK;
	}
	if (strcmp(noun, "-s") == 0 || strcmp(noun, "--socket") == 0)
		return cli_wrong(cli, "'%s' needs a value, such as '" CLI_SOCKET "'", noun);
	if (*noun == '-')
		return cli_wrong(cli, "unknown option '%s'; see weftctl --help", noun);
	// "port -j show" is "port show -j", and "port -j" too.
	cli->command = command_find(noun, NULL);
	while (argc > 1 && !(cli->command && cli->command->own_options) &&
		(skip = global_option(cli, argc, argv, 1))) {
		argc -= skip;
		memmove(argv + 1, argv + 1 + skip, (argc - 1) * sizeof(*argv));
	}
	verb = argc > 1 ? argv[1] : NULL;
	bool has_verb = verb && *verb != '-' && !is_help(verb);
	cli->command = command_find(noun, has_verb ? verb : NULL);
	if (!cli->command)
		return verb && has_verb ? unknown_verb(noun, verb) : unknown_noun(noun);
	skip = 1 + (cli->command->verb && has_verb);
	for (int i = skip; i < argc; i++) {
		bool own = cli->command->own_options;
		int words = own ? 0 : global_option(cli, argc, argv, i);
		if (is_help(argv[i]) && cli->command->help && (i == skip || !own))
			return command_help(noun, cli->command->verb && has_verb ? verb : NULL);
		if (words)
			i += words - 1;
		else
			argv[skip + n++] = argv[i];
	}
	return run(cli, n, argv + skip);
}

int cli_main(int argc, char **argv)
{
	const char *no_colour = getenv("NO_COLOR"), *socket = getenv("WEFT_SOCKET");
	const char *term = getenv("TERM");
	struct cli cli = {.socket = socket && *socket ? socket : CLI_SOCKET};
	int i = 1, words;

	setlocale(LC_CTYPE, ""); // tables show what the terminal can
	cli.colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour) && term &&
		     strcmp(term, "dumb") != 0;
	while (i < argc && (words = global_option(&cli, argc, argv, i)))
		i += words;
	if (i == argc) {
		command_help(NULL, NULL);
		return CLI_USAGE;
	}
	int status = dispatch(&cli, argc - i, argv + i);
	connection_free(cli.connection);
	if (cli.is_turned_away && status == CLI_REFUSED)
		status = CLI_UNREACHABLE;
	errno = 0;
	if (fflush(stdout) == EOF || ferror(stdout)) {
		if (errno && errno != EPIPE)
			cli_fail(&cli, "standard output: %s: what was printed is not all there",
				strerror(errno));
		status = status == CLI_OK ? CLI_REFUSED : status;
	}
	return status;
}
