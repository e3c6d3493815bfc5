// SPDX-License-Identifier: BSD-2-Clause
// The driver side's cold half and reaping: memory of a queue, the free list of descriptors, checks
// of used elements.
#include "dataplane/virtq/driver.h"

#include <errno.h>
#include <stdlib.h>

// One allocation holds the four private arrays.
static int alloc_private(struct vq_driver *q, uint32_t size)
{
	size_t each = sizeof(*q->shadow) + sizeof(*q->writable) + sizeof(*q->avail_shadow) +
		      sizeof(*q->in_flight);
	uint8_t *p = calloc(size, each);

	if (!p)
		return -ENOMEM;
	q->priv = p;
	q->shadow = (void *)p;
	p += size * sizeof(*q->shadow);
	q->writable = (void *)p;
	p += size * sizeof(*q->writable);
	q->avail_shadow = (void *)p;
	p += size * sizeof(*q->avail_shadow);
	q->in_flight = p;
	return 0;
}

int vq_driver_init(struct vq_driver *q, const struct vq_layout *l, uint32_t queue, void *mem,
	uint64_t gpa, bool event_idx)
{
	uint64_t start = queue * l->end;
	uint8_t *base = mem;
	int err;

	if (queue >= l->n_queues || (uintptr_t)mem % VQ_DESC_ALIGN || gpa % VQ_DESC_ALIGN ||
		gpa + l->total < gpa)
		return -EINVAL;
	memset(q, 0, sizeof(*q));
	err = alloc_private(q, l->size);
	if (err)
		return err;
	memset(base + start, 0, l->end);
	q->desc = (void *)(base + start);
	q->avail = (void *)(base + start + l->avail);
	q->used = (void *)(base + start + l->used);
	q->desc_gpa = gpa + start;
	q->avail_gpa = gpa + start + l->avail;
	q->used_gpa = gpa + start + l->used;
	q->size = (uint16_t)l->size;
	q->event_idx = event_idx;
	for (uint32_t i = 0; i < l->size; i++) {
		q->shadow[i].next = (uint16_t)(i + 1 < l->size ? i + 1 : VQ_NONE);
		q->avail_shadow[i] = VQ_NONE;
	}
	q->n_free = (uint16_t)l->size;
	return 0;
}

void vq_driver_fini(struct vq_driver *q)
{
	if (!q)
		return;
	free(q->priv);
	memset(q, 0, sizeof(*q));
}

int vq_driver_alloc(struct vq_driver *q)
{
	uint16_t id = q->first_free;

	if (!q->n_free)
		return -ENOSPC;
	q->first_free = q->shadow[id].next;
	q->n_free--;
	q->shadow[id] = (struct vring_desc){0};
	q->writable[id] = 0;
	return id;
}

int vq_driver_free_chain(struct vq_driver *q, uint16_t head)
{
	uint16_t id = head;

	if (head >= q->size)
		return -EINVAL;
	if (q->in_flight[head])
		return -EBUSY;
	for (;;) {
		uint16_t next = q->shadow[id].next;
		bool more = q->shadow[id].flags & VRING_DESC_F_NEXT;

		q->shadow[id] = (struct vring_desc){.next = q->first_free};
		q->first_free = id;
		q->n_free++;
		if (!more)
			return 0;
		id = next;
	}
}

static void write_desc(struct vq_driver *q, uint16_t id, struct vring_desc d, uint64_t writable)
{
	q->shadow[id] = d;
	q->writable[id] = writable;
	vq_desc_store(&q->desc[id], d);
}

void vq_driver_write_desc(
	struct vq_driver *q, uint16_t id, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	write_desc(q, id, (struct vring_desc){gpa, len, flags, next},
		flags & VRING_DESC_F_WRITE ? len : 0);
}

void vq_driver_write_indirect(
	struct vq_driver *q, uint16_t id, uint64_t table_gpa, uint16_t n, uint64_t writable)
{
	struct vring_desc d = {table_gpa, n * 16u, VRING_DESC_F_INDIRECT, 0};

	write_desc(q, id, d, writable);
}

int vq_driver_write_chain(struct vq_driver *q, const struct vring_desc *bufs, unsigned n)
{
	int head = -1, id, next;

	if (!n)
		return -EINVAL;
	if (n > q->n_free)
		return -ENOSPC;
	head = id = vq_driver_alloc(q);
	for (unsigned i = 0; i < n; i++, id = next) {
		uint16_t flags = bufs[i].flags & (uint16_t)~VRING_DESC_F_NEXT;

		next = i + 1 < n ? vq_driver_alloc(q) : 0;
		if (i + 1 < n)
			flags |= VRING_DESC_F_NEXT;
		vq_driver_write_desc(
			q, (uint16_t)id, bufs[i].addr, bufs[i].len, flags, (uint16_t)next);
	}
	return head;
}

uint64_t vq_driver_writable_len(const struct vq_driver *q, uint16_t head)
{
	uint64_t sum = q->writable[head];
	uint16_t id = head;

	for (unsigned seen = 1; seen < q->size && (q->shadow[id].flags & VRING_DESC_F_NEXT);
		seen++) {
		id = q->shadow[id].next;
		sum += q->writable[id];
	}
	return sum;
}

unsigned vq_driver_reap_burst(struct vq_driver *q, struct vq_reaped *out, unsigned max)
{
	unsigned n = (uint16_t)(q->used_idx - q->next_used), i;

	if (n < max)
		n = vq_driver_used_pending(q);
	if (n > max)
		n = max;
	for (i = 0; i < n; i++) {
		struct vring_used_elem e = vq_driver_peek_used(q, i);
		uint32_t id = e.id, len = e.len;

		if (vq_unlikely(id >= q->size || !q->in_flight[id]))
			break;
		if (len) {
			uint64_t max_len = vq_driver_writable_len(q, (uint16_t)id);

			if (vq_unlikely(len > max_len)) {
				len = (uint32_t)max_len;
				q->n_bad_len++;
			}
		}
		q->in_flight[id] = 0;
		out[i] = (struct vq_reaped){(uint16_t)id, len};
	}
	q->next_used = (uint16_t)(q->next_used + i);
	if (vq_unlikely(i < n))
		vq_driver_break(q);
	return i;
}
