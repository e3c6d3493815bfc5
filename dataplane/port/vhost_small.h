// SPDX-License-Identifier: BSD-2-Clause
// Whether all frames of a list are small, and of what shape: said of all at once, without a branch for each.
//
// A part of vhost_burst.c.
#pragma once

#include "dataplane/frame/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE4_1__
#include <immintrin.h>
#endif

// The longest frame that is small: most acknowledgements of TCP and queries are no longer.
#define SMALL_MAX (FRAME_HEAD + 64)

// The second word of a small frame: a full head as received, no flags.
#define SMALL_SHAPE (FRAME_HEAD_OFF << 16 | FRAME_HEAD)

_Static_assert(offsetof(struct frame, len) == 0 && offsetof(struct frame, head_len) == 4 &&
		       offsetof(struct frame, head_off) == 6 &&
		       offsetof(struct frame, flags) == 7 && offsetof(struct frame, n_segs) == 8,
	"how a frame begins");

// The same of one that its head holds as a whole, however long that is: it was pulled, or there was no more.
#define WHOLE_SHAPE (FRAME_HEAD_OFF << 16)
#define WHOLE_MASK  0xffff0000u
#define WHOLE_MAX   64u

static inline uint32_t frame_shape(const struct frame *f)
{
	uint32_t shape;

	memcpy(&shape, &f->head_len, sizeof(shape)); // and head_off, flags
	return shape;
}

static inline bool is_split(const struct frame *f)
{
	return frame_shape(f) == SMALL_SHAPE && f->n_segs <= 1 && f->len <= SMALL_MAX;
}

// Begins a split frame of `len` bytes; where its segment lies is still to be said.
static inline void begin_split(struct frame *f, uint32_t len)
{
	_Static_assert(
		offsetof(struct frame, seg.len) == 12 && offsetof(struct frame, seg.base) == 16,
		"the first 16 bytes are written at once");
#ifdef __SSE4_1__
	const __m128i lens = _mm_and_si128(_mm_set1_epi32((int)len), _mm_set_epi32(-1, 0, 0, -1));

	_mm_store_si128((__m128i *)(void *)f,
		_mm_add_epi32(lens, _mm_set_epi32(-(int)FRAME_HEAD, 1, SMALL_SHAPE, 0)));
#else
	frame_begin(f, len, FRAME_HEAD);
	f->seg.len = len - FRAME_HEAD;
#endif
}

static inline bool is_whole(const struct frame *f)
{
	return (frame_shape(f) & WHOLE_MASK) == WHOLE_SHAPE && !f->n_segs && f->len <= WHOLE_MAX;
}

// The i-th frame of a list; NULL: of those that follow one another.
static inline const struct frame *nth_frame(const struct frame *f, const uint8_t *list, uint32_t i)
{
	return &f[list ? list[i] : i];
}

// Whether n frames begin with the same 16 bytes: length, shape, and the length of their segment. See nth_frame().
static inline __attribute__((always_inline)) bool are_alike(
	const struct frame *f, const uint8_t *list, uint32_t n)
{
#ifdef __SSE4_1__
	const __m128i first = _mm_load_si128((const __m128i *)(const void *)nth_frame(f, list, 0));
	__m128i differ = _mm_setzero_si128();

#pragma GCC unroll 4
	for (uint32_t i = 1; i < n; i++) {
		const void *p = nth_frame(f, list, i);
		differ = _mm_or_si128(
			differ, _mm_xor_si128(first, _mm_load_si128((const __m128i *)p)));
	}
	return _mm_testz_si128(differ, differ);
#else
	bool differ = false;

	for (uint32_t i = 1; i < n; i++)
		differ |= memcmp(nth_frame(f, list, 0), nth_frame(f, list, i), 16) != 0;
	return !differ;
#endif
}

// What frames have in common.
#ifdef __SSE4_1__

struct shapes {
	__m128i ones, common, most,
		sum; // of a frame's first 16 bytes: any's bits, all's bits, by words
};

static inline struct shapes shapes_none(void)
{
	return (struct shapes){.common = _mm_set1_epi32(-1)};
}

// Returns the frame's length.
static inline uint32_t shapes_add(struct shapes *s, const struct frame *f)
{
	const __m128i v = _mm_load_si128((const __m128i *)(const void *)f);

	s->ones = _mm_or_si128(s->ones, v);
	s->common = _mm_and_si128(s->common, v);
	s->most = _mm_max_epu32(s->most, v);
	s->sum = _mm_add_epi32(s->sum, v);
	return (uint32_t)_mm_cvtsi128_si32(v);
}

static inline uint32_t shapes_longest(const struct shapes *s)
{
	return (uint32_t)_mm_cvtsi128_si32(s->most);
}

static inline uint32_t shapes_bytes(const struct shapes *s)
{
	return (uint32_t)_mm_cvtsi128_si32(s->sum);
}

static inline bool shapes_are_split(const struct shapes *s)
{
	return _mm_extract_epi32(s->ones, 1) == SMALL_SHAPE &&
	       _mm_extract_epi32(s->common, 1) == SMALL_SHAPE &&
	       (uint16_t)_mm_extract_epi16(s->ones, 4) <= 1 && shapes_longest(s) <= SMALL_MAX;
}

static inline bool shapes_are_whole(const struct shapes *s)
{
	return ((uint32_t)_mm_extract_epi32(s->ones, 1) & WHOLE_MASK) == WHOLE_SHAPE &&
	       ((uint32_t)_mm_extract_epi32(s->common, 1) & WHOLE_MASK) == WHOLE_SHAPE &&
	       !_mm_extract_epi16(s->ones, 4) && shapes_longest(s) <= WHOLE_MAX;
}

#else

struct shapes {
	uint32_t not_split, not_whole, longest, bytes;
};

static inline struct shapes shapes_none(void)
{
	return (struct shapes){.longest = 0};
}

static inline uint32_t shapes_add(struct shapes *s, const struct frame *f)
{
	s->not_split |= !is_split(f);
	s->not_whole |= !is_whole(f);
	s->longest = f->len > s->longest ? f->len : s->longest;
	s->bytes += f->len;
	return f->len;
}

static inline uint32_t shapes_longest(const struct shapes *s)
{
	return s->longest;
}

static inline uint32_t shapes_bytes(const struct shapes *s)
{
	return s->bytes;
}

static inline bool shapes_are_split(const struct shapes *s)
{
	return !s->not_split;
}

static inline bool shapes_are_whole(const struct shapes *s)
{
	return !s->not_whole;
}

#endif
