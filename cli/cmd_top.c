// SPDX-License-Identifier: BSD-2-Clause
// weftctl top: live rates on a terminal, or one snapshot after another into a pipe.
#include "cli/command.h"
#include "cli/output.h"
#include "cli/top_model.h"

#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

struct screen {
	struct cli *cli;
	struct top top;
	json_t *ports, *workers; // of the last look
	double interval;
	long count; // looks left; -1: no end
	enum top_sort sort;
	bool reverse, bits, help, paused, editing, utf8, is_live;
	char filter[32], version[32];
	unsigned first; // port at the top of the list
	unsigned name_width;
	unsigned rows, columns;
	char *out; // the frame being drawn
	size_t out_len;
	FILE *to;
	unsigned line;
};

static volatile sig_atomic_t stop, resized;
static struct termios before;

static void on_stop(int sig)
{
	stop = 1;
}

static void on_resize(int sig)
{
	resized = 1;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * UINT64_C(1000000000) + ts.tv_nsec;
}

// One object a line.
static void print_difference(
	const struct screen *s, const json_t *ports, const json_t *workers, double seconds)
{
	json_t *json = top_difference((const json_t *const[]){s->ports, ports},
		(const json_t *const[]){s->workers, workers}, seconds);

	json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(json);
	if (fflush(stdout) == EOF)
		stop = 1;
}

static int look(struct screen *s)
{
	json_t *ports = NULL, *workers = NULL, *addresses = NULL;
	int status = cli_call(s->cli, "port.show", NULL, &ports);

	if (status == CLI_OK)
		status = cli_call(s->cli, "worker.show", NULL, &workers);
	if (status == CLI_OK)
		status = cli_call(s->cli, "vlan.show", NULL, &addresses);
	if (status == CLI_OK) {
		const json_t *v;
		size_t i;
		uint64_t then = s->top.last_ns, now = now_ns();
		top_update(&s->top, ports, workers, now);
		if (s->cli->json && then)
			print_difference(s, ports, workers, (double)(now - then) / 1e9);
		s->top.n_addresses = 0;
		json_array_foreach (addresses, i, v)
			s->top.n_addresses += (unsigned)get_number(v, "addresses");
	}
	json_decref(s->ports);
	json_decref(s->workers);
	s->ports = ports;
	s->workers = workers;
	json_decref(addresses);
	return status;
}

static void end_line(struct screen *s)
{
	fputs(s->is_live ? "\033[K\r\n" : "\n", s->to);
	s->line++;
}

static void draw_worker(struct screen *s, const struct top_worker *w)
{
	unsigned width = s->columns >= 100 ? 30 : 10;
	double share = w->busy_share > 1 ? 1 : w->busy_share;
	char bar[32], core[24] = "", pps[SHORT_NUMBER];

	for (unsigned b = 0; b < width; b++)
		bar[b] = b < (unsigned)(share * width + 0.5) ? '|' : ' ';
	bar[width] = 0;
	if (w->core >= 0)
		snprintf(core, sizeof(core), " core %d", w->core);
	fprintf(s->to, "worker %d%s [%s%s%s] %3.0f%% busy %3.0f%% cpu %s %5spps %4.0f cycles/frame",
		w->id, core,
		paint(s->cli, share > 0.9   ? BAD
			      : share > 0.6 ? WARN
					    : GOOD),
		bar, unpaint(s->cli), 100 * share, 100 * w->cpu_share,
		strcmp(w->state, "asleep") == 0 ? "zz" : "  ", short_number(w->pps, pps),
		w->cycles);
	end_line(s);
}

static void draw_workers(struct screen *s)
{
	const struct top *t = &s->top;
	unsigned limit = s->is_live && t->n_workers > s->rows / 3 ? s->rows / 3 : t->n_workers;

	for (unsigned i = 0; i < limit; i++)
		draw_worker(s, &t->workers[i]);
	if (limit < t->n_workers) {
		fprintf(s->to, "and %u more workers: weftctl worker show", t->n_workers - limit);
		end_line(s);
	}
}

static void draw_title(struct screen *s)
{
	unsigned up = 0;
	char when[16];
	time_t now = time(NULL);
	struct tm tm;

	for (unsigned i = 0; i < s->top.n_ports; i++)
		up += strcmp(s->top.ports[i].state, "up") == 0;
	localtime_r(&now, &tm);
	strftime(when, sizeof(when), "%H:%M:%S", &tm);
	fprintf(s->to, "%sweft %s%s  %s  %u ports, %u up  %u addresses  ", paint(s->cli, STRONG),
		s->version, unpaint(s->cli), when, s->top.n_ports, up, s->top.n_addresses);
	if (s->paused)
		fputs("PAUSED", s->to);
	else
		fprintf(s->to, "every %g s", s->interval);
	fprintf(s->to, "  sorted by %s", top_sort_names[s->sort]);
	end_line(s);
}

static void draw_port(struct screen *s, const struct top_port *p, unsigned spark)
{
	char n[5][SHORT_NUMBER], line[3 * TOP_HISTORY + 1], name[32];
	const char *colour = strcmp(p->state, "up") == 0     ? GOOD
			     : strcmp(p->state, "down") == 0 ? WARN
							     : BAD;

	top_sparkline(p, spark, s->utf8, line);
	top_name(p->name, s->name_width, name);
	fprintf(s->to, "%-*s %s%-6s%s %6s %6s %6s %6s %s%6s%s %3.*f%% %-10.10s", (int)s->name_width,
		name, paint(s->cli, colour), p->state, unpaint(s->cli),
		short_number(p->rx_pps, n[0]), short_number(p->rx_bps, n[1]),
		short_number(p->tx_pps, n[2]), short_number(p->tx_bps, n[3]),
		p->drop_ps > 0 ? paint(s->cli, BAD) : "", short_number(p->drop_ps, n[4]),
		p->drop_ps > 0 ? unpaint(s->cli) : "",
		p->cpu<0.0995, 100 * p->cpu, p->drop_ps> 0 ? p->reason : "");
	if (spark)
		fprintf(s->to, " %s", line);
	end_line(s);
}

static void draw_ports(struct screen *s)
{
	unsigned order[TOP_PORTS], spark = 0;
	unsigned n = top_sort_ports(&s->top, s->sort, s->reverse, s->filter, order);
	unsigned room = s->is_live ? (s->rows > s->line + 2 ? s->rows - s->line - 2 : 1) : n;

	// Beside its name a port takes 59 columns, and at least 9 for its history; longer names are
	// whole where there is room.
	s->name_width = 12;
	for (unsigned i = 0; i < n; i++) {
		unsigned length = (unsigned)strlen(s->top.ports[order[i]].name);
		if (length > s->name_width && (!s->is_live || s->columns >= length + 68))
			s->name_width = length;
	}
	if (s->columns > s->name_width + 62)
		spark = s->columns - s->name_width - 60;
	if (spark > TOP_HISTORY)
		spark = TOP_HISTORY;
	if (s->first + room > n)
		s->first = n > room ? n - room : 0;
	fprintf(s->to, "%s%-*s %-6s %6s %6s %6s %6s %6s %4s %-10s%s%s", paint(s->cli, STRONG),
		(int)s->name_width, "PORT", "STATE", "RX/s", "RXbit", "TX/s", "TXbit", "DROP/s",
		"CPU", "BECAUSE", spark >= 7 ? " HISTORY" : "", unpaint(s->cli));
	end_line(s);
	for (unsigned i = 0; i < room && s->first + i < n; i++)
		draw_port(s, &s->top.ports[order[s->first + i]], spark);
	if (n == 0) {
		fputs(*s->filter ? "no port has this in its name" : "no ports", s->to);
		end_line(s);
	}
}

static void draw_help(struct screen *s)
{
	static const char *const lines[] = {"", "  q        end",
		"  n r t d c  sort by name, received, sent, drops, cpu",
		"  s        next order      R  the other way round",
		"  /        show only ports with a word in their name; Enter ends, Esc clears",
		"  p space  pause", "  + -      slower, faster", "  up down  scroll", "",
		"  CPU of a port is what workers need for frames from it, of a core.",
		"  BECAUSE is the reason of most of its drops now.", "", "  any key goes back"};

	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]) && s->line + 1 < s->rows; i++) {
		fputs(lines[i], s->to);
		end_line(s);
	}
}

static void draw(struct screen *s)
{
	s->line = 0;
	s->to = open_memstream(&s->out, &s->out_len);
	if (!s->to)
		return;
	if (s->is_live)
		fputs("\033[H", s->to);
	draw_title(s);
	draw_workers(s);
	if (s->help)
		draw_help(s);
	else
		draw_ports(s);
	if (s->is_live) {
		fputs("\033[J", s->to);
		fprintf(s->to, "\033[%u;1H%s", s->rows, paint(s->cli, FAINT));
		if (s->editing || *s->filter)
			fprintf(s->to, "/%s%s ", s->filter, s->editing ? "_" : "");
		fprintf(s->to, "q end  s sort  / filter  p pause  ? help%s\033[K", unpaint(s->cli));
	} else {
		fputc('\n', s->to);
	}
	fclose(s->to);
	for (size_t at = 0; at < s->out_len;) {
		ssize_t n = write(STDOUT_FILENO, s->out + at, s->out_len - at);
		if (n < 0 && errno != EINTR && errno != EAGAIN) {
			stop = 1;
			break;
		}
		at += n > 0 ? n : 0;
	}
	free(s->out);
	s->out = NULL;
}

static void key_filter(struct screen *s, char key)
{
	size_t n = strlen(s->filter);

	if (key == '\r' || key == '\n') {
		s->editing = false;
	} else if (key == 27) {
		s->editing = false;
		*s->filter = 0;
	} else if ((key == 127 || key == 8) && n) {
		s->filter[n - 1] = 0;
	} else if (key >= ' ' && key < 127 && n + 1 < sizeof(s->filter)) {
		s->filter[n] = key;
		s->filter[n + 1] = 0;
	}
}

static void key_press(struct screen *s, char key)
{
	static const char sorts[N_SORTS + 1] = "nrtdc";
	const char *sort = strchr(sorts, key);

	if (s->editing) {
		key_filter(s, key);
		return;
	}
	if (s->help) {
		s->help = false;
		return;
	}
	if (sort && key)
		s->sort = (enum top_sort)(sort - sorts);
	else if (key == 'q' || key == 3)
		stop = 1;
	else if (key == 's')
		s->sort = (s->sort + 1) % N_SORTS;
	else if (key == 'R')
		s->reverse = !s->reverse;
	else if (key == '/')
		s->editing = true;
	else if (key == 'p' || key == ' ')
		s->paused = !s->paused;
	else if (key == '?' || key == 'h')
		s->help = true;
	else if (key == '+' && s->interval < 60)
		s->interval *= 2;
	else if (key == '-' && s->interval > 0.25)
		s->interval /= 2;
	else if (key == 'j')
		s->first++;
	else if (key == 'k' && s->first)
		s->first--;
	else if (key == 27)
		*s->filter = 0;
}

static void keys(struct screen *s)
{
	char buf[64];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	if (n == 0) {
		stop = 1;
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		// Arrow keys come as ESC [ A.
		if (buf[i] == 27 && i + 2 < n && (buf[i + 1] == '[' || buf[i + 1] == 'O')) {
			if (buf[i + 2] == 'A' || buf[i + 2] == 'B')
				key_press(s, buf[i + 2] == 'A' ? 'k' : 'j');
			i += 2;
			continue;
		}
		key_press(s, buf[i]);
	}
}

static void measure(struct screen *s)
{
	struct winsize ws;

	resized = 0;
	s->rows = 24;
	s->columns = terminal_width();
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_row)
		s->rows = ws.ws_row;
}

// Waits for the next look; draws again when a key or the window changes something.
static void wait_for_look(struct screen *s)
{
	uint64_t until = now_ns() + (uint64_t)(s->interval * 1e9);
	struct pollfd p = {.fd = s->is_live ? STDIN_FILENO : -1, .events = POLLIN};

	while (!stop) {
		uint64_t now = now_ns();
		if (now >= until && !s->paused)
			return;
		int ms = now >= until ? 1000 : (int)((until - now) / 1000000) + 1;
		int n = poll(&p, 1, ms);
		if (n > 0)
			keys(s);
		if (resized)
			measure(s);
		if (!stop && s->is_live && (n > 0 || (n < 0 && errno == EINTR)))
			draw(s);
	}
}

static int loop(struct screen *s)
{
	int status = look(s);

	// The first look has no rates yet: a short one follows.
	while (status == CLI_OK && !stop) {
		if (s->is_live)
			draw(s);
		wait_for_look(s);
		if (stop)
			break;
		status = look(s);
		if (status == CLI_OK && !s->is_live && !s->cli->json)
			draw(s);
		if (s->count > 0 && --s->count == 0)
			break;
	}
	return status;
}

static int parse(struct screen *s, int argc, char **argv)
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

static int run(struct cli *cli, int argc, char **argv)
{
	struct screen *s = calloc(1, sizeof(*s));
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
		setlocale(LC_CTYPE, "");
		s->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
		s->is_live = !cli->json && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
		measure(s);
		if (s->is_live)
			enter_terminal();
		status = loop(s);
		if (s->is_live)
			leave_terminal();
	}
	top_fini(&s->top);
	json_decref(s->ports);
	json_decref(s->workers);
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
