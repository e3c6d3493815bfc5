// SPDX-License-Identifier: BSD-2-Clause
// Draws what weftctl top shows, on a terminal or into a pipe, and takes its keys.
#include "cli/top_screen.h"

#include "cli/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

void top_screen_measure(struct top_screen *s)
{
	struct winsize ws;

	s->rows = 24;
	s->columns = terminal_width();
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_row)
		s->rows = ws.ws_row;
}

static void end_line(struct top_screen *s)
{
	fputs(s->is_live ? "\033[K\r\n" : "\n", s->to);
	s->line++;
}

static void draw_worker(struct top_screen *s, const struct top_worker *w)
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

static void draw_workers(struct top_screen *s)
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

static void draw_title(struct top_screen *s)
{
	unsigned up = 0;
	char when[16];
	time_t now = time(NULL);
	struct tm tm;

	for (unsigned i = 0; i < s->top.n_ports; i++)
		up += strcmp(s->top.ports[i].state, "up") == 0;
	localtime_r(&now, &tm);
	strftime(when, sizeof(when), "%H:%M:%S", &tm);
	fprintf(s->to, "%sweft %s%s  %s  %u ports, %u up  %u address%s  ", paint(s->cli, STRONG),
		s->version, unpaint(s->cli), when, s->top.n_ports, up, s->top.n_addresses,
		s->top.n_addresses == 1 ? "" : "es");
	if (s->paused)
		fputs("PAUSED", s->to);
	else
		fprintf(s->to, "every %g s", s->interval);
	fprintf(s->to, "  sorted by %s", top_sort_names[s->sort]);
	end_line(s);
}

static void draw_port(struct top_screen *s, const struct top_port *p, unsigned spark)
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

static void draw_ports(struct top_screen *s)
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

static void draw_help(struct top_screen *s)
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

void top_screen_draw(struct top_screen *s)
{
	char *out = NULL;
	size_t out_len = 0;

	s->line = 0;
	s->to = open_memstream(&out, &out_len);
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
	for (size_t at = 0; at < out_len;) {
		ssize_t n = write(STDOUT_FILENO, out + at, out_len - at);
		if (n < 0 && errno != EINTR && errno != EAGAIN) {
			s->stop = true;
			break;
		}
		at += n > 0 ? n : 0;
	}
	free(out);
}

static void key_filter(struct top_screen *s, char key)
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

void top_screen_key(struct top_screen *s, char key)
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
		s->stop = true;
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
