// SPDX-License-Identifier: BSD-2-Clause
// The driver side of a split virtqueue: descriptors, the available ring, kicks, and reaping what
// the device used.
//
// The device is hostile too. Descriptors are kept twice: in the shared table for the device to
// read, and in a private shadow, which alone the driver reads. A used element is loaded once and
// checked against the shadow: an id that is no chain in flight breaks the queue, a length over what
// the device may write is cut and counted.
//
// One thread at a time uses a queue.
#pragma once

#include <stddef.h>
#include "dataplane/virtq/desc.h"
#include "dataplane/virtq/layout.h"
#include "dataplane/virtq/notify.h"

#define VQ_NONE 0xffffu // no descriptor: not an index of any queue

// A chain that came back.
struct vq_reaped {
	uint16_t head;
	uint32_t len; // bytes written by the device, at most the chain's writable bytes
};

struct vq_driver {
	// Hot: private pointers, indexes and the rings.
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint8_t *in_flight;     // per descriptor: 1 while it heads a chain that the device has
	uint16_t *avail_shadow; // what we wrote in the available ring
	uint16_t size;
	uint16_t next_avail; // after the last chain pushed
	uint16_t published;  // avail->idx as the device can see it
	uint16_t kicked;     // published at the last decision about a kick
	uint16_t next_used;  // next used element to reap
	uint16_t used_idx;   // used->idx as last seen, at most size ahead of next_used
	bool kicked_valid, event_idx, broken;

	// Warm: descriptors.
	struct vring_desc *shadow; // what we wrote in the table; next also links the free list
	uint64_t *writable;        // per descriptor: bytes that the device may write through it
	uint16_t first_free, n_free;
	uint64_t n_bad_len; // used lengths that were cut

	uint64_t desc_gpa, avail_gpa, used_gpa;
	void *priv; // the one allocation behind the private arrays
} __attribute__((aligned(VQ_CACHE_LINE)));

_Static_assert(
	offsetof(struct vq_driver, shadow) <= VQ_CACHE_LINE, "the hot state fits one cache line");

// Initialises queue number queue of layout l in mem, which is l->total bytes at guest physical gpa,
// aligned for the layout: zeroes its areas, links all descriptors as free. -EINVAL: no such queue
// or misaligned; -ENOMEM.
int vq_driver_init(struct vq_driver *q, const struct vq_layout *l, uint32_t queue, void *mem,
	uint64_t gpa, bool event_idx);

// Frees what init allocated. q may be zeroed or NULL.
void vq_driver_fini(struct vq_driver *q);

// Guest physical addresses of the three areas, for the transport.
static inline uint64_t vq_driver_desc_gpa(const struct vq_driver *q)
{
	return q->desc_gpa;
}

static inline uint64_t vq_driver_avail_gpa(const struct vq_driver *q)
{
	return q->avail_gpa;
}

static inline uint64_t vq_driver_used_gpa(const struct vq_driver *q)
{
	return q->used_gpa;
}

// --- Descriptors ---

// Takes a free descriptor: its index, or -ENOSPC.
int vq_driver_alloc(struct vq_driver *q);

// Frees the chain that starts at head, which is not in flight. -EBUSY: it is. -EINVAL: no such
// descriptor.
int vq_driver_free_chain(struct vq_driver *q, uint16_t head);

// Writes an allocated descriptor, to the shadow and the table. flags of VRING_DESC_F_*; next with
// NEXT.
void vq_driver_write_desc(struct vq_driver *q, uint16_t id, uint64_t gpa, uint32_t len,
	uint16_t flags, uint16_t next);

// The same for a reference to an indirect table of n descriptors, whose buffers the device may
// write writable bytes in total.
void vq_driver_write_indirect(
	struct vq_driver *q, uint16_t id, uint64_t table_gpa, uint16_t n, uint64_t writable);

// Allocates and links n descriptors for n buffers and returns the head, or -ENOSPC (nothing
// allocated), -EINVAL for n 0. bufs[i].next is ignored; NEXT in flags is set here.
int vq_driver_write_chain(struct vq_driver *q, const struct vring_desc *bufs, unsigned n);

// The shadow of a descriptor.
static inline const struct vring_desc *vq_driver_shadow(const struct vq_driver *q, uint16_t id)
{
	return &q->shadow[id];
}

// --- Making available ---

static inline unsigned vq_driver_in_flight(const struct vq_driver *q)
{
	return (uint16_t)(q->next_avail - q->next_used);
}

// Puts chains in the next slots of the available ring. Returns how many: it stops before a head
// that is out of range or in flight already; so the ring, which has a slot for each head, is never
// over-full. Nothing is visible before vq_driver_publish().
static inline unsigned vq_driver_push_burst(struct vq_driver *q, const uint16_t *heads, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		uint16_t head = heads[i];
		uint16_t slot = (uint16_t)((q->next_avail + i) & (q->size - 1u));

		if (vq_unlikely(head >= q->size || q->in_flight[head]))
			break;
		q->in_flight[head] = 1;
		q->avail_shadow[slot] = head;
		vq_store16(&q->avail->ring[slot], head);
	}
	q->next_avail = (uint16_t)(q->next_avail + i);
	return i;
}

static inline bool vq_driver_push(struct vq_driver *q, uint16_t head)
{
	return vq_driver_push_burst(q, &head, 1) == 1;
}

// Offers again what the next n slots of the available ring hold already: only the index moves, the
// ring's lines stay shared. Returns how many: it stops before a slot never written, or one whose
// chain is still in flight, judged by our shadow of the ring.
static inline unsigned vq_driver_repost(struct vq_driver *q, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		uint16_t slot = (uint16_t)((q->next_avail + i) & (q->size - 1u));
		uint16_t head = q->avail_shadow[slot];

		if (vq_unlikely(head == VQ_NONE || q->in_flight[head]))
			break;
		q->in_flight[head] = 1;
	}
	q->next_avail = (uint16_t)(q->next_avail + i);
	return i;
}

// Shows the chains pushed to the device. Release: descriptors and ring entries come before the
// index; the partner is the device's acquire load in vq_device_avail().
static inline void vq_driver_publish(struct vq_driver *q)
{
	uint16_t n = (uint16_t)(q->next_avail - q->published);

	if (vq_unlikely((uint16_t)(q->next_avail - q->kicked) < n))
		q->kicked_valid = false; // a whole turn of 2^16 without a decision
	q->published = q->next_avail;
	vq_store16_release(&q->avail->idx, q->next_avail);
}

// Whether the device wants a kick for what was published since the last call. After vq_fence(); its
// partner is the fence in vq_device_enable_notification().
static inline bool vq_driver_needs_kick(struct vq_driver *q)
{
	uint16_t new = q->published, old = q->kicked;

	q->kicked = new;
	if (vq_unlikely(!q->kicked_valid)) {
		q->kicked_valid = true;
		return true;
	}
	if (q->event_idx)
		return vq_need_event(vq_load16(vq_avail_event(q->used, q->size)), new, old);
	return new != old && !(vq_load16(&q->used->flags) & VRING_USED_F_NO_NOTIFY);
}

// The next decision is yes: after a start or a new kick descriptor.
static inline void vq_driver_kick_invalidate(struct vq_driver *q)
{
	q->kicked_valid = false;
}

// --- Reaping ---

// Marks the queue broken: nothing is reaped any more.
static inline void vq_driver_break(struct vq_driver *q)
{
	q->broken = true;
	q->used_idx = q->next_used;
}

// How many used elements wait. More than are in flight is impossible and breaks the queue (0 then).
static inline unsigned vq_driver_used_pending(struct vq_driver *q)
{
	// Acquire: elements and data are read after the index that covers them. Partner: the
	// device's release store in vq_used_ring_publish().
	uint16_t idx = vq_load16_acquire(&q->used->idx);
	uint16_t n = (uint16_t)(idx - q->next_used);

	if (vq_unlikely(n > (uint16_t)(q->published - q->next_used) || q->broken)) {
		vq_driver_break(q);
		return 0;
	}
	q->used_idx = idx;
	return n;
}

// The writable bytes of a chain, from the shadow.
uint64_t vq_driver_writable_len(const struct vq_driver *q, uint16_t head);

// Reaps up to max chains. They are no longer in flight but still allocated: push them again or free
// them. An element whose id is not in flight breaks the queue and ends the burst before it.
unsigned vq_driver_reap_burst(struct vq_driver *q, struct vq_reaped *out, unsigned max);

static inline bool vq_driver_reap(struct vq_driver *q, struct vq_reaped *out)
{
	return vq_driver_reap_burst(q, out, 1) == 1;
}

// Reaps the n oldest chains without reading the used elements, for a device known to use buffers in
// order (load generators). n is at most vq_driver_used_pending(). A device that breaks that promise
// corrupts what the buffers hold, no more.
static inline void vq_driver_skip_used(struct vq_driver *q, unsigned n)
{
	if (vq_unlikely(n > (uint16_t)(q->used_idx - q->next_used)))
		n = (uint16_t)(q->used_idx - q->next_used);
	for (unsigned i = 0; i < n; i++) {
		uint16_t slot = (uint16_t)((q->next_used + i) & (q->size - 1u));

		q->in_flight[q->avail_shadow[slot]] = 0;
	}
	q->next_used = (uint16_t)(q->next_used + n);
}

// The used element i past the ones reaped, i < vq_driver_used_pending(): one load of each field that
// the device wrote, unchecked.
static inline struct vring_used_elem vq_driver_peek_used(const struct vq_driver *q, unsigned i)
{
	const struct vring_used_elem *e = &q->used->ring[(q->next_used + i) & (q->size - 1u)];

	return (struct vring_used_elem){__atomic_load_n(&e->id, __ATOMIC_RELAXED),
		__atomic_load_n(&e->len, __ATOMIC_RELAXED)};
}

// For a ring with all its slots in flight, and a device known to use buffers in order (load
// generators): the n oldest chains came back and are offered again where they are, so that two
// indexes are all that moves. False, nothing done: a slot is not in flight, or vq_driver_used_pending()
// has not seen n used.
static inline bool vq_driver_recycle(struct vq_driver *q, unsigned n)
{
	if (vq_driver_in_flight(q) != q->size || n > (uint16_t)(q->used_idx - q->next_used))
		return false;
	q->next_used = (uint16_t)(q->next_used + n);
	q->next_avail = (uint16_t)(q->next_avail + n);
	return true;
}

// Asks the device for notifications from now on and answers whether more was used meanwhile: then
// none may come for it and the caller reaps again before it sleeps.
static inline bool vq_driver_enable_callbacks(struct vq_driver *q)
{
	if (q->event_idx)
		vq_store16(vq_used_event(q->avail, q->size), q->next_used);
	else
		vq_store16(&q->avail->flags, 0);
	// Our wish before the second look. Partner: the device's fence before
	// vq_device_needs_notification().
	vq_fence();
	return vq_load16_acquire(&q->used->idx) != q->next_used && !q->broken;
}

// Asks the device not to notify. With EVENT_IDX nothing is written: one notification comes when it
// passes used_event.
static inline void vq_driver_disable_callbacks(struct vq_driver *q)
{
	if (!q->event_idx)
		vq_store16(&q->avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
}
