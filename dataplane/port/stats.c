// SPDX-License-Identifier: BSD-2-Clause
// Counters: names of drop reasons, and sums.
#include "dataplane/port/stats.h"

#include <stddef.h>

static const struct {
	const char *name, *text, *remedy;
} reasons[N_DROP_REASONS] = {
#define X(name, what, todo) [DROP_##name] = {#name, what, todo},
	DROP_REASONS(X)
#undef X
};

const char *drop_reason_name(enum drop_reason r)
{
	return (unsigned)r < N_DROP_REASONS ? reasons[r].name : "unknown";
}

const char *drop_reason_text(enum drop_reason r)
{
	return (unsigned)r < N_DROP_REASONS ? reasons[r].text : "";
}

const char *drop_reason_remedy(enum drop_reason r)
{
	return (unsigned)r < N_DROP_REASONS ? reasons[r].remedy : "";
}

// The writer's plain stores of whole words are the design; ThreadSanitizer is told not to look.
__attribute__((no_sanitize("thread"))) void port_stats_add(
	struct port_stats *sum, const struct port_stats *s)
{
	// Every field is a word of its own with one writer: summed as an array of words, each
	// loaded whole. The words of padding at the end are zero on both sides.
	_Static_assert(sizeof(struct port_stats) % sizeof(uint64_t) == 0, "words");
	uint64_t *to = (uint64_t *)sum;
	const volatile uint64_t *from = (const volatile uint64_t *)s;

	for (size_t i = 0; i < sizeof(*s) / sizeof(*from); i++)
		to[i] += from[i];
}
