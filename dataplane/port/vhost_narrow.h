// SPDX-License-Identifier: BSD-2-Clause
// The steps of vhost_avx512.h for CPUs without AVX2: every chain is done one by one.
//
// A part of vhost_burst.c.
#pragma once

#include "dataplane/port/vhost_view.h"

#include <string.h>

#define WIDE 8u

static inline bool wide_sources(
	const struct view *v, uint32_t i, uint16_t *taken, const uint8_t **at, uint32_t *len)
{
	return false;
}

static inline bool wide_targets(
	const struct view *v, uint32_t i, uint32_t need, uint16_t *heads, uint8_t **to)
{
	return false;
}

static inline void wide_used(
	struct vring_used_elem *slot, const uint16_t *heads, const uint32_t *len, uint32_t all)
{
	for (uint32_t i = 0; i < WIDE; i++) {
		const uint64_t e = heads[i] | (uint64_t)(len ? len[i] : all) << 32;

		if (memcmp(&slot[i], &e, sizeof(e)))
			memcpy(&slot[i], &e, sizeof(e));
	}
}
