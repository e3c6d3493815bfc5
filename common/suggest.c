// SPDX-License-Identifier: BSD-2-Clause
// The nearest right word for a mistyped one: optimal string alignment distance.
#include "common/suggest.h"

#include <stdint.h>
#include <string.h>

#define WORD_MAX 63

static size_t min2(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t suggest_distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > WORD_MAX || m > WORD_MAX)
		return SIZE_MAX;
	size_t *before = rows[0], *last = rows[1], *now = rows[2];
	for (size_t j = 0; j <= m; j++)
		last[j] = j;
	for (size_t i = 1; i <= n; i++) {
		now[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t cost = a[i - 1] != b[j - 1];
			now[j] = min2(min2(last[j] + 1, now[j - 1] + 1), last[j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = min2(now[j], before[j - 2] + 1);
		}
		size_t *t = before;
		before = last;
		last = now;
		now = t;
	}
	return last[m];
}

void suggest_init(struct suggest *s, const char *word)
{
	*s = (struct suggest){.word = word, .distance = SIZE_MAX};
}

void suggest_offer(struct suggest *s, const char *candidate)
{
	size_t d = suggest_distance(s->word, candidate), len = strlen(s->word);

	// A short word may be wrong in one place, a long one in a third of its letters.
	size_t limit = len <= 4 ? 1 : len / 3 + 1;
	// What was typed may be the start of a longer word.
	if (len >= 3 && strncmp(s->word, candidate, len) == 0)
		d = 1;
	if (d <= limit && d < s->distance) {
		s->distance = d;
		s->best = candidate;
	}
}
