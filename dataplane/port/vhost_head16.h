// SPDX-License-Identifier: BSD-2-Clause
// 16 bytes in a register: how the loops over a burst tell what the beginnings of all frames have in common.
//
// Included by vhost_burst.c only.
#pragma once

#include <endian.h>
#include <stdbool.h>
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

static inline struct head16 head16_set(uint64_t low, uint64_t high)
{
	return (struct head16){_mm_set_epi64x((long long)high, (long long)low)};
}

static inline struct head16 head16_or(struct head16 a, struct head16 b)
{
	return (struct head16){_mm_or_si128(a.v, b.v)};
}

static inline struct head16 head16_and(struct head16 a, struct head16 b)
{
	return (struct head16){_mm_and_si128(a.v, b.v)};
}

// Whether the first 14 bytes are the same.
static inline bool head16_is_same14(struct head16 a, struct head16 b)
{
	return _mm_testz_si128(_mm_xor_si128(a.v, b.v), _mm_set_epi64x(0xffffffffffff, -1));
}

#else

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

static inline struct head16 head16_set(uint64_t low, uint64_t high)
{
	return (struct head16){low, high};
}

static inline struct head16 head16_or(struct head16 a, struct head16 b)
{
	return (struct head16){a.a | b.a, a.b | b.b};
}

static inline struct head16 head16_and(struct head16 a, struct head16 b)
{
	return (struct head16){a.a & b.a, a.b & b.b};
}

static inline bool head16_is_same14(struct head16 a, struct head16 b)
{
	return !((a.a ^ b.a) | (htole64(a.b ^ b.b) & UINT64_C(0xffffffffffff)));
}

#endif
