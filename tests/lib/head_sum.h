// SPDX-License-Identifier: BSD-2-Clause
// How the frames of a burst begin, frame by frame: what ports say of it in fewer steps.
#pragma once

#include "dataplane/frame/frame.h"

#include <string.h>

// Of the first 14 bytes of all heads, n >= 1; the last two bytes of either half are 0.
static inline struct head_sum head_sum_of(const struct burst *b)
{
	struct head_sum sum = {.any = {0}};

	for (unsigned k = 0; k < 14; k += 2) {
		uint16_t any = 0, least = UINT16_MAX;

		for (uint32_t i = 0; i < b->n; i++) {
			uint16_t two;

			memcpy(&two, frame_head_const(&b->f[i]) + k, 2);
			any |= two;
			least = two < least ? two : least;
		}
		memcpy(sum.any + k, &any, 2);
		memcpy(sum.least + k, &least, 2);
	}
	return sum;
}
