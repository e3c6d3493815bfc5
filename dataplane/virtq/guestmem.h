// SPDX-License-Identifier: BSD-2-Clause
// Guest memory: a table of regions that turns guest physical ranges into host pointers, and never
// past an end.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define GUESTMEM_MAX_REGIONS 32

// Guest physical [gpa, gpa + size) is mapped at hva; file_offset is where the region starts in its
// file.
struct guestmem_region {
	uint64_t gpa, size;
	uint8_t *hva;
	uint64_t file_offset;
};

// Sorted by gpa, without overlaps. Built by one thread; afterwards read-only and free for all to
// read.
struct guestmem {
	uint32_t n;
	struct guestmem_region regions[GUESTMEM_MAX_REGIONS];
};

// The region of the last hit. Private to one user (a queue, a thread). Zeroed is valid: it misses.
// It must be cleared (guestmem_cache_clear) when the table it was filled from goes away.
struct guestmem_cache {
	uint64_t gpa, size;
	uint8_t *hva;
};

// A piece of guest memory as the host sees it. 12 bytes.
struct vq_seg {
	uint32_t len;
	uint8_t *base;
} __attribute__((packed, aligned(4)));

void guestmem_init(struct guestmem *m);

// Adds a region. -EINVAL: size 0, hva NULL, or an end that wraps (guest, host or file side);
// -EEXIST: overlaps a guest range already there; -ENOSPC: the table is full.
int guestmem_add(struct guestmem *m, uint64_t gpa, uint64_t size, void *hva, uint64_t file_offset);

// The region that holds gpa, or NULL.
const struct guestmem_region *guestmem_find(const struct guestmem *m, uint64_t gpa);

// Where in its region's file the byte at gpa lies: 0, or -EFAULT when gpa is outside memory.
int guestmem_file_offset(const struct guestmem *m, uint64_t gpa, uint64_t *offset);

// Host pointer of [gpa, gpa + len), which must lie inside one region; NULL otherwise. The
// out-of-line half of guestmem_at(): looks the region up and makes it the cached one.
uint8_t *guestmem_at_miss(
	const struct guestmem *m, struct guestmem_cache *c, uint64_t gpa, uint64_t len);

// Cuts [gpa, gpa + len) into at most max segments over regions adjacent in guest memory. Returns
// how many (0 for len 0 at an address inside memory), -EFAULT when a byte is outside memory or the
// range wraps, -ENOSPC when max is too small. Segments are at most 2^31 bytes, so that lengths fit.
// On failure segs holds scratch.
int guestmem_split(const struct guestmem *m, struct guestmem_cache *c, uint64_t gpa, uint64_t len,
	struct vq_seg *segs, unsigned max);

static inline void guestmem_cache_clear(struct guestmem_cache *c)
{
	c->gpa = 0;
	c->size = 0;
	c->hva = NULL;
}

// Host pointer of [gpa, gpa + len), NULL if not inside one region. No sum can overflow: the offset
// is compared with the region's size first, then the length with what is left.
static inline uint8_t *guestmem_at(
	const struct guestmem *m, struct guestmem_cache *c, uint64_t gpa, uint64_t len)
{
	uint64_t off = gpa - c->gpa;

	if (__builtin_expect(off < c->size && len <= c->size - off, 1))
		return c->hva + off;
	return guestmem_at_miss(m, c, gpa, len);
}
