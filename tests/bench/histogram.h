// SPDX-License-Identifier: BSD-2-Clause
// A histogram of durations with buckets 1.6 % apart, from 1 to 2^63.
#pragma once

#include <stdint.h>

#define HISTOGRAM_SUB 64u // buckets per power of two

struct histogram {
	uint64_t n, max;
	uint64_t bucket[(64 - 5) * HISTOGRAM_SUB];
};

static inline unsigned histogram_index(uint64_t v)
{
	unsigned e;

	if (v < HISTOGRAM_SUB)
		return (unsigned)v;
	e = 63u - (unsigned)__builtin_clzll(v); // >= 6
	return (e - 5) * HISTOGRAM_SUB + (unsigned)((v >> (e - 6)) & (HISTOGRAM_SUB - 1));
}

static inline void histogram_add(struct histogram *h, uint64_t v)
{
	h->bucket[histogram_index(v)]++;
	h->n++;
	if (v > h->max)
		h->max = v;
}

// The value below which `share` (0..1) of all lie, to the upper end of its bucket; 0 if empty.
uint64_t histogram_quantile(const struct histogram *h, double share);
