// SPDX-License-Identifier: BSD-2-Clause
// A ring as the loops over a burst see it: in locals, and with the region of the last hit at hand.
//
// A part of vhost_burst.c.
#pragma once

#include "dataplane/port/vhost_ring.h"

#include <string.h>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

// The ring as the loops see it: in locals, so that no store to guest memory makes them be read
// again.
struct view {
	const struct vring_desc *desc;
	const uint16_t *avail;
	uint64_t gpa, size; // the region of the last hit
	uint64_t to_host;   // added to an address of the guest in there, gives ours
	uint32_t mask, next, hdr_len, ahead;
};

static inline struct view view_of(const struct vhost_ring *r)
{
	return (struct view){
		.desc = r->vq.desc,
		.avail = r->vq.ring.avail->ring,
		.gpa = r->cache.gpa,
		.size = r->cache.size,
		.to_host = (uintptr_t)r->cache.hva - r->cache.gpa,
		.mask = r->vq.size - 1u,
		.next = r->vq.next_avail,
		.hdr_len = r->hdr_len,
		.ahead = r->ahead,
	};
}

static inline uint16_t view_head(const struct view *v, uint32_t i)
{
	return vq_load16(&v->avail[(v->next + i) & v->mask]);
}

// Whether [addr, addr + len) lies in the region of the last hit.
static inline bool view_hit(const struct view *v, uint64_t addr, uint32_t len)
{
	uint64_t off = addr - v->gpa;

	return off < v->size && len <= v->size - off;
}

// Looks another region up and makes it the view's.
static __attribute__((noinline)) uint8_t *view_miss(
	struct vhost_ring *r, struct guestmem_cache *c, uint64_t addr, uint32_t len)
{
	uint8_t *p = guestmem_at(r->mem, &r->cache, addr, len);

	*c = r->cache;
	return p;
}

static inline uint8_t *view_at(struct vhost_ring *r, struct view *v, uint64_t addr, uint32_t len)
{
	if (likely(view_hit(v, addr, len)))
		return (uint8_t *)(uintptr_t)(addr + v->to_host);
	struct guestmem_cache c;
	uint8_t *p = view_miss(r, &c, addr, len);

	v->gpa = c.gpa;
	v->size = c.size;
	v->to_host = (uintptr_t)c.hva - c.gpa;
	return p;
}

#ifdef __AVX2__

// Eight entries of the available ring, or whatever the guest may rewrite: read once.
static inline __m128i wide_load16(const void *p)
{
	__m128i v;

	__asm__ volatile("vmovdqu %1, %0" : "=x"(v) : "m"(*(const char(*)[16])p));
	return v;
}

#endif
