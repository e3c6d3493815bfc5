// SPDX-License-Identifier: BSD-2-Clause
// The used ring by itself: elements, the index, and whether to notify. The device side is built on
// it; who drives a used ring directly can use it alone.
#pragma once

#include <stddef.h>
#include "dataplane/virtq/notify.h"

// Our side of a used ring. One thread uses it. The memory at used is written by us and read by the
// driver; that at avail is written by the driver.
struct vq_used_ring {
	struct vring_used *used;
	struct vring_avail *avail; // for its flags and used_event only
	uint16_t size;
	uint16_t next; // index after the last element added; ours, never read back from the ring
	uint16_t published; // the index as the driver can see it
	uint16_t notified;  // the published index at the last decision about a notification
	bool notified_valid;
	bool event_idx;
};

// Starts at index next. size is a power of two up to 32768. Forgets what was notified: the next
// decision is yes.
static inline void vq_used_ring_init(struct vq_used_ring *r, struct vring_used *used,
	struct vring_avail *avail, uint16_t size, uint16_t next, bool event_idx)
{
	*r = (struct vq_used_ring){used, avail, size, next, next, next, false, event_idx};
}

// Whether the ring can be driven: memory set and aligned, a possible size.
static inline bool vq_used_ring_is_valid(const struct vq_used_ring *r)
{
	return r->used && r->avail && !((uintptr_t)r->used & 3) && !((uintptr_t)r->avail & 1) &&
	       r->size && !(r->size & (r->size - 1)); // so at most VQ_MAX_SIZE
}

// The slot of the element i past the ones added. Its bytes are used->ring[slot]: for dirty logging.
static inline uint16_t vq_used_ring_slot(const struct vq_used_ring *r, unsigned i)
{
	return (uint16_t)((r->next + i) & (r->size - 1u));
}

// Writes the element i past the ones added. The driver may not look at it before the index is
// published.
static inline void vq_used_ring_write(struct vq_used_ring *r, unsigned i, uint16_t id, uint32_t len)
{
	r->used->ring[vq_used_ring_slot(r, i)] = (struct vring_used_elem){id, len};
}

// The n elements written count as added.
static inline void vq_used_ring_add(struct vq_used_ring *r, unsigned n)
{
	r->next = (uint16_t)(r->next + n);
}

// Shows the elements added to the driver. Release: they, and the data in the buffers, come before
// the index; the partner is the driver's acquire load of used->idx (vq_driver_used_pending).
// Returns how many became visible.
static inline uint16_t vq_used_ring_publish(struct vq_used_ring *r)
{
	uint16_t n = (uint16_t)(r->next - r->published);

	// The index passed a whole turn of 2^16 since the last decision: the interval [notified,
	// next) means nothing any more.
	if (vq_unlikely((uint16_t)(r->next - r->notified) < n))
		r->notified_valid = false;
	r->published = r->next;
	vq_store16_release(&r->used->idx, r->next);
	return n;
}

// The next decision is yes: after a start, a reconnect, or a change of whom to notify.
static inline void vq_used_ring_notify_invalidate(struct vq_used_ring *r)
{
	r->notified_valid = false;
}

// Whether the driver wants to be notified of what was published since the last call. The caller has
// executed vq_fence() after publishing; its partner is the fence between the driver's store of
// used_event (or flags) and its second look at used->idx (vq_driver_enable_callbacks). One-shot:
// each published element is judged once.
static inline bool vq_used_ring_should_notify(struct vq_used_ring *r)
{
	uint16_t new = r->published, old = r->notified;

	r->notified = new;
	if (vq_unlikely(!r->notified_valid)) {
		r->notified_valid = true;
		return true;
	}
	if (r->event_idx)
		return vq_need_event(vq_load16(vq_used_event(r->avail, r->size)), new, old);
	return new != old && !(vq_load16(&r->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

// Asks the driver not to kick. A hint: a kick may still come. With EVENT_IDX there is nothing to
// write (flags stay 0, virtio 1.2, 2.7.10.2): the driver kicks once when it passes the avail_event
// written last, then no more.
static inline void vq_used_ring_suppress(struct vq_used_ring *r)
{
	if (!r->event_idx)
		vq_store16(&r->used->flags, VRING_USED_F_NO_NOTIFY);
}

// Asks the driver to kick when it makes more available than next_avail. Says nothing about what is
// there already: the caller fences and looks at avail->idx again, as vq_device_enable_notification
// does.
static inline void vq_used_ring_allow(struct vq_used_ring *r, uint16_t next_avail)
{
	if (r->event_idx)
		vq_store16(vq_avail_event(r->used, r->size), next_avail);
	else
		vq_store16(&r->used->flags, 0);
}
