// SPDX-License-Identifier: BSD-2-Clause
// The steps of vhost_avx512.h for CPUs with AVX2: eight chains at a time too, in two halves.
//
// Included by vhost_burst.c only. Loads of memory that the guest may rewrite are volatile: each
// field is read once, and what is checked is what is used.
#pragma once

#include "dataplane/port/vhost_view.h"

#include <immintrin.h>

#define WIDE 8u
#define HALF 4u

static inline __m256i wide_load32(const void *p)
{
	__m256i v;

	__asm__ volatile("vmovdqu %1, %0" : "=x"(v) : "m"(*(const char(*)[32])p));
	return v;
}

static inline __m256i wide_set(uint64_t v)
{
	return _mm256_set1_epi64x((long long)v);
}

// The heads of the eight chains from the i-th on, if they are in the ring one behind the other and name
// descriptors that are neighbours: those, else NULL.
static inline const struct vring_desc *wide_heads(const struct view *v, uint32_t i, __m128i *heads)
{
	const __m128i steps = _mm_set_epi16(7, 6, 5, 4, 3, 2, 1, 0);
	const uint32_t slot = (v->next + i) & v->mask;
	uint32_t first;
	__m128i h;

	if (slot + WIDE > v->mask + 1u)
		return NULL;
	h = wide_load16(&v->avail[slot]);
	first = (uint16_t)_mm_extract_epi16(h, 0);
	h = _mm_sub_epi16(h, steps);
	if (first + WIDE > v->mask + 1u ||
		_mm_movemask_epi8(_mm_cmpeq_epi16(h, _mm_set1_epi16((short)first))) != 0xffff)
		return NULL;
	*heads = _mm_add_epi16(h, steps);
	return &v->desc[first];
}

// The addresses, and the lengths, flags and next of four descriptors.
static inline void wide_descs(const struct vring_desc *d, __m256i *addr, __m256i *meta)
{
	const __m256i a = wide_load32(d), b = wide_load32(d + 2);

	*addr = _mm256_permute4x64_epi64(_mm256_unpacklo_epi64(a, b), 0xd8);
	*meta = _mm256_permute4x64_epi64(_mm256_unpackhi_epi64(a, b), 0xd8);
}

// Where four ranges are, if they lie in the region of the last hit. What is returned is negative for each
// that does not: its begin, its end, or what is left of the region behind it.
static inline __m256i wide_at(const struct view *v, __m256i addr, __m256i len, __m256i *at)
{
	const __m256i off = _mm256_sub_epi64(addr, wide_set(v->gpa));
	const __m256i end = _mm256_add_epi64(off, len);
	const __m256i left = _mm256_sub_epi64(wide_set(v->size), end);

	*at = _mm256_add_epi64(off, wide_set((uintptr_t)v->hva));
	return _mm256_or_si256(_mm256_or_si256(off, end), left);
}

static inline bool wide_is_any_negative(__m256i v)
{
	return _mm256_movemask_pd(_mm256_castsi256_pd(v));
}

static inline __m256i wide_len(__m256i meta)
{
	return _mm256_and_si256(meta, wide_set(0xffffffff));
}

// Negative where the flags are not these.
static inline __m256i wide_flags(__m256i meta, uint64_t flags)
{
	const __m256i has = _mm256_and_si256(meta, wide_set(0xffffull << 32));

	return _mm256_sub_epi64(
		_mm256_setzero_si256(), _mm256_xor_si256(has, wide_set(flags << 32)));
}

// Four of wide_sources(). What is returned is negative for those that are not common.
static inline __m256i wide_sources_half(
	const struct view *v, const struct vring_desc *d, __m256i *where, __m256i *len)
{
	__m256i addr, meta, bad;

	wide_descs(d, &addr, &meta);
	*len = wide_len(meta);
	bad = wide_at(v, addr, *len, where);
	*len = _mm256_sub_epi64(*len, wide_set(v->hdr_len));
	bad = _mm256_or_si256(bad, wide_flags(meta, 0));
	bad = _mm256_or_si256(bad, _mm256_sub_epi64(*len, wide_set(FRAME_LEN_MIN)));
	return _mm256_or_si256(bad, _mm256_sub_epi64(wide_set(FRAME_LEN_MAX), *len));
}

// As flat_sources(): eight chains from the i-th on, false (nothing written) if any is not common.
static inline bool wide_sources(
	const struct view *v, uint32_t i, uint16_t *taken, const uint8_t **at, uint32_t *len)
{
	// The low halves of four words, where packing two vectors by halves has put them.
	const __m256i order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
	__m256i where[2], lens[2], bad;
	__m128i heads;
	const struct vring_desc *d = wide_heads(v, i, &heads);

	if (!d)
		return false;
	bad = wide_sources_half(v, d, &where[0], &lens[0]);
	bad = _mm256_or_si256(bad, wide_sources_half(v, d + HALF, &where[1], &lens[1]));
	if (unlikely(wide_is_any_negative(bad)))
		return false;
	_mm_storeu_si128((__m128i *)(void *)&taken[i], heads);
	_mm256_storeu_si256((__m256i *)(void *)&at[i], where[0]);
	_mm256_storeu_si256((__m256i *)(void *)&at[i + HALF], where[1]);
	const __m256i both = _mm256_castps_si256(_mm256_shuffle_ps(
		_mm256_castsi256_ps(lens[0]), _mm256_castsi256_ps(lens[1]), 0x88));
	_mm256_storeu_si256((__m256i *)(void *)&len[i], _mm256_permutevar8x32_epi32(both, order));
	return true;
}

// Four of wide_targets(). What is returned is negative for those that are not common or hold less.
static inline __m256i wide_targets_half(
	const struct view *v, const struct vring_desc *d, uint32_t need, __m256i *where)
{
	__m256i addr, meta, bad;

	wide_descs(d, &addr, &meta);
	bad = wide_at(v, addr, wide_set(need), where);
	bad = _mm256_or_si256(bad, wide_flags(meta, VRING_DESC_F_WRITE));
	return _mm256_or_si256(bad, _mm256_sub_epi64(wide_len(meta), wide_set(need)));
}

// As flat_targets(): eight chains from the i-th on that hold `need` bytes each, false (nothing
// written) if any is not common or holds less.
static inline bool wide_targets(
	const struct view *v, uint32_t i, uint32_t need, uint16_t *heads, uint8_t **to)
{
	__m256i where[2], bad;
	__m128i h;
	const struct vring_desc *d = wide_heads(v, i, &h);

	if (!d)
		return false;
	bad = wide_targets_half(v, d, need, &where[0]);
	bad = _mm256_or_si256(bad, wide_targets_half(v, d + HALF, need, &where[1]));
	if (unlikely(wide_is_any_negative(bad)))
		return false;
	_mm_storeu_si128((__m128i *)(void *)&heads[i], h);
	_mm256_storeu_si256((__m256i *)(void *)&to[i], where[0]);
	_mm256_storeu_si256((__m256i *)(void *)&to[i + HALF], where[1]);
	return true;
}

// Eight used elements, unless they stand there already; len NULL: all 0.
static inline void wide_used(
	struct vring_used_elem *slot, const uint16_t *heads, const uint32_t *len)
{
	for (uint32_t i = 0; i < WIDE; i += HALF) {
		__m256i *to = (__m256i *)(void *)&slot[i];
		__m256i e = _mm256_cvtepu16_epi64(
			_mm_loadl_epi64((const __m128i *)(const void *)&heads[i]));

		if (len)
			e = _mm256_or_si256(e,
				_mm256_slli_epi64(_mm256_cvtepu32_epi64(_mm_loadu_si128(
							  (const __m128i *)(const void *)&len[i])),
					32));
		const __m256i differs = _mm256_xor_si256(e, _mm256_loadu_si256(to));
		if (!_mm256_testz_si256(differs, differs))
			_mm256_storeu_si256(to, e);
	}
}
