// SPDX-License-Identifier: BSD-2-Clause
// The nearest right word for a mistyped one.
#pragma once

#include <stddef.h>

struct suggest {
	const char *word; // what was typed
	const char *best; // nearest candidate so far, NULL if none is near
	size_t distance;
};

// Starts a search. `word` is borrowed until the search ends.
void suggest_init(struct suggest *s, const char *word);
// Offers one candidate, which is borrowed if it is taken.
void suggest_offer(struct suggest *s, const char *candidate);

// Edits (insert, delete, replace, swap of neighbours) between two words of at most 63 bytes; longer
// ones are infinitely far.
size_t suggest_distance(const char *a, const char *b);
