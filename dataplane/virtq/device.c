// SPDX-License-Identifier: BSD-2-Clause
// The device side's cold half: what a transport sets, resolving addresses, save and restore,
// popping one walked chain.
#include "dataplane/virtq/device.h"

#include <errno.h>
#include "dataplane/virtq/layout.h"

int vq_device_init(struct vq_device *q, uint16_t max_size)
{
	if (!vq_size_is_valid(max_size))
		return -EINVAL;
	memset(q, 0, sizeof(*q));
	q->cfg.max_size = q->cfg.size = max_size;
	return 0;
}

void vq_device_reset(struct vq_device *q)
{
	uint16_t max_size = q->cfg.max_size;

	memset(q, 0, sizeof(*q));
	q->cfg.max_size = q->cfg.size = max_size;
}

int vq_device_set_max_size(struct vq_device *q, uint16_t max_size)
{
	if (!vq_size_is_valid(max_size))
		return -EINVAL;
	q->cfg.max_size = max_size;
	if (q->cfg.size > max_size)
		q->cfg.size = max_size;
	return 0;
}

int vq_device_set_size(struct vq_device *q, uint16_t size)
{
	if (!vq_size_is_valid(size) || size > q->cfg.max_size)
		return -EINVAL;
	q->cfg.size = size;
	return 0;
}

void vq_device_set_ready(struct vq_device *q, bool ready)
{
	q->cfg.ready = ready;
}

void vq_device_set_event_idx(struct vq_device *q, bool event_idx)
{
	q->cfg.event_idx = event_idx;
}

static void set_low(uint64_t *addr, uint32_t v)
{
	*addr = (*addr & ~0xffffffffull) | v;
}

static void set_high(uint64_t *addr, uint32_t v)
{
	*addr = (*addr & 0xffffffffull) | (uint64_t)v << 32;
}

void vq_device_set_desc_low(struct vq_device *q, uint32_t v)
{
	set_low(&q->cfg.desc, v);
}

void vq_device_set_desc_high(struct vq_device *q, uint32_t v)
{
	set_high(&q->cfg.desc, v);
}

void vq_device_set_avail_low(struct vq_device *q, uint32_t v)
{
	set_low(&q->cfg.avail, v);
}

void vq_device_set_avail_high(struct vq_device *q, uint32_t v)
{
	set_high(&q->cfg.avail, v);
}

void vq_device_set_used_low(struct vq_device *q, uint32_t v)
{
	set_low(&q->cfg.used, v);
}

void vq_device_set_used_high(struct vq_device *q, uint32_t v)
{
	set_high(&q->cfg.used, v);
}

// The three areas as host pointers.
struct areas {
	void *desc, *avail, *used;
};

static int resolve(const struct vq_device *q, const struct guestmem *m, struct areas *a)
{
	struct guestmem_cache c = {0};
	uint16_t size = q->cfg.size;

	if (!q->cfg.ready || !vq_size_is_valid(size))
		return -EINVAL;
	if (q->cfg.desc % VQ_DESC_ALIGN || q->cfg.avail % VQ_AVAIL_ALIGN ||
		q->cfg.used % VQ_USED_ALIGN)
		return -EINVAL;
	a->desc = guestmem_at(m, &c, q->cfg.desc, vq_desc_bytes(size));
	a->avail = guestmem_at(m, &c, q->cfg.avail, vq_avail_bytes(size));
	a->used = guestmem_at(m, &c, q->cfg.used, vq_used_bytes(size));
	return a->desc && a->avail && a->used ? 0 : -EFAULT;
}

bool vq_device_is_valid(const struct vq_device *q, const struct guestmem *m)
{
	struct areas a;

	return !resolve(q, m, &a);
}

// Sets the pointers. A misaligned mapping is as bad as a misaligned address: 16-bit accesses would
// not be single.
static int attach(struct vq_device *q, const struct areas *a, uint16_t size)
{
	struct vq_used_ring r;

	vq_used_ring_init(&r, a->used, a->avail, size, q->ring.next, q->cfg.event_idx);
	if (!vq_used_ring_is_valid(&r) || !a->desc || (uintptr_t)a->desc % VQ_DESC_ALIGN)
		return -EINVAL;
	q->ring = r;
	q->desc = a->desc;
	q->size = size;
	q->avail_idx = q->next_avail;
	q->cfg.mapped = true;
	return 0;
}

int vq_device_map(struct vq_device *q, const struct guestmem *m)
{
	struct areas a;
	int err = resolve(q, m, &a);

	return err ? err : attach(q, &a, q->cfg.size);
}

int vq_device_set_rings(struct vq_device *q, uint16_t size, struct vring_desc *desc,
	struct vring_avail *avail, struct vring_used *used)
{
	struct areas a = {desc, avail, used};
	int err;

	if (size > q->cfg.max_size)
		return -EINVAL;
	err = attach(q, &a, size);
	if (err)
		return err;
	q->cfg.size = size;
	q->cfg.ready = true;
	return 0;
}

void vq_device_unmap(struct vq_device *q)
{
	q->ring.used = NULL;
	q->ring.avail = NULL;
	q->desc = NULL;
	q->cfg.mapped = false;
	q->cfg.ready = false;
}

void vq_device_save(const struct vq_device *q, struct vq_device_state *s)
{
	*s = (struct vq_device_state){
		.desc = q->cfg.desc,
		.avail = q->cfg.avail,
		.used = q->cfg.used,
		.max_size = q->cfg.max_size,
		.size = q->cfg.size,
		.next_avail = q->next_avail,
		.next_used = q->ring.next,
		.ready = q->cfg.ready,
		.event_idx = q->cfg.event_idx,
	};
}

int vq_device_restore(struct vq_device *q, const struct vq_device_state *s)
{
	if (!vq_size_is_valid(s->max_size) || !vq_size_is_valid(s->size) || s->size > s->max_size)
		return -EINVAL;
	if ((uint16_t)(s->next_avail - s->next_used) > s->size)
		return -EINVAL;
	memset(q, 0, sizeof(*q));
	q->cfg.desc = s->desc;
	q->cfg.avail = s->avail;
	q->cfg.used = s->used;
	q->cfg.max_size = s->max_size;
	q->cfg.size = s->size;
	q->cfg.ready = s->ready;
	q->cfg.event_idx = s->event_idx;
	vq_device_set_next(q, s->next_avail, s->next_used);
	return 0;
}

void vq_device_set_next(struct vq_device *q, uint16_t next_avail, uint16_t next_used)
{
	q->next_avail = q->avail_idx = next_avail;
	q->ring.next = q->ring.published = q->ring.notified = next_used;
	q->ring.notified_valid = false;
}

int vq_device_pop_chain(struct vq_device *q, const struct guestmem *m, struct guestmem_cache *c,
	uint16_t max_indirect, struct vq_seg *segs, unsigned max, struct vq_chain *chain)
{
	struct vq_table t = {q->desc, q->size, max_indirect};
	uint16_t head;
	int err;

	if (!vq_device_pop_burst(q, &head, 1))
		return q->broken ? -EBADMSG : 0;
	err = vq_chain_walk(&t, m, c, head, segs, max, chain);
	if (err)
		*chain = (struct vq_chain){.head = head};
	return err ? err : 1;
}
