// SPDX-License-Identifier: BSD-2-Clause
// The steps of vhost_wide.h for CPUs without AVX-512: every chain is done one by one.
//
// Included by vhost_burst.c only.
#pragma once

#include "dataplane/port/vhost_view.h"

#include <endian.h>

#define WIDE 8u

// The first 16 bytes of a frame, as two words.
struct head16 {
	uint64_t a, b;
};

static inline struct head16 head16_load(const uint8_t *p)
{
	struct head16 h;

	memcpy(&h.a, p, 8);
	memcpy(&h.b, p + 8, 8);
	return h;
}

// sum | (a ^ b)
static inline struct head16 head16_differ(struct head16 sum, struct head16 a, struct head16 b)
{
	return (struct head16){sum.a | (a.a ^ b.a), sum.b | (a.b ^ b.b)};
}

// Whether the first 14 bytes are 0.
static inline bool head16_is_zero14(struct head16 h)
{
	return !(h.a | (htole64(h.b) & UINT64_C(0xffffffffffff)));
}

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
	struct vring_used_elem *slot, const uint16_t *heads, const uint32_t *len)
{
	for (uint32_t i = 0; i < WIDE; i++) {
		const uint64_t e = heads[i] | (uint64_t)(len ? len[i] : 0) << 32;

		if (memcmp(&slot[i], &e, sizeof(e)))
			memcpy(&slot[i], &e, sizeof(e));
	}
}
