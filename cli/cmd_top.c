// SPDX-License-Identifier: BSD-2-Clause
// weftctl top: looks at the switch again and again, for a terminal or a pipe. What it shows is measured
// in top_model.c and drawn in top_screen.c.
#include "cli/command.h"
#include "cli/output.h"
#include "cli/top_model.h"
#include "cli/top_screen.h"

#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t killed, resized, suspended;
static struct termios before;

static void on_stop(int sig)
{
	killed = 1;
}

static void on_resize(int sig)
{
	resized = 1;
}

static void on_suspend(int sig)
{
	suspended = 1;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

// One object a line.
static void print_difference(
	struct top_screen *s, const json_t *ports, const json_t *workers, double seconds)
{
	json_t *json = top_difference((const json_t *const[]){s->ports, ports},
		(const json_t *const[]){s->workers, workers}, seconds);

	json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(json);
	if (fflush(stdout) == EOF)
		s->stop = true;
}

// Errors are for later: what is printed now goes with the other screen.
static int call(struct top_screen *s, const char *method, json_t **result)
{
	json_decref(s->error);
	return cli_try(s->cli, method, NULL, result, &s->error);
}

// weftd disconnects who was silent for minutes, as a top that is paused is, or looks once an hour.
static int connect_again(struct cli *cli)
{
	char text[400];

	if (!connection_is_closed(cli->connection))
		return CLI_OK;
	connection_free(cli->connection);
	cli->connection = connection_new(cli->socket, text, sizeof(text));
	return cli->connection ? CLI_OK : CLI_UNREACHABLE;
}

static int look(struct top_screen *s)
{
	json_t *ports = NULL, *workers = NULL, *table = NULL;
	int status = connect_again(s->cli);

	if (status == CLI_OK)
		status = call(s, "port.show", &ports);
	if (status == CLI_OK)
		status = call(s, "worker.show", &workers);
	if (status == CLI_OK)
		status = call(s, "fdb.size", &table);
	if (status == CLI_OK) {
		uint64_t then = s->top.last_ns, now = now_ns();
		top_update(&s->top, ports, workers, now);
		if (s->cli->json && then)
			print_difference(s, ports, workers, (double)(now - then) / 1e9);
		s->top.n_addresses = (unsigned)get_number(table, "addresses");
	}
	json_decref(s->ports);
	json_decref(s->workers);
	s->ports = ports;
	s->workers = workers;
	json_decref(table);
	return status;
}

static void keys(struct top_screen *s)
{
	char buf[64];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
		s->stop = true;
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		// Arrow keys come as ESC [ A.
		if (buf[i] == 27 && i + 2 < n && (buf[i + 1] == '[' || buf[i + 1] == 'O')) {
			if (buf[i + 2] == 'A' || buf[i + 2] == 'B')
				top_screen_key(s, buf[i + 2] == 'A' ? 'k' : 'j');
			i += 2;
			continue;
		}
		top_screen_key(s, buf[i]);
	}
}

static bool is_over(const struct top_screen *s)
{
	return killed || s->stop;
}

static void enter_terminal(void)
{
	struct sigaction sa = {.sa_handler = on_stop};
	struct termios raw;

	tcgetattr(STDIN_FILENO, &before);
	raw = before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sa.sa_handler = on_resize;
	sigaction(SIGWINCH, &sa, NULL);
	sa.sa_handler = on_suspend;
	sigaction(SIGTSTP, &sa, NULL);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	// The other screen, without a cursor, and lines that are too long cut off.
	fputs("\033[?1049h\033[?25l\033[?7l", stdout);
	fflush(stdout);
}

static void leave_terminal(void)
{
	fputs("\033[?7h\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

// Ctrl-Z: the shell gets its terminal as it was, and `fg` gets this one again.
static void suspend(struct top_screen *s)
{
	suspended = 0;
	leave_terminal();
	raise(SIGSTOP);
	enter_terminal();
	top_screen_measure(s);
}

// Waits for the next look; draws again when a key or the window changes something.
static void wait_for_look(struct top_screen *s)
{
	uint64_t until = now_ns() + (uint64_t)(s->interval * 1e9);
	struct pollfd p = {.fd = s->is_live ? STDIN_FILENO : -1, .events = POLLIN};

	while (!is_over(s)) {
		uint64_t now = now_ns();
		if (now >= until && !s->paused)
			return;
		int ms = now >= until ? 1000 : (int)((until - now) / 1000000) + 1;
		int n = poll(&p, 1, ms);
		if (n > 0)
			keys(s);
		if (suspended)
			suspend(s);
		if (resized) {
			resized = 0;
			top_screen_measure(s);
		}
		if (!is_over(s) && s->is_live && (n > 0 || (n < 0 && errno == EINTR)))
			top_screen_draw(s);
	}
}

static int loop(struct top_screen *s)
{
	int status = look(s);

	// The first look has no rates yet: a short one follows.
	while (status == CLI_OK && !is_over(s)) {
		if (s->is_live)
			top_screen_draw(s);
		wait_for_look(s);
		if (is_over(s))
			break;
		status = look(s);
		if (status == CLI_OK && !s->is_live && !s->cli->json)
			top_screen_draw(s);
		if (s->count > 0 && --s->count == 0)
			break;
	}
	return status;
}

static int parse(struct top_screen *s, int argc, char **argv)
{
	static char name[] = "weftctl top";
	char *args[34] = {name}, *end;
	int n = 1, opt;

	for (int i = 0; i < argc && n < 33; i++)
		args[n++] = argv[i];
	optind = 0;
	while ((opt = getopt(n, args, "n:d:o:f:jh")) >= 0) {
		switch (opt) {
		case 'n':
			s->count = strtol(optarg, &end, 10);
			if (*end || s->count < 1)
				return cli_wrong(
					s->cli, "-n: a number is expected, not '%s'", optarg);
			break;
		case 'd':
			s->interval = strtod(optarg, &end);
			if (*end || !(s->interval >= 0.1 && s->interval <= 3600))
				return cli_wrong(
					s->cli, "-d: 0.1 to 3600 seconds, not '%s'", optarg);
			break;
		case 'o':
			for (s->sort = 0; s->sort < N_SORTS; s->sort++)
				if (strcmp(top_sort_names[s->sort], optarg) == 0)
					break;
			if (s->sort == N_SORTS)
				return cli_wrong(s->cli,
					"-o: one of name, rx, tx, drops, cpu, not '%s'", optarg);
			break;
		case 'f':
			snprintf(s->filter, sizeof(s->filter), "%s", optarg);
			break;
		case 'j':
			s->cli->json = true;
			break;
		case 'h':
			command_help("top", NULL);
			return -1;
		default:
			return CLI_USAGE;
		}
	}
	if (optind < n)
		return cli_wrong(s->cli, "unknown word '%s'; see weftctl help top", args[optind]);
	return CLI_OK;
}

// Why it ended, on the screen that people go on with.
static int tell(struct top_screen *s, int status)
{
	if (killed)
		return CLI_OK;
	if (status == CLI_REFUSED && s->cli->json)
		print_json(s->error);
	if (status == CLI_REFUSED)
		cli_refused(s->cli, s->error, NULL);
	return status == CLI_UNREACHABLE ? cli_silent(s->cli) : status;
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct top_screen *s = calloc(1, sizeof(*s));
	json_t *version;

	if (!s)
		return cli_fail(cli, "out of memory");
	s->cli = cli;
	s->interval = 1;
	s->count = -1;
	s->sort = SORT_RX;
	int status = parse(s, argc, argv);
	if (status == CLI_OK)
		status = cli_call(cli, "version.show", NULL, &version);
	if (status == CLI_OK) {
		snprintf(s->version, sizeof(s->version), "%s", get_text(version, "version"));
		json_decref(version);
		s->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
		s->is_live = !cli->json && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
		top_screen_measure(s);
		cli->stop = &killed;
		if (s->is_live)
			enter_terminal();
		status = loop(s);
		if (s->is_live)
			leave_terminal();
		status = tell(s, status);
	}
	top_fini(&s->top);
	json_decref(s->ports);
	json_decref(s->workers);
	json_decref(s->error);
	free(s);
	return status < 0 ? CLI_OK : status;
}

const struct command cmd_top[] = {
	{.noun = "top",
		.synopsis = "[-d SECONDS] [-n COUNT] [-o ORDER] [-f WORD]",
		.help = "live rates, drops, CPU; ? shows its keys",
		.details = "-d: seconds between looks; -n: end after so many; -o: sort by name, "
			   "rx, tx, drops\n"
			   "or cpu; -f: only ports with this in their name. Into a pipe it prints "
			   "one table\n"
			   "after another; with -j, an object a line: what counters gained in so "
			   "many seconds.",
		.example = "top -d 0.5 -n 2 -o drops",
		.run = run},
	{NULL},
};
