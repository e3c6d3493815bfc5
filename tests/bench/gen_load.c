// SPDX-License-Identifier: BSD-2-Clause
// Load: as many frames as go through, or a fixed rate with latencies.
#include "tests/bench/gen.h"

#include <stdio.h>
#include <string.h>

#define CATCH_UP       0.001 // seconds of its schedule that a paced sender makes up for at most
#define WINDOW_LOST_S  0.01
#define SLICE_S        0.001
#define BUSY_TICKS_MAX 100000u // of one pass: more is not its own work

// Who sends, shares the rate.
struct pace {
	double per_tick; // frames per tick and guest
	uint64_t start;
	double skipped, behind;
	double sent[GEN_GUESTS_MAX];
};

static void pace_start(struct gen *g, struct pace *p)
{
	unsigned senders = 0;

	memset(p, 0, sizeof(*p));
	for (unsigned i = 0; i < g->n; i++)
		senders += g->guest[i].sends;
	p->per_tick = g->opt.rate / senders / g->ticks_hz;
	p->start = clock_ticks();
}

// Hands out what is due since the start. A sender that was held up makes up for a millisecond at
// most: what it could not send beyond that shows in the rate.
static void pace_give(struct gen *g, struct pace *p)
{
	double due = p->per_tick * (double)(clock_ticks() - p->start);
	double most = CATCH_UP * g->ticks_hz * p->per_tick + 64;

	for (unsigned i = 0; i < g->n; i++) {
		struct gen_guest *w = &g->guest[i];
		double back;

		if (!w->sends)
			continue;
		back = due - p->sent[i];
		if (back > p->behind)
			p->behind = back;
		if (back > most) {
			p->skipped += back - most;
			p->sent[i] += back - most;
			back = most;
		}
		w->budget = back > 0 ? (uint32_t)back : 0;
	}
}

static void pace_take(struct gen *g, struct pace *p, const uint32_t *given)
{
	for (unsigned i = 0; i < g->n; i++)
		p->sent[i] += given[i] - g->guest[i].budget;
}

// A slice of the measured time is over: notes the rate in it.
static void end_slice(struct gen *g, uint64_t now)
{
	uint64_t frames = 0;
	double seconds;

	if (now - g->slice_start < g->slice_ticks)
		return;
	seconds = (double)(now - g->slice_start) / g->ticks_hz;
	for (unsigned i = 0; i < g->n; i++)
		frames += g->guest[i].st.rx_frames;
	if (g->n_slices < GEN_SLICES)
		g->slice[g->n_slices++] = (double)(frames - g->slice_frames) / seconds / 1e6;
	g->slice_start = now;
	g->slice_frames = frames;
}

// Bulk data is sent like TCP does: so many frames may be on their way to the partner, and no more.
// What got lost is forgiven once nothing has arrived for a while.
static void open_window(struct gen *g, uint64_t *forgiven, uint64_t *last_rx, uint64_t *since)
{
	for (unsigned i = 0; i < g->n; i++) {
		struct gen_guest *w = &g->guest[i];
		uint64_t rx, away;

		if (!w->sends)
			continue;
		rx = g->guest[w->dst].st.rx_frames;
		away = w->st.tx_frames - rx - forgiven[i];
		if (rx != last_rx[i] || !away) {
			last_rx[i] = rx;
			since[i] = clock_ticks();
		} else if ((double)(clock_ticks() - since[i]) > WINDOW_LOST_S * g->ticks_hz) {
			forgiven[i] += away;
			away = 0;
			since[i] = clock_ticks();
		}
		w->budget = away < g->opt.window ? (uint32_t)(g->opt.window - away) : 0;
	}
}

static void run_window(struct gen *g, double seconds)
{
	uint64_t now = clock_ticks(), end = now + (uint64_t)(seconds * g->ticks_hz);
	uint64_t forgiven[GEN_GUESTS_MAX] = {0}, last_rx[GEN_GUESTS_MAX] = {0};
	uint64_t since[GEN_GUESTS_MAX] = {0};

	for (unsigned i = 0; i < g->n; i++) {
		since[i] = now;
		if (g->guest[i].sends)
			forgiven[i] =
				g->guest[i].st.tx_frames - g->guest[g->guest[i].dst].st.rx_frames;
	}
	do {
		open_window(g, forgiven, last_rx, since);
		gen_pass(g);
		now = clock_ticks();
		end_slice(g, now);
	} while (now < end && !g->broken);
}

static void run_flood(struct gen *g, double seconds)
{
	uint64_t now = clock_ticks(), before = now, end = now + (uint64_t)(seconds * g->ticks_hz);
	uint64_t got;

	do {
		for (unsigned i = 0; i < g->n; i++)
			g->guest[i].budget = g->guest[i].sends ? g->batch : 0;
		got = gen_pass(g);
		now = clock_ticks();
		// Passes without a frame are the switch's time, not ours; so is being preempted.
		if (got && now - before < BUSY_TICKS_MAX) {
			g->busy_ticks += now - before;
			g->busy_frames += got;
			g->busy_passes++;
		}
		before = now;
		end_slice(g, now);
	} while (now < end && !g->broken);
}

static void run_paced(struct gen *g, double seconds, double *behind)
{
	uint64_t end = clock_ticks() + (uint64_t)(seconds * g->ticks_hz);
	uint32_t given[GEN_GUESTS_MAX];
	struct pace p;

	pace_start(g, &p);
	do {
		pace_give(g, &p);
		for (unsigned i = 0; i < g->n; i++)
			given[i] = g->guest[i].budget;
		gen_pass(g);
		pace_take(g, &p, given);
	} while (clock_ticks() < end && !g->broken);
	*behind = p.behind;
}

static void run(struct gen *g, double seconds, double *behind)
{
	if (g->opt.rate > 0)
		run_paced(g, seconds, behind);
	else if (g->opt.window)
		run_window(g, seconds);
	else
		run_flood(g, seconds);
}

static void subtract(struct gen_stats *a, const struct gen_stats *b)
{
	uint64_t *to = (uint64_t *)a;
	const uint64_t *from = (const uint64_t *)b;

	for (unsigned i = 0; i < sizeof(*a) / sizeof(*to); i++)
		to[i] -= from[i];
}

static bool receives(const struct gen *g, const struct gen_guest *w)
{
	return g->opt.pattern == GEN_ONEWAY ? w->me & 1 : w->sends;
}

// Who received least since rx_before was noted.
static void note_least(const struct gen *g, struct gen_result *r)
{
	r->least_frames = UINT64_MAX;
	for (unsigned i = 0; i < g->n; i++) {
		const struct gen_guest *w = &g->guest[i];
		uint64_t got = w->st.rx_frames - w->rx_before;

		if (!receives(g, w))
			continue;
		r->receivers++;
		if (got < r->least_frames)
			r->least_frames = got;
	}
}

int gen_load(struct gen *g)
{
	struct gen_result r = {.load = gen_others(), .rtt_before = gen_rtt(g)};
	struct gen_stall *stall[2] = {NULL, NULL};
	struct gen_stats before, after;
	double behind;
	uint64_t start, cpu;

	if (gen_learn(g))
		return 1;
	gen_forget_sequences(g);
	run(g, g->opt.warmup, &behind);
	// What is under way now arrives in the measured time, and what is sent at its end arrives
	// after it. Loss is therefore counted over all of it.
	memset(&g->hist, 0, sizeof(g->hist));
	gen_sum(g, &before);
	for (unsigned i = 0; i < g->n; i++)
		g->guest[i].rx_before = g->guest[i].st.rx_frames;
	start = clock_now_ns();
	cpu = clock_cpu_ns();
	r.switches = gen_switches();
	g->n_slices = 0;
	g->slice_ticks = (uint64_t)(SLICE_S * g->ticks_hz);
	g->busy_ticks = g->busy_frames = g->busy_passes = 0;
	if (g->opt.rate > 0) {
		stall[0] = gen_stall_start(g->opt.core);
		stall[1] = gen_stall_start(g->opt.peer_core);
	}
	run(g, g->opt.seconds, &r.behind);
	for (unsigned i = 0; i < 2; i++)
		r.stall_ms[i] = gen_stall_stop(stall[i]);
	r.switches = gen_switches() - r.switches;
	r.seconds = (double)(clock_now_ns() - start) / 1e9;
	r.cpu_share = (double)(clock_cpu_ns() - cpu) / 1e9 / r.seconds;
	note_least(g, &r);
	gen_sum(g, &r.st);
	subtract(&r.st, &before);
	gen_drain(g, 50, 2000);
	gen_sum(g, &after);
	r.all = after;
	r.rtt_after = gen_rtt(g);
	if (g->broken) {
		fprintf(stderr, "gen: %s\n", g->broken);
		return 1;
	}
	gen_report(g, &r);
	return 0;
}
