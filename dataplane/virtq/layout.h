// SPDX-License-Identifier: BSD-2-Clause
// Where the areas of N split queues lie in memory, with room for the driver's data of each request.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include "dataplane/virtq/ring.h"

// Alignments that virtio 1.2, 2.7 asks for; a legacy queue has its used ring on a page of its own
// (2.7.2).
#define VQ_DESC_ALIGN   16u
#define VQ_AVAIL_ALIGN  2u
#define VQ_USED_ALIGN   4u
#define VQ_DATA_ALIGN   VQ_CACHE_LINE
#define VQ_LEGACY_ALIGN 4096u

// Bytes of each area of a queue of a size, the two event fields included (virtio 1.2, 2.7).
static inline uint64_t vq_desc_bytes(uint32_t size)
{
	return 16ull * size;
}

static inline uint64_t vq_avail_bytes(uint32_t size)
{
	return 6 + 2ull * size;
}

static inline uint64_t vq_used_bytes(uint32_t size)
{
	return 6 + 8ull * size;
}

// Whether size can be a Queue Size: a power of two from 1 to 32768.
static inline bool vq_size_is_valid(uint32_t size)
{
	return size && size <= VQ_MAX_SIZE && !(size & (size - 1));
}

// Offsets of one queue from its start (the descriptor table is at 0), and how far apart the queues
// are.
struct vq_layout {
	uint32_t n_queues, size;
	uint64_t data_size; // the driver's bytes per request
	uint64_t avail;     // available ring
	uint64_t used;      // used ring
	uint64_t data;      // request data, size * data_size bytes; == end without any
	uint64_t end;       // end of one queue = the next one's start
	uint64_t total;     // of all queues
};

// Lays out n_queues queues of size. used_align is the alignment of the used ring, of each queue's
// start and its end: a power of two, at least 16; 0 means a cache line, VQ_LEGACY_ALIGN makes it a
// legacy queue. Queues are thus never in one cache line. -EINVAL: no queue, a bad size or
// alignment; -EOVERFLOW: a sum over 2^63 - 1. On failure *l is untouched.
int vq_layout_init(struct vq_layout *l, uint32_t n_queues, uint32_t size, uint64_t data_size,
	uint32_t used_align);

// Offsets from the start of the memory of all queues. Each is 0 or -ERANGE, *off untouched, when
// the queue or the index is out of range.
int vq_layout_desc(const struct vq_layout *l, uint32_t queue, uint32_t i, uint64_t *off);
int vq_layout_avail(const struct vq_layout *l, uint32_t queue, uint64_t *off);
int vq_layout_used(const struct vq_layout *l, uint32_t queue, uint64_t *off);
int vq_layout_used_elem(const struct vq_layout *l, uint32_t queue, uint32_t i, uint64_t *off);
int vq_layout_used_event(const struct vq_layout *l, uint32_t queue, uint64_t *off);
int vq_layout_avail_event(const struct vq_layout *l, uint32_t queue, uint64_t *off);
int vq_layout_data(const struct vq_layout *l, uint32_t queue, uint32_t i, uint64_t *off);
