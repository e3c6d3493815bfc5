// SPDX-License-Identifier: BSD-2-Clause
// The steps of vhost_avx512.h for CPUs with AVX2: eight chains at a time too, in two halves.
//
// A part of vhost_burst.c. Loads of memory that the guest may rewrite are volatile: each
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

// Of four descriptors the addresses, and lengths, flags and next: of the first, the third, the second and the fourth.
static inline void wide_descs(const struct vring_desc *d, __m256i *addr, __m256i *meta)
{
	const __m256i a = wide_load32(d), b = wide_load32(d + 2);

	*addr = _mm256_unpacklo_epi64(a, b);
	*meta = _mm256_unpackhi_epi64(a, b);
}

// Stores four addresses that are in the order of wide_descs().
static inline void wide_store_at(void *at, __m256i where)
{
	_mm256_storeu_si256((__m256i *)at, _mm256_permute4x64_epi64(where, 0xd8));
}

// Where four ranges are, if they lie in the region of the last hit. What is returned is negative for each
// that does not: its begin, its end, or what is left of the region behind it.
static inline __m256i wide_at(const struct view *v, __m256i addr, __m256i len, __m256i *at)
{
	const __m256i off = _mm256_sub_epi64(addr, wide_set(v->gpa));
	const __m256i end = _mm256_add_epi64(off, len);
	const __m256i left = _mm256_sub_epi64(wide_set(v->size), end);

	*at = _mm256_add_epi64(addr, wide_set(v->to_host));
	return _mm256_or_si256(_mm256_or_si256(off, end), left);
}

static inline bool wide_is_any_negative(__m256i v)
{
	return _mm256_movemask_pd(_mm256_castsi256_pd(v));
}

// Length and flags of descriptors, as one number: what other flags are set is added to the length, or missing.
#define META_MASK        ((UINT64_C(1) << 48) - 1)
#define META(flags, len) ((uint64_t)(flags) << 32 | (len))

static inline __m256i wide_meta(__m256i meta)
{
	return _mm256_and_si256(meta, wide_set(META_MASK));
}

// Four of wide_sources(). What is returned is negative for those that are not common.
static inline __m256i wide_sources_half(
	const struct view *v, const struct vring_desc *d, __m256i *where, __m256i *len)
{
	const __m256i span = wide_set(FRAME_LEN_MAX - FRAME_LEN_MIN);
	__m256i addr, meta, bad;

	wide_descs(d, &addr, &meta);
	meta = wide_meta(meta);
	bad = wide_at(v, addr, meta, where);
	// With a flag set it is longer than any frame.
	const __m256i beyond = _mm256_sub_epi64(meta, wide_set(v->hdr_len + FRAME_LEN_MIN));
	*len = _mm256_sub_epi64(meta, wide_set(v->hdr_len));
	bad = _mm256_or_si256(bad, beyond);
	return _mm256_or_si256(bad, _mm256_sub_epi64(span, beyond));
}

// As flat_sources(): eight chains from the i-th on, false (nothing written) if any is not common.
static inline bool wide_sources(
	const struct view *v, uint32_t i, uint16_t *taken, const uint8_t **at, uint32_t *len)
{
	// The low halves of eight words, where wide_descs() and packing two vectors by halves have put them.
	const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
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
	wide_store_at(&at[i], where[0]);
	wide_store_at(&at[i + HALF], where[1]);
	const __m256i both = _mm256_castps_si256(_mm256_shuffle_ps(
		_mm256_castsi256_ps(lens[0]), _mm256_castsi256_ps(lens[1]), 0x88));
	_mm256_storeu_si256((__m256i *)(void *)&len[i], _mm256_permutevar8x32_epi32(both, order));
	return true;
}

// Four of wide_targets(), 0 <= need <= v->size. What is returned is negative for those that are not common or hold less.
static inline __m256i wide_targets_half(
	const struct view *v, const struct vring_desc *d, uint32_t need, __m256i *where)
{
	const uint64_t least = META(VRING_DESC_F_WRITE, need);
	const uint64_t most = META(VRING_DESC_F_WRITE, UINT32_MAX);
	__m256i addr, meta, bad;

	wide_descs(d, &addr, &meta);
	const __m256i beyond = _mm256_sub_epi64(wide_meta(meta), wide_set(least));
	const __m256i off = _mm256_sub_epi64(addr, wide_set(v->gpa));
	*where = _mm256_add_epi64(addr, wide_set(v->to_host));
	bad = _mm256_or_si256(off, _mm256_sub_epi64(wide_set(v->size - need), off));
	bad = _mm256_or_si256(bad, beyond);
	return _mm256_or_si256(bad, _mm256_sub_epi64(wide_set(most - least), beyond));
}

// As flat_targets(): eight chains from the i-th on that hold `need` bytes each, false (nothing
// written) if any is not common or holds less.
static inline bool wide_targets(
	const struct view *v, uint32_t i, uint32_t need, uint16_t *heads, uint8_t **to)
{
	__m256i where[2], bad;
	__m128i h;
	const struct vring_desc *d = wide_heads(v, i, &h);

	if (!d || unlikely(v->size < need))
		return false;
	bad = wide_targets_half(v, d, need, &where[0]);
	bad = _mm256_or_si256(bad, wide_targets_half(v, d + HALF, need, &where[1]));
	if (unlikely(wide_is_any_negative(bad)))
		return false;
	_mm_storeu_si128((__m128i *)(void *)&heads[i], h);
	wide_store_at(&to[i], where[0]);
	wide_store_at(&to[i + HALF], where[1]);
	return true;
}

// Four used elements; len NULL: `same` has the lengths.
static inline __m256i wide_used_half(const uint16_t *heads, const uint32_t *len, __m256i same)
{
	const __m256i ids =
		_mm256_cvtepu16_epi64(_mm_loadl_epi64((const __m128i *)(const void *)heads));

	if (!len)
		return _mm256_or_si256(ids, same);
	return _mm256_or_si256(ids, _mm256_slli_epi64(_mm256_cvtepu32_epi64(_mm_loadu_si128(
							      (const __m128i *)(const void *)len)),
					    32));
}

// Eight used elements, unless they stand there already; len NULL: `all` in each.
static inline void wide_used(
	struct vring_used_elem *slot, const uint16_t *heads, const uint32_t *len, uint32_t all)
{
	const __m256i same = wide_set((uint64_t)all << 32);
	const __m256i low = wide_used_half(heads, len, same);
	const __m256i high = wide_used_half(heads + HALF, len ? len + HALF : NULL, same);
	__m256i *to = (__m256i *)(void *)slot;
	const __m256i differs = _mm256_or_si256(_mm256_xor_si256(low, _mm256_loadu_si256(to)),
		_mm256_xor_si256(high, _mm256_loadu_si256(to + 1)));

	if (!_mm256_testz_si256(differs, differs)) {
		_mm256_storeu_si256(to, low);
		_mm256_storeu_si256(to + 1, high);
	}
}
