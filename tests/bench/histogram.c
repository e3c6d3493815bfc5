// SPDX-License-Identifier: BSD-2-Clause
// A histogram of durations with buckets 1.6 % apart.
#include "tests/bench/histogram.h"

// The largest value of a bucket.
static uint64_t bucket_end(unsigned i)
{
	unsigned e;

	if (i < HISTOGRAM_SUB)
		return i;
	e = i / HISTOGRAM_SUB + 5;
	return (1ull << e) + ((uint64_t)(i % HISTOGRAM_SUB + 1) << (e - 6)) - 1;
}

uint64_t histogram_quantile(const struct histogram *h, double share)
{
	uint64_t want = (uint64_t)(share * (double)h->n), seen = 0;
	unsigned n = sizeof(h->bucket) / sizeof(h->bucket[0]);

	if (want >= h->n)
		return h->max;
	for (unsigned i = 0; i < n; i++) {
		seen += h->bucket[i];
		if (seen > want)
			return bucket_end(i) < h->max ? bucket_end(i) : h->max;
	}
	return h->max;
}
