// SPDX-License-Identifier: BSD-2-Clause
// Used elements by runs: those of a burst that is given back, and those of one that is delivered.
//
// A part of vhost_burst.c.
#pragma once

#include "dataplane/port/vhost_copy.h"

#include <string.h>

// Writes a used element, unless its slot holds these bytes already: a guest that offers its buffers
// in the same order again and again keeps the ring's cache lines, and so do we.
static inline void put_used(struct vring_used_elem *slot, uint16_t id, uint32_t len)
{
	const uint64_t e = id | (uint64_t)len << 32;
	uint64_t old;

	memcpy(&old, slot, sizeof(old));
	if (old != e)
		memcpy(slot, &e, sizeof(e));
}

// Writes n used elements to slots that follow one another; len NULL: `all` in each.
static inline void put_used_run(struct vring_used_elem *slot, uint32_t n, const uint16_t *heads,
	const uint32_t *len, uint32_t all)
{
	uint32_t i = 0;

	for (; i + WIDE <= n; i += WIDE)
		wide_used(&slot[i], &heads[i], len ? &len[i] : NULL, all);
	for (; i < n; i++)
		put_used(&slot[i], heads[i], len ? len[i] : all);
}

// Writes the next n <= FRAME_BURST used elements; len NULL: `all` in each.
static inline void put_used_all(
	struct vhost_ring *r, uint32_t n, const uint16_t *heads, const uint32_t *len, uint32_t all)
{
	struct vring_used_elem *used = r->vq.ring.used->ring;
	uint32_t slot = r->vq.ring.next & (r->vq.size - 1u), run;

	for (uint32_t i = 0; i < n; i += run, slot = 0) {
		run = r->vq.size - slot < n - i ? r->vq.size - slot : n - i;
		put_used_run(&used[slot], run, &heads[i], len ? &len[i] : NULL, all);
	}
}
