// SPDX-License-Identifier: BSD-2-Clause
// Single frames: their round trip, and the first one after a silence.
#include "tests/bench/gen.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define REPLY_LIMIT_NS 100000000ull // a frame that takes longer is lost

// Sends one frame from `from` and waits until another guest has received one. False: lost.
static bool one_way(struct gen *g, unsigned from)
{
	uint64_t end = clock_now_ns() + REPLY_LIMIT_NS;
	struct gen_stats before, now;

	gen_sum(g, &before);
	g->guest[from].budget = 1;
	for (unsigned i = 0;; i++) {
		if (gen_pass(g)) {
			gen_sum(g, &now);
			if (now.rx_frames != before.rx_frames)
				return true;
		}
		if (g->broken || (i % 256 == 255 && clock_now_ns() > end))
			return false;
	}
}

static int report(struct gen *g, struct gen_result *r, uint64_t start, uint64_t n, uint64_t lost)
{
	r->seconds = (double)(clock_now_ns() - start) / 1e9;
	gen_sum(g, &r->all);
	r->st = r->all;
	r->rtt_after = gen_rtt(g);
	r->trips = n;
	r->trips_lost = lost;
	if (g->broken || !g->hist.n) {
		fprintf(stderr, "gen: %s\n", g->broken ? g->broken : "not a single frame arrived");
		return 1;
	}
	gen_report(g, r);
	return 0;
}

// `learn`: there is a switch that has to know where the guests are.
static int prepare(struct gen *g, struct gen_result *r, bool learn)
{
	r->load = gen_others();
	r->rtt_before = gen_rtt(g);
	g->latency = g->write_times = false; // measured here
	if (learn && gen_learn(g))
		return 1;
	gen_forget_sequences(g);
	return 0;
}

int gen_ping(struct gen *g)
{
	struct gen_result r = {0};
	uint64_t start, end, n = 0, lost = 0;

	if (prepare(g, &r, true))
		return 1;
	start = clock_now_ns();
	end = start + (uint64_t)((g->opt.warmup + g->opt.seconds) * 1e9);
	r.switches = gen_switches();
	r.cpu_share = -(double)clock_cpu_ns();
	while (clock_now_ns() < end && !g->broken) {
		uint64_t from = clock_ticks();

		// 0 asks, 1 answers when it has it.
		if (!one_way(g, 0) || !one_way(g, 1)) {
			lost++;
			continue;
		}
		if ((double)(clock_now_ns() - start) > g->opt.warmup * 1e9) {
			histogram_add(&g->hist, clock_ticks() - from);
			n++;
		}
	}
	r.cpu_share = (r.cpu_share + (double)clock_cpu_ns()) / (double)(clock_now_ns() - start);
	r.switches = gen_switches() - r.switches;
	return report(g, &r, start, n, lost);
}

int gen_first(struct gen *g)
{
	struct gen_wake *wake = NULL;
	struct gen_result r = {0};
	uint64_t start, end, n = 0, lost = 0;
	uint32_t random = 12345;

	if (prepare(g, &r, !g->opt.floor))
		return 1;
	if (g->opt.floor && !(wake = gen_wake_start(g->opt.peer_core))) {
		fprintf(stderr, "gen: no thread to wake: too many processes, or open files?\n");
		return 1;
	}
	start = clock_now_ns();
	end = start + (uint64_t)(g->opt.seconds * 1e9);
	while (clock_now_ns() < end && !g->broken) {
		struct timespec gap = {.tv_nsec = 0};
		uint64_t from;

		// Not in step with anything: between one and two gaps of silence.
		random = random * 1664525u + 1013904223u;
		gap.tv_sec = g->opt.gap_us / 1000000;
		gap.tv_nsec = (g->opt.gap_us % 1000000) * 1000L;
		gap.tv_nsec += (long)((uint64_t)random * g->opt.gap_us * 1000 >> 32) % 999999999;
		gap.tv_sec += gap.tv_nsec / 1000000000;
		gap.tv_nsec %= 1000000000;
		nanosleep(&gap, NULL);
		from = clock_ticks();
		if (wake ? !gen_wake_trip(wake, REPLY_LIMIT_NS) : !one_way(g, (unsigned)(n & 1))) {
			lost++;
			continue;
		}
		histogram_add(&g->hist, clock_ticks() - from);
		n++;
	}
	if (wake)
		gen_wake_stop(wake);
	return report(g, &r, start, n, lost);
}

int gen_idle(struct gen *g)
{
	struct timespec t = {.tv_sec = (time_t)g->opt.seconds};

	if (gen_learn(g))
		return 1;
	// Whoever measures the idle daemon waits for this line.
	printf("{\"command\": \"idle\", \"guests\": %u, \"seconds\": %.0f}\n", g->n,
		g->opt.seconds);
	fflush(stdout);
	nanosleep(&t, NULL);
	return 0;
}
