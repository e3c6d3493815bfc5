// SPDX-License-Identifier: BSD-2-Clause
// Eight chains at a time, for CPUs with AVX-512: the steps of vhost_burst.c on the common case that
// a driver uses its descriptors in order. What is not common is refused here and done one by one.
//
// A part of vhost_burst.c. Loads of memory that the guest may rewrite are volatile: each
// field is read once, and what is checked is what is used.
#pragma once

#include "dataplane/port/vhost_view.h"

#include <immintrin.h>

#define WIDE 8u

static inline __m512i wide_load64(const void *p)
{
	__m512i v;

	__asm__ volatile("vmovdqu64 %1, %0" : "=v"(v) : "m"(*(const char(*)[64])p));
	return v;
}

// The heads, addresses, lengths and flags of the eight chains from the i-th on: true if their heads
// are in the ring one behind the other and name descriptors that are neighbours.
static inline bool wide_descs(
	const struct view *v, uint32_t i, __m128i *heads, __m512i *addr, __m512i *meta)
{
	const __m512i even = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0);
	const __m512i odd = _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1);
	const __m128i steps = _mm_set_epi16(7, 6, 5, 4, 3, 2, 1, 0);
	const uint32_t slot = (v->next + i) & v->mask;
	__m128i h;
	uint32_t first;

	if (slot + WIDE > v->mask + 1u)
		return false;
	h = wide_load16(&v->avail[slot]);
	first = (uint16_t)_mm_extract_epi16(h, 0);
	if (_mm_cmpneq_epi16_mask(h, _mm_add_epi16(_mm_set1_epi16((short)first), steps)) ||
		first + WIDE > v->mask + 1u)
		return false;
	const __m512i a = wide_load64(&v->desc[first]), b = wide_load64(&v->desc[first + 4]);

	*heads = h;
	*addr = _mm512_permutex2var_epi64(a, even, b);
	*meta = _mm512_permutex2var_epi64(a, odd, b);
	return true;
}

// Which of eight ranges lie in the region of the last hit; where, for those.
static inline __mmask8 wide_at(const struct view *v, __m512i addr, __m512i len, __m512i *at)
{
	const __m512i off = _mm512_sub_epi64(addr, _mm512_set1_epi64((long long)v->gpa));
	const __m512i size = _mm512_set1_epi64((long long)v->size);
	const __mmask8 in = _mm512_cmplt_epu64_mask(off, size);

	*at = _mm512_add_epi64(addr, _mm512_set1_epi64((long long)v->to_host));
	return _mm512_mask_cmple_epu64_mask(in, len, _mm512_sub_epi64(size, off));
}

#define WIDE_LEN   0x00000000ffffffffll
#define WIDE_FLAGS 0x0000ffff00000000ll

// As flat_sources(): eight chains from the i-th on, false (nothing written) if any is not common.
static inline bool wide_sources(
	const struct view *v, uint32_t i, uint16_t *taken, const uint8_t **at, uint32_t *len)
{
	const __m512i hdr = _mm512_set1_epi64(v->hdr_len);
	const __m512i shortest = _mm512_set1_epi64(v->hdr_len + FRAME_LEN_MIN);
	const __m512i span = _mm512_set1_epi64(FRAME_LEN_MAX - FRAME_LEN_MIN);
	__m512i addr, meta, lens, where;
	__m128i heads;
	__mmask8 ok;

	if (!wide_descs(v, i, &heads, &addr, &meta))
		return false;
	lens = _mm512_and_si512(meta, _mm512_set1_epi64(WIDE_LEN));
	ok = wide_at(v, addr, lens, &where);
	ok = _mm512_mask_testn_epi64_mask(ok, meta, _mm512_set1_epi64(WIDE_FLAGS));
	ok = _mm512_mask_cmple_epu64_mask(ok, _mm512_sub_epi64(lens, shortest), span);
	if (__builtin_expect(ok != 0xff, 0))
		return false;
	_mm_storeu_si128((__m128i *)(void *)&taken[i], heads);
	_mm512_storeu_si512((void *)&at[i], where);
	_mm256_storeu_si256(
		(__m256i *)(void *)&len[i], _mm512_cvtepi64_epi32(_mm512_sub_epi64(lens, hdr)));
	return true;
}

// As flat_targets(): eight chains from the i-th on that hold `need` bytes each, false (nothing
// written) if any is not common or holds less.
static inline bool wide_targets(
	const struct view *v, uint32_t i, uint32_t need, uint16_t *heads, uint8_t **to)
{
	const __m512i need8 = _mm512_set1_epi64(need);
	const __m512i writable = _mm512_set1_epi64((long long)VRING_DESC_F_WRITE << 32);
	__m512i addr, meta, where;
	__m128i h;
	__mmask8 ok;

	if (!wide_descs(v, i, &h, &addr, &meta))
		return false;
	ok = wide_at(v, addr, need8, &where);
	ok = _mm512_mask_cmpeq_epi64_mask(
		ok, _mm512_and_si512(meta, _mm512_set1_epi64(WIDE_FLAGS)), writable);
	ok = _mm512_mask_cmpge_epu64_mask(
		ok, _mm512_and_si512(meta, _mm512_set1_epi64(WIDE_LEN)), need8);
	if (__builtin_expect(ok != 0xff, 0))
		return false;
	_mm_storeu_si128((__m128i *)(void *)&heads[i], h);
	_mm512_storeu_si512((void *)&to[i], where);
	return true;
}

// Eight used elements, unless they stand there already; len NULL: `all` in each.
static inline void wide_used(
	struct vring_used_elem *slot, const uint16_t *heads, const uint32_t *len, uint32_t all)
{
	__m512i e = _mm512_cvtepu16_epi64(_mm_loadu_si128((const __m128i *)(const void *)heads));

	if (len)
		e = _mm512_or_si512(
			e, _mm512_slli_epi64(_mm512_cvtepu32_epi64(_mm256_loadu_si256(
						     (const __m256i *)(const void *)len)),
				   32));
	else
		e = _mm512_or_si512(e, _mm512_set1_epi64((long long)((uint64_t)all << 32)));
	if (_mm512_cmpneq_epi64_mask(e, _mm512_loadu_si512(slot)))
		_mm512_storeu_si512(slot, e);
}
