// SPDX-License-Identifier: BSD-2-Clause
// The load generator's main: one command, one core, one JSON object.
#include "tests/bench/gen.h"
#include "tests/bench/cache_line.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_S 60u // for everything but the load itself

static const struct command {
	const char *name;
	int (*run)(struct gen *g);
} commands[] = {
	{"load", gen_load},
	{"ping", gen_ping},
	{"first", gen_first},
	{"idle", gen_idle},
};

static int print_rtt(const struct gen_options *o)
{
	double ns = cache_line_rtt(o->core, o->peer_core);

	if (ns <= 0) {
		fprintf(stderr, "gen: cannot run on cores %d and %d\n", o->core, o->peer_core);
		return 1;
	}
	printf("{\"command\": \"rtt\", \"rtt_ns\": %.0f, \"near\": %s}\n", ns,
		ns < CACHE_LINE_NEAR_NS ? "true" : "false");
	return 0;
}

// A generator never sleeps: as a real-time process it would take its core, and with the help of
// cache_line_rtt() the other, from everybody for good.
static void pin(int core)
{
	struct sched_param prio = {0};
	cpu_set_t set;

	sched_setscheduler(0, SCHED_OTHER, &prio);
	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (core >= 0 && sched_setaffinity(0, sizeof(set), &set))
		fprintf(stderr, "gen: cannot run on core %d; not pinned\n", core);
}

int main(int argc, char **argv)
{
	struct gen_options o;
	struct gen *g;
	int err = gen_options_parse(&o, argc, argv);

	if (err)
		return err;
	if (!strcmp(o.command, "rtt"))
		return print_rtt(&o);
	alarm((unsigned)(o.seconds + o.warmup) + LIMIT_S); // whatever happens
	signal(SIGPIPE, SIG_IGN);
	g = aligned_alloc(64, (sizeof(*g) + 63) & ~63ull);
	if (!g)
		return 1;
	memset(g, 0, sizeof(*g));
	g->opt = o;
	pin(o.core);
	err = 2;
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(o.command, commands[i].name))
			continue;
		err = gen_start(g) ? 1 : commands[i].run(g);
		gen_stop(g);
	}
	if (err == 2)
		fprintf(stderr, "gen: %s: no such command; see gen --help\n", o.command);
	free(g);
	return err;
}
