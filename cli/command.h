// SPDX-License-Identifier: BSD-2-Clause
// What a command is, and what all commands share.
#pragma once

#include "cli/connection.h"

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>

// Exit status.
enum {
	CLI_OK = 0,
	CLI_REFUSED = 1,     // weftd refused it and said why
	CLI_USAGE = 2,       // the command line is wrong
	CLI_UNREACHABLE = 3, // no weftd, or no permission to talk to it
};

#define CLI_SOCKET "/run/weft/weftd.sock"

enum arg_kind { ARG_PORT, ARG_MAC, ARG_VLAN, ARG_NUMBER, ARG_TEXT, ARG_FILE, ARG_EVENT };

// An argument: "vlan VLAN", or only its value where it is positional.
struct arg {
	const char *name; // of the API's parameter, and the word before the value
	enum arg_kind kind;
	bool positional, required;
};

struct cli;

struct command {
	const char *noun, *verb; // verb NULL: the noun alone is the command
	const char *method;      // of the API; NULL: run() does it all
	const struct arg *args;  // ended by name NULL; NULL: none
	const char *keys;        // words after the arguments are keys of the configuration:
				 // "ports" of a port, "" of the whole; NULL: none
	const char *synopsis;    // run(): its arguments; NULL: from args
	const char *help;        // one line
	const char *details;     // more lines, or NULL
	const char *example;     // without "weftctl "
	int (*show)(struct cli *cli, const json_t *result, const json_t *params);
	int (*run)(struct cli *cli, int argc, char **argv);
	int (*judge)(const json_t *result); // exit status by what came; NULL: CLI_OK
	bool own_options;                   // run() takes -j, -h and all other options itself
};

struct cli {
	const char *socket;
	bool json;
	bool colour;
	const struct command *command;
	struct connection *connection; // NULL until the first call
	int64_t next_id;
	bool is_turned_away; // weftd does not talk to this user
	// Set by a signal: a call does not wait for its answer any more. NULL: other signals do not end one.
	const volatile sig_atomic_t *stop;
};

extern const struct command cmd_capture[], cmd_complete[], cmd_config[], cmd_fdb[], cmd_health[],
	cmd_monitor[], cmd_port[], cmd_stats[], cmd_top[], cmd_version[], cmd_vlan[], cmd_worker[];
// Every table there is, ended by NULL; each ended by noun NULL.
extern const struct command *const command_tables[];

// The whole program: what main does.
int cli_main(int argc, char **argv);

// Connects if need be. Prints why not and returns CLI_UNREACHABLE.
int cli_connect(struct cli *cli);
// Calls a method; takes over params (NULL: none). A status; prints why if it is not CLI_OK.
int cli_call(struct cli *cli, const char *method, json_t *params, json_t **result);
// The same without a word on stderr; error is the API's error object, or NULL.
int cli_try(struct cli *cli, const char *method, json_t *params, json_t **result, json_t **error);

// Prints an error of the API and the place of the fault, as compilers do; `file` is what was sent to be
// checked, or NULL. Returns CLI_REFUSED.
int cli_refused(struct cli *cli, const json_t *error, const char *file);
// Says that weftd does not answer; returns CLI_UNREACHABLE.
int cli_silent(struct cli *cli);

// "weftctl: ..." on stderr; returns CLI_USAGE.
__attribute__((format(printf, 2, 3))) int cli_wrong(struct cli *cli, const char *fmt, ...);
// The same with status CLI_REFUSED.
__attribute__((format(printf, 2, 3))) int cli_fail(struct cli *cli, const char *fmt, ...);

const struct command *command_find(const char *noun, const char *verb);
// "port add NAME ..." without "weftctl ".
void command_synopsis(const struct command *c, char *buf, size_t size);
int command_help(const char *noun, const char *verb);
