// SPDX-License-Identifier: BSD-2-Clause
// Copies between our memory and a guest's, with exact bounds, and the fetching ahead that goes with
// them.
//
// A part of vhost_burst.c, and so compiled once per instruction set.
#pragma once

#include "dataplane/port/vhost_head16.h"

#ifdef __AVX512BW__
#include "dataplane/port/vhost_avx512.h"
#elif defined(__AVX2__)
#include "dataplane/port/vhost_avx2.h"
#else
#include "dataplane/port/vhost_narrow.h"
#endif

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// Bytes behind a frame's head that are fetched while frames before it are copied.
#define BODY_FETCH 2048u

// Fetches what is `off` behind p. p may be NULL, which is no fault, but adding to it as a pointer
// would be undefined.
static inline void fetch(const void *p, size_t off)
{
	__builtin_prefetch((const void *)((uintptr_t)p + off));
}

// The same; the line will be written.
static inline void fetch_for_write(const void *p, size_t off)
{
	p = (const void *)((uintptr_t)p + off);
#ifdef __x86_64__
	__asm__ volatile("prefetchw %0" ::"m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

// 32 bytes in registers: as an array they would be written to the stack on the way.
struct half64 {
#ifdef __AVX2__
	__m256i v;
#else
	uint64_t v[4];
#endif
};

static inline struct half64 half64_load(const uint8_t *p)
{
	struct half64 h;

#ifdef __AVX2__
	h.v = _mm256_loadu_si256((const __m256i *)(const void *)p);
#else
	memcpy(&h.v, p, sizeof(h.v));
#endif
	return h;
}

static inline void half64_store(uint8_t *p, struct half64 h)
{
#ifdef __AVX2__
	_mm256_storeu_si256((__m256i *)(void *)p, h.v);
#else
	memcpy(p, &h.v, sizeof(h.v));
#endif
}

static inline void copy32(uint8_t *to, const uint8_t *from)
{
	half64_store(to, half64_load(from));
}

// Copies n <= 64 bytes.
static inline void copy_upto64(uint8_t *to, const uint8_t *from, uint32_t n)
{
#ifdef __AVX512BW__
	__mmask64 mask = _bzhi_u64(~UINT64_C(0), n);

	_mm512_mask_storeu_epi8(to, mask, _mm512_maskz_loadu_epi8(mask, from));
#else
	if (n >= 32) { // two halves that overlap in the middle
		const struct half64 a = half64_load(from), b = half64_load(from + n - 32);
		half64_store(to, a);
		half64_store(to + n - 32, b);
	} else if (n >= 16) {
		uint8_t a[16], b[16];
		memcpy(a, from, 16);
		memcpy(b, from + n - 16, 16);
		memcpy(to, a, 16);
		memcpy(to + n - 16, b, 16);
	} else if (n >= 8) {
		uint64_t a, b;
		memcpy(&a, from, 8);
		memcpy(&b, from + n - 8, 8);
		memcpy(to, &a, 8);
		memcpy(to + n - 8, &b, 8);
	} else {
		for (uint32_t i = 0; i < n; i++)
			to[i] = from[i];
	}
#endif
}

static inline void copy_body(uint8_t *to, const uint8_t *from, uint32_t n)
{
#ifdef __AVX512BW__
	while (n >= 256) {
		__m512i a = _mm512_loadu_si512(from);
		__m512i b = _mm512_loadu_si512(from + 64);
		__m512i c = _mm512_loadu_si512(from + 128);
		__m512i d = _mm512_loadu_si512(from + 192);
		_mm512_storeu_si512(to, a);
		_mm512_storeu_si512(to + 64, b);
		_mm512_storeu_si512(to + 128, c);
		_mm512_storeu_si512(to + 192, d);
		from += 256;
		to += 256;
		n -= 256;
	}
	while (n > 64) {
		_mm512_storeu_si512(to, _mm512_loadu_si512(from));
		from += 64;
		to += 64;
		n -= 64;
	}
	copy_upto64(to, from, n);
#else
	memcpy(to, from, n);
#endif
}

// Copies the head of a frame, n <= 32 bytes, into our own memory; returns its first 16 bytes (beyond its end whatever
// is there) without reading them anew.
static inline struct head16 head_copy(uint8_t *to, const uint8_t *from, uint32_t n)
{
#ifdef __AVX2__
	if (likely(n == 32)) {
		const struct half64 h = half64_load(from);
		half64_store(to, h);
		return (struct head16){_mm256_castsi256_si128(h.v)};
	}
#endif
	copy_upto64(to, from, n);
	return head16_load(to);
}
