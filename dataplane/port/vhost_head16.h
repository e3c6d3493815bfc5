// SPDX-License-Identifier: BSD-2-Clause
// The first 16 bytes of a frame, in a register: how the loops over a burst tell whether all frames have
// the same addresses.
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

static inline struct head16 head16_or(struct head16 a, struct head16 b)
{
	return (struct head16){_mm_or_si128(a.v, b.v)};
}

// a | ~b
static inline struct head16 head16_or_not(struct head16 a, struct head16 b)
{
	return (struct head16){_mm_or_si128(a.v, _mm_xor_si128(b.v, _mm_set1_epi32(-1)))};
}

// Whether no bit of the first 14 bytes is set in both.
static inline bool head16_is_disjoint14(struct head16 a, struct head16 b)
{
	return _mm_testz_si128(_mm_and_si128(a.v, b.v), _mm_set_epi64x(0xffffffffffff, -1));
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

static inline struct head16 head16_or(struct head16 a, struct head16 b)
{
	return (struct head16){a.a | b.a, a.b | b.b};
}

static inline struct head16 head16_or_not(struct head16 a, struct head16 b)
{
	return (struct head16){a.a | ~b.a, a.b | ~b.b};
}

static inline bool head16_is_disjoint14(struct head16 a, struct head16 b)
{
	return !((a.a & b.a) | (htole64(a.b & b.b) & UINT64_C(0xffffffffffff)));
}

#endif
