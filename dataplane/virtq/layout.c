// SPDX-License-Identifier: BSD-2-Clause
// Computes offsets of the areas of N queues, every sum checked.
#include "dataplane/virtq/layout.h"

#include <errno.h>

// Adds n to *sum and rounds up to align (a power of two); false when that overflows.
static bool add_aligned(uint64_t *sum, uint64_t n, uint64_t align)
{
	uint64_t s;

	if (__builtin_add_overflow(*sum, n, &s) || __builtin_add_overflow(s, align - 1, &s))
		return false;
	s &= ~(align - 1);
	*sum = s;
	return true;
}

int vq_layout_init(struct vq_layout *l, uint32_t n_queues, uint32_t size, uint64_t data_size,
	uint32_t used_align)
{
	uint64_t align = used_align ? used_align : VQ_CACHE_LINE;
	struct vq_layout t = {.n_queues = n_queues, .size = size, .data_size = data_size};
	uint64_t data_bytes, at = 0;

	if (!n_queues || !vq_size_is_valid(size))
		return -EINVAL;
	if (align < VQ_DESC_ALIGN || (align & (align - 1)))
		return -EINVAL;
	if (__builtin_mul_overflow(data_size, (uint64_t)size, &data_bytes))
		return -EOVERFLOW;
	at = t.avail = vq_desc_bytes(size); // a multiple of 16, so of VQ_AVAIL_ALIGN
	if (!add_aligned(&at, vq_avail_bytes(size), align))
		return -EOVERFLOW;
	t.used = at;
	if (!add_aligned(&at, vq_used_bytes(size), data_size ? VQ_DATA_ALIGN : align))
		return -EOVERFLOW;
	t.data = at;
	if (!add_aligned(&at, data_bytes, align))
		return -EOVERFLOW;
	t.end = at;
	if (__builtin_mul_overflow(t.end, (uint64_t)n_queues, &t.total) || t.total > INT64_MAX)
		return -EOVERFLOW;
	*l = t;
	return 0;
}

// Offset of element i of n, each elem bytes, in the area that starts at area in a queue.
static int element(const struct vq_layout *l, uint32_t queue, uint64_t area, uint64_t elem,
	uint32_t i, uint32_t n, uint64_t *off)
{
	if (queue >= l->n_queues || i >= n)
		return -ERANGE;
	*off = queue * l->end + area + i * elem;
	return 0;
}

int vq_layout_desc(const struct vq_layout *l, uint32_t queue, uint32_t i, uint64_t *off)
{
	return element(l, queue, 0, 16, i, l->size, off);
}

int vq_layout_avail(const struct vq_layout *l, uint32_t queue, uint64_t *off)
{
	return element(l, queue, l->avail, 0, 0, 1, off);
}

int vq_layout_used(const struct vq_layout *l, uint32_t queue, uint64_t *off)
{
	return element(l, queue, l->used, 0, 0, 1, off);
}

int vq_layout_used_elem(const struct vq_layout *l, uint32_t queue, uint32_t i, uint64_t *off)
{
	return element(l, queue, l->used + 4, 8, i, l->size, off);
}

int vq_layout_used_event(const struct vq_layout *l, uint32_t queue, uint64_t *off)
{
	return element(l, queue, l->avail + vq_avail_bytes(l->size) - 2, 0, 0, 1, off);
}

int vq_layout_avail_event(const struct vq_layout *l, uint32_t queue, uint64_t *off)
{
	return element(l, queue, l->used + vq_used_bytes(l->size) - 2, 0, 0, 1, off);
}

int vq_layout_data(const struct vq_layout *l, uint32_t queue, uint32_t i, uint64_t *off)
{
	return element(l, queue, l->data, l->data_size, i, l->data_size ? l->size : 0, off);
}
