// SPDX-License-Identifier: BSD-2-Clause
// A driver and a device on one queue in one piece of memory: what most tests of the library start
// from.
#pragma once

#include <assert.h>
#include <stdlib.h>
#include "dataplane/virtq/device.h"
#include "dataplane/virtq/driver.h"

#define PAIR_GPA  0x100000000ull // over 2^32, so that a lost high half shows
#define PAIR_DATA 0x10000        // bytes for buffers behind the queue

struct pair {
	struct vq_layout layout;
	struct guestmem mem;
	struct guestmem_cache cache;
	struct vq_driver drv;
	struct vq_device dev;
	uint8_t *ram;
	uint64_t data_gpa; // PAIR_DATA bytes
};

// The addresses reach the device as a transport passes them on: in halves.
static inline void pair_set_addresses(struct pair *p)
{
	vq_device_set_desc_low(&p->dev, (uint32_t)vq_driver_desc_gpa(&p->drv));
	vq_device_set_desc_high(&p->dev, (uint32_t)(vq_driver_desc_gpa(&p->drv) >> 32));
	vq_device_set_avail_low(&p->dev, (uint32_t)vq_driver_avail_gpa(&p->drv));
	vq_device_set_avail_high(&p->dev, (uint32_t)(vq_driver_avail_gpa(&p->drv) >> 32));
	vq_device_set_used_low(&p->dev, (uint32_t)vq_driver_used_gpa(&p->drv));
	vq_device_set_used_high(&p->dev, (uint32_t)(vq_driver_used_gpa(&p->drv) >> 32));
}

static inline void pair_init(struct pair *p, uint16_t size, bool event_idx)
{
	int err;

	memset(p, 0, sizeof(*p));
	err = vq_layout_init(&p->layout, 1, size, 0, 0);
	assert(!err);
	p->ram = aligned_alloc(4096, (p->layout.total + PAIR_DATA + 4095) & ~4095ull);
	assert(p->ram);
	memset(p->ram, 0xa5, p->layout.total + PAIR_DATA);
	p->data_gpa = PAIR_GPA + p->layout.total;
	guestmem_init(&p->mem);
	err = guestmem_add(&p->mem, PAIR_GPA, p->layout.total + PAIR_DATA, p->ram, 0);
	assert(!err);
	err = vq_driver_init(&p->drv, &p->layout, 0, p->ram, PAIR_GPA, event_idx);
	assert(!err);
	err = vq_device_init(&p->dev, size);
	assert(!err);
	vq_device_set_event_idx(&p->dev, event_idx);
	pair_set_addresses(p);
	vq_device_set_ready(&p->dev, true);
	err = vq_device_map(&p->dev, &p->mem);
	assert(!err);
	(void)err;
}

static inline void pair_fini(struct pair *p)
{
	vq_driver_fini(&p->drv);
	free(p->ram);
}

// Moves both sides, which are idle, to index i: as after i chains.
static inline void pair_set_index(struct pair *p, uint16_t i)
{
	struct vq_driver *d = &p->drv;

	d->next_avail = d->published = d->kicked = d->next_used = d->used_idx = i;
	d->avail->idx = i;
	d->used->idx = i;
	vq_device_set_next(&p->dev, i, i);
	vq_device_notify_invalidate(&p->dev);
	p->dev.avail_idx = i;
}

// The driver offers a chain of one descriptor; returns its head.
static inline uint16_t pair_offer(struct pair *p, uint64_t offset, uint32_t len, bool writable)
{
	struct vring_desc d = {p->data_gpa + offset, len, writable ? VRING_DESC_F_WRITE : 0, 0};
	int head = vq_driver_write_chain(&p->drv, &d, 1);

	assert(head >= 0);
	if (!vq_driver_push(&p->drv, (uint16_t)head))
		assert(!"the ring is full");
	vq_driver_publish(&p->drv);
	return (uint16_t)head;
}

// The device gives chain id back and publishes.
static inline void pair_give_back(struct pair *p, uint16_t id, uint32_t len)
{
	vq_device_used(&p->dev, 0, id, len);
	vq_device_add(&p->dev, 1);
	vq_device_publish(&p->dev);
}
