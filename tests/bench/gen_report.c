// SPDX-License-Identifier: BSD-2-Clause
// What the generator found out, as one JSON object; and what it found around it.
#include "tests/bench/gen.h"
#include "tests/bench/cache_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static const char *const pattern_name[] = {"pairs", "oneway", "mesh", "broadcast"};
static const char *const touch_name[] = {"none", "head", "full"};

double gen_rtt(const struct gen *g)
{
	if (g->opt.peer_core < 0)
		return 0.0;
	return cache_line_rtt(g->opt.core, g->opt.peer_core);
}

double gen_others(void)
{
	double load = -1;
	FILE *f = fopen("/proc/loadavg", "r");

	if (f && fscanf(f, "%lf", &load) != 1)
		load = -1;
	if (f)
		fclose(f);
	return load;
}

uint64_t gen_switches(void)
{
	struct rusage u;

	return getrusage(RUSAGE_THREAD, &u) ? 0 : (uint64_t)u.ru_nivcsw;
}

static double micros(const struct gen *g, double share)
{
	return (double)histogram_quantile(&g->hist, share) / g->ticks_hz * 1e6;
}

static int by_rate(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

// The lowest rate of any thousand slices in a row; of all, if there are no more.
static double slowest_second(const struct gen *g)
{
	const unsigned width = g->n_slices < 1000 ? g->n_slices : 1000;
	double sum = 0, least = 0;

	for (unsigned i = 0; i < g->n_slices; i++) {
		sum += g->slice[i] - (i >= width ? g->slice[i - width] : 0);
		if (i + 1 == width || (i >= width && sum < least))
			least = sum;
	}
	return least / width;
}

// Rates of slices. The one that nine of ten stay below: of a run that was disturbed, what it would have
// been.
static void print_slices(const struct gen *g)
{
	static double sorted[GEN_SLICES];

	if (!g->n_slices)
		return;
	for (unsigned i = 0; i < g->n_slices; i++)
		sorted[i] = g->slice[i];
	qsort(sorted, g->n_slices, sizeof(sorted[0]), by_rate);
	printf("\"slices\": %u, \"slice_p50_mpps\": %.3f, \"slice_p90_mpps\": %.3f, ", g->n_slices,
		sorted[g->n_slices / 2], sorted[g->n_slices * 9 / 10]);
	printf("\"slowest_second_mpps\": %.3f, ", slowest_second(g));
}

static void print_settings(const struct gen *g)
{
	const struct gen_options *o = &g->opt;

	printf("\"command\": \"%s\", \"guests\": %u, \"pattern\": \"%s\", \"size\": \"%s\", ",
		o->command, g->n, pattern_name[o->pattern], o->size_name);
	printf("\"ring\": %u, \"batch\": %u, \"addresses\": %u, \"train\": %u, ", o->ring, o->batch,
		g->addresses * g->n, o->train);
	printf("\"write\": \"%s\", \"read\": \"%s\", \"verify\": %s, \"tso\": %s, ",
		touch_name[o->write], touch_name[o->read], o->verify ? "true" : "false",
		o->tso ? "true" : "false");
	for (unsigned i = 0; i < g->n; i++) {
		const struct gen_guest *w = &g->guest[i];

		if (!w->packet) {
			printf("\"features\": \"%#llx\", \"huge_pages\": %s, \"rx_buf\": %u, ",
				(unsigned long long)w->guest.features,
				w->guest.mem[0].is_huge ? "true" : "false", w->rxq->buf_size);
			break;
		}
	}
}

// The least share of its core that the generator must have had. An interface has the kernel's threads at
// work there too, which is a part of what is measured.
static double least_cpu(const struct gen *g)
{
	for (unsigned i = 0; i < g->n; i++)
		if (g->guest[i].packet)
			return 0.9;
	return 0.98;
}

static void print_machine(const struct gen *g, const struct gen_result *r)
{
	bool near = r->rtt_before < CACHE_LINE_NEAR_NS && r->rtt_after < CACHE_LINE_NEAR_NS;
	double change = r->rtt_before > 0 ? r->rtt_after / r->rtt_before : 0;
	// Others on the generator's core, or cores that moved: not a result to judge by.
	bool disturbed = r->cpu_share > 0 && r->cpu_share < least_cpu(g);

	printf("\"ticks_hz\": %.0f, ", g->ticks_hz);
	printf("\"rtt_ns\": [%.0f, %.0f], \"near\": %s, \"moved\": %s, ", r->rtt_before,
		r->rtt_after, near ? "true" : "false",
		change > 0 && (change < 0.75 || change > 1.33) ? "true" : "false");
	printf("\"cpu_share\": %.3f, \"preempted\": %llu, \"load\": %.2f, \"disturbed\": %s, ",
		r->cpu_share, (unsigned long long)r->switches, r->load,
		disturbed ? "true" : "false");
}

void gen_report(const struct gen *g, const struct gen_result *r)
{
	const struct gen_stats *s = &r->st, *a = &r->all;
	// With sequence numbers loss is known exactly, for broadcasts too; without, by counting.
	uint64_t lost = g->opt.verify ? a->lost : 0;

	if (!g->opt.verify && g->opt.pattern != GEN_BROADCAST && a->tx_frames > a->rx_frames)
		lost = a->tx_frames - a->rx_frames;
	printf("{");
	print_settings(g);
	print_machine(g, r);
	printf("\"seconds\": %.3f, \"rx_frames\": %llu, \"tx_frames\": %llu, ", r->seconds,
		(unsigned long long)s->rx_frames, (unsigned long long)s->tx_frames);
	printf("\"mpps\": %.4f, \"tx_mpps\": %.4f, \"gbps\": %.3f, ",
		(double)s->rx_frames / r->seconds / 1e6, (double)s->tx_frames / r->seconds / 1e6,
		(double)s->rx_bytes * 8 / r->seconds / 1e9);
	printf("\"total_tx\": %llu, \"total_rx\": %llu, \"lost\": %llu, \"late\": %llu, ",
		(unsigned long long)a->tx_frames, (unsigned long long)a->rx_frames,
		(unsigned long long)lost, (unsigned long long)a->late);
	printf("\"doubled\": %llu, \"altered\": %llu, \"flooded\": %llu, \"bad_header\": "
	       "%llu, ",
		(unsigned long long)a->doubled, (unsigned long long)a->altered,
		(unsigned long long)s->flooded, (unsigned long long)a->bad_header);
	printf("\"other\": %llu, \"overrun\": %llu, \"tx_full\": %llu, \"kicks\": %llu, ",
		(unsigned long long)a->rx_other, (unsigned long long)a->overrun,
		(unsigned long long)s->tx_full, (unsigned long long)s->kicks);
	if (r->receivers)
		printf("\"receivers\": %u, \"least_mpps\": %.4f, ", r->receivers,
			(double)r->least_frames / r->seconds / 1e6);
	if (g->opt.rate > 0)
		printf("\"rate\": %.0f, \"behind\": %.0f, \"stall_ms\": [%.2f, %.2f], ",
			g->opt.rate, r->behind, r->stall_ms[0], r->stall_ms[1]);
	if (r->trips || r->trips_lost)
		printf("\"trips\": %llu, \"trips_lost\": %llu, ", (unsigned long long)r->trips,
			(unsigned long long)r->trips_lost);
	print_slices(g);
	// What the generator could do by itself: is it the limit?
	if (g->busy_frames)
		printf("\"generator_cycles_per_frame\": %.1f, \"generator_limit_mpps\": %.1f, "
		       "\"pass_frames\": %.1f, ",
			(double)g->busy_ticks / (double)g->busy_frames,
			g->ticks_hz / 1e6 * (double)g->busy_frames / (double)g->busy_ticks,
			(double)g->busy_frames / (double)g->busy_passes);
	if (g->floor)
		printf("\"cycles_per_frame\": %.1f, ", gen_floor_cycles(g));
	if (g->hist.n)
		printf("\"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, \"max_us\": %.2f, ",
			micros(g, 0.5), micros(g, 0.99), micros(g, 0.999), micros(g, 1.0));
	printf("\"kicks_saved\": %llu}\n", (unsigned long long)s->kicks_saved);
}
