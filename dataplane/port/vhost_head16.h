// SPDX-License-Identifier: BSD-2-Clause
// 16 bytes in a register: how the loops over a burst tell what the beginnings of all frames are together (struct
// head_sum).
//
// A part of vhost_burst.c.
#pragma once

#include <stdint.h>
#include <string.h>

#ifdef __AVX2__
#include <immintrin.h>

struct head16 {
	__m128i v;
};

static inline struct head16 head16_load(const uint8_t *p)
{
	return (struct head16){_mm_loadu_si128((const __m128i *)(const void *)p)};
}

static inline void head16_store(uint8_t *p, struct head16 h)
{
	_mm_storeu_si128((__m128i *)(void *)p, h.v);
}

static inline struct head16 head16_fill(uint8_t byte)
{
	return (struct head16){_mm_set1_epi8((char)byte)};
}

static inline struct head16 head16_or(struct head16 a, struct head16 b)
{
	return (struct head16){_mm_or_si128(a.v, b.v)};
}

// The lower of each two bytes.
static inline struct head16 head16_least(struct head16 a, struct head16 b)
{
	return (struct head16){_mm_min_epu16(a.v, b.v)};
}

#else

typedef uint16_t head16_pairs __attribute__((vector_size(16)));

struct head16 {
	head16_pairs v;
};

static inline struct head16 head16_load(const uint8_t *p)
{
	struct head16 h;

	memcpy(&h, p, sizeof(h));
	return h;
}

static inline void head16_store(uint8_t *p, struct head16 h)
{
	memcpy(p, &h, sizeof(h));
}

static inline struct head16 head16_fill(uint8_t byte)
{
	struct head16 h;

	memset(&h, byte, sizeof(h));
	return h;
}

static inline struct head16 head16_or(struct head16 a, struct head16 b)
{
	return (struct head16){a.v | b.v};
}

static inline struct head16 head16_least(struct head16 a, struct head16 b)
{
	const head16_pairs lower = (head16_pairs)(a.v < b.v);

	return (struct head16){(a.v & lower) | (b.v & ~lower)};
}

#endif
