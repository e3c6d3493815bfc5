// SPDX-License-Identifier: BSD-2-Clause
// A load generator of two guests that send to each other, without a switch or rings.
#pragma once

#include "tests/bench/gen.h"

#include <stdlib.h>
#include <string.h>

static inline struct gen *new_gen(unsigned size)
{
	struct gen *g = aligned_alloc(64, (sizeof(*g) + 63) & ~63ull);

	memset(g, 0, sizeof(*g));
	g->n = 2;
	g->n_sizes = 1;
	g->size[0] = size;
	g->lines[0] = (size + 63) / 64;
	g->write = GEN_FULL;
	g->opt.verify = true;
	for (unsigned i = 0; i < g->n; i++) {
		struct gen_guest *w = &g->guest[i];

		w->me = (uint16_t)i;
		w->dst = 1 - i;
		w->flow = aligned_alloc(64, 3 * sizeof(*w->flow));
		w->expect = calloc(4, sizeof(*w->expect));
		for (unsigned to = 0; to < 2; to++)
			gen_make_flow(g, i, to);
		gen_make_flow(g, i, GEN_EVERYBODY);
	}
	return g;
}

static inline void free_gen(struct gen *g)
{
	for (unsigned i = 0; i < g->n; i++) {
		free(g->guest[i].flow);
		free(g->guest[i].expect);
	}
	free(g);
}
