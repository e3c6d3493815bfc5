// SPDX-License-Identifier: BSD-2-Clause
// The device side of a split virtqueue: take chains in bursts, give them back in bursts, publish
// once, notify once.
//
// A pass over a queue goes
//
//     n = vq_device_avail(q, 64)           how many chains are there: the one look at avail->idx
//     head = vq_device_peek(q, i)          for i < n; check head < q->size
//     d = vq_device_desc(q, head)          copy descriptors (or vq_chain_walk), check them, use them
//     vq_device_pop(q, n)                  they are ours now
//     vq_device_used(q, i, head, len)      write the used elements, in any order
//     vq_device_add(q, n)
//     vq_device_publish(q)                 one release store
//     vq_fence()                           once for all queues of a pass
//     if (vq_device_needs_notification(q)) write the eventfd
//
// The driver is hostile: all it can write is loaded once into locals and checked there. Our indexes
// live here and are never read back from the ring. An impossible index breaks the queue: it then
// shows no chains until it is reset.
//
// One thread at a time uses a queue; nothing here locks. The inline operations are for a ready
// queue (vq_device_is_ready).
#pragma once

#include "dataplane/virtq/chain.h"
#include "dataplane/virtq/used_ring.h"

// First line: all that a worker touches per burst. Second line: what the transport sets.
struct vq_device {
	struct vq_used_ring ring;      // the half of the queue that we write
	const struct vring_desc *desc; // ring.avail and these are memory of the driver
	uint16_t size;                 // Queue Size in use
	uint16_t next_avail;           // next chain to pop
	uint16_t avail_idx;            // avail->idx as last seen, at most size ahead of ring.next
	bool broken;                   // the driver did the impossible

	struct {
		uint64_t desc, avail, used; // guest physical
		uint16_t max_size, size;
		bool ready, event_idx;
		bool mapped; // the pointers above are set
	} cfg __attribute__((aligned(VQ_CACHE_LINE)));
} __attribute__((aligned(VQ_CACHE_LINE)));

_Static_assert(
	offsetof(struct vq_device, cfg) == VQ_CACHE_LINE, "the hot state fits one cache line");

// What must survive when the queue moves to another process or machine.
struct vq_device_state {
	uint64_t desc, avail, used;
	uint16_t max_size, size, next_avail, next_used;
	bool ready, event_idx;
};

// --- Life and transport (cold; device.c) ---

// A queue that is not ready. -EINVAL when max_size is no power of two from 1 to 32768.
int vq_device_init(struct vq_device *q, uint16_t max_size);

// Back to the state after init: size = max_size, addresses 0, indexes 0, not ready, not broken.
void vq_device_reset(struct vq_device *q);

// What a transport's registers set. They take effect at the next vq_device_map() or
// vq_device_set_rings(); ready false takes effect at once. set_size: -EINVAL over max_size or no
// power of two. Alignment is judged by is_valid and map.
int vq_device_set_max_size(struct vq_device *q, uint16_t max_size);
int vq_device_set_size(struct vq_device *q, uint16_t size);
void vq_device_set_ready(struct vq_device *q, bool ready);
void vq_device_set_event_idx(struct vq_device *q, bool event_idx);
void vq_device_set_desc_low(struct vq_device *q, uint32_t v);
void vq_device_set_desc_high(struct vq_device *q, uint32_t v);
void vq_device_set_avail_low(struct vq_device *q, uint32_t v);
void vq_device_set_avail_high(struct vq_device *q, uint32_t v);
void vq_device_set_used_low(struct vq_device *q, uint32_t v);
void vq_device_set_used_high(struct vq_device *q, uint32_t v);

// Whether the queue could run in this memory: ready, a possible size, areas aligned and each wholly
// inside one region.
bool vq_device_is_valid(const struct vq_device *q, const struct guestmem *m);

// Resolves the three addresses. The indexes stay; the next notification decision is yes. -EINVAL:
// not ready, bad size or alignment; -EFAULT: an area not inside one region of memory. On failure
// the queue is as before.
int vq_device_map(struct vq_device *q, const struct guestmem *m);

// The same for a caller that has resolved the areas itself (vhost-user). Makes the queue ready.
int vq_device_set_rings(struct vq_device *q, uint16_t size, struct vring_desc *desc,
	struct vring_avail *avail, struct vring_used *used);

// Forgets the pointers (memory goes away) and makes the queue not ready. Indexes and addresses
// stay.
void vq_device_unmap(struct vq_device *q);

void vq_device_save(const struct vq_device *q, struct vq_device_state *s);

// Takes over a saved state, unmapped: vq_device_map() follows. -EINVAL, untouched, when the sizes
// are impossible or next_used is more than a queue's size behind next_avail.
int vq_device_restore(struct vq_device *q, const struct vq_device_state *s);

// Sets the indexes to continue at, both modulo 2^16, and forgets what was seen of the ring.
void vq_device_set_next(struct vq_device *q, uint16_t next_avail, uint16_t next_used);

// Marks the queue broken: it shows no chains until it is reset or restored. For the caller that
// found the driver do the impossible, such as a head that is no descriptor.
static inline void vq_device_break(struct vq_device *q)
{
	q->broken = true;
	q->avail_idx = q->next_avail;
}

static inline bool vq_device_is_ready(const struct vq_device *q)
{
	return q->cfg.ready && q->cfg.mapped;
}

// --- Hot operations ---

// How many chains can be popped, at most want. Looks at avail->idx again only when fewer than want are known of. An index
// that went back, or that would have more than size chains with the device (popped and not given back, or waiting), breaks the
// queue and answers 0. So what is popped and not given back always fits size.
static inline unsigned vq_device_avail(struct vq_device *q, unsigned want)
{
	uint16_t idx, ours, n = (uint16_t)(q->avail_idx - q->next_avail);

	if (n >= want)
		return want;
	// Acquire: ring entries and descriptors are read after the index that covers them. Partner: the driver's release
	// store in vq_driver_publish().
	idx = vq_load16_acquire(&q->ring.avail->idx);
	n = (uint16_t)(idx - q->next_avail);
	ours = (uint16_t)(idx - q->ring.next);
	if (vq_unlikely(ours > q->size || n > ours || q->broken)) {
		vq_device_break(q);
		return 0;
	}
	q->avail_idx = idx;
	return n < want ? n : want;
}

// Head of the i-th chain not yet popped, i < vq_device_avail(). One load of what the driver wrote:
// the caller keeps it in a local and compares it with q->size before use.
static inline uint16_t vq_device_peek(const struct vq_device *q, unsigned i)
{
	return vq_load16(&q->ring.avail->ring[(q->next_avail + i) & (q->size - 1u)]);
}

// One copy of descriptor id, which is below q->size.
static inline struct vring_desc vq_device_desc(const struct vq_device *q, uint16_t id)
{
	return vq_desc_load(&q->desc[id]);
}

// Moves on (or back, modulo 2^16). A broken queue shows no chains wherever it stands.
static inline void vq_device_move(struct vq_device *q, unsigned n)
{
	q->next_avail = (uint16_t)(q->next_avail + n);
	if (vq_unlikely(q->broken))
		q->avail_idx = q->next_avail;
}

// Takes the next n chains, n <= vq_device_avail(). They come back as used elements, or by vq_device_unpop().
static inline void vq_device_pop(struct vq_device *q, unsigned n)
{
	vq_device_move(q, n);
}

// Goes back by n chains popped and not given back: the next pop sees them again.
static inline void vq_device_unpop(struct vq_device *q, unsigned n)
{
	vq_device_move(q, -n);
}

// Slot in the used ring of the element i past the ones added: which bytes vq_device_used() will
// write.
static inline uint16_t vq_device_used_slot(const struct vq_device *q, unsigned i)
{
	return vq_used_ring_slot(&q->ring, i);
}

// Writes the used element i past the ones added: chain id comes back with len bytes written. No
// more elements than chains popped and not given back.
static inline void vq_device_used(struct vq_device *q, unsigned i, uint16_t id, uint32_t len)
{
	vq_used_ring_write(&q->ring, i, id, len);
}

// The n elements written count as added.
static inline void vq_device_add(struct vq_device *q, unsigned n)
{
	vq_used_ring_add(&q->ring, n);
}

// Shows all added elements to the driver with one release store of used->idx.
static inline void vq_device_publish(struct vq_device *q)
{
	vq_used_ring_publish(&q->ring);
}

// Whether the driver wants to hear of what was published since the last call. After vq_fence().
static inline bool vq_device_needs_notification(struct vq_device *q)
{
	return vq_used_ring_should_notify(&q->ring);
}

// The next decision is yes: after a reconnect or a new callfd.
static inline void vq_device_notify_invalidate(struct vq_device *q)
{
	vq_used_ring_notify_invalidate(&q->ring);
}

// Asks the driver to kick from now on and answers whether more arrived meanwhile: then no kick will
// come for it and the caller must poll again instead of sleeping. In a broken queue nothing ever
// arrives. Writes avail_event or flags in the used ring (log it as dirty).
static inline bool vq_device_enable_notification(struct vq_device *q)
{
	vq_used_ring_allow(&q->ring, q->next_avail);
	// Our wish before the second look. Partner: the driver's fence between publishing
	// avail->idx and vq_driver_needs_kick().
	vq_fence();
	return vq_load16_acquire(&q->ring.avail->idx) != q->next_avail && !q->broken;
}

// Asks the driver not to kick. Without EVENT_IDX writes flags in the used ring.
static inline void vq_device_disable_notification(struct vq_device *q)
{
	vq_used_ring_suppress(&q->ring);
}

// --- Burst forms; a single one is a burst of one ---

// Pops up to max chains and stores their heads, all below q->size. A head that is not breaks the
// queue and ends the burst before it.
static inline unsigned vq_device_pop_burst(struct vq_device *q, uint16_t *heads, unsigned max)
{
	unsigned n = vq_device_avail(q, max), i;

	for (i = 0; i < n; i++) {
		uint16_t head = vq_device_peek(q, i);

		if (vq_unlikely(head >= q->size))
			break;
		heads[i] = head;
	}
	vq_device_pop(q, i);
	if (vq_unlikely(i < n))
		vq_device_break(q);
	return i;
}

// Adds n used elements, n at most the chains popped and not given back.
static inline void vq_device_used_burst(
	struct vq_device *q, const struct vring_used_elem *elems, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		vq_device_used(q, i, (uint16_t)elems[i].id, elems[i].len);
	vq_device_add(q, n);
}

// Iterates over the chains there are now, without popping: for (vq_device_foreach(q, i, n, head))
// ... then pop(q, i). Every head still needs its check against q->size.
#define vq_device_foreach(q, i, n, head)                     \
	unsigned i = 0, n = vq_device_avail(q, VQ_MAX_SIZE); \
	i < n && ((head) = vq_device_peek(q, i), true);      \
	i++

// Pops one chain and walks it: 1, 0 when there is none, or the error of vq_chain_walk(). After an
// error the chain counts as popped and chain->head is set, so that it can be given back with length
// 0; a bad head (-EBADMSG, broken queue) cannot.
int vq_device_pop_chain(struct vq_device *q, const struct guestmem *m, struct guestmem_cache *c,
	uint16_t max_indirect, struct vq_seg *segs, unsigned max, struct vq_chain *chain);

// --- The indexes: as the ring shows them, and ours ---

static inline uint16_t vq_device_avail_idx(const struct vq_device *q)
{
	return vq_load16_acquire(&q->ring.avail->idx);
}

static inline uint16_t vq_device_used_idx(const struct vq_device *q)
{
	return vq_load16(&q->ring.used->idx);
}

static inline uint16_t vq_device_used_flags(const struct vq_device *q)
{
	return vq_load16(&q->ring.used->flags);
}

static inline uint16_t vq_device_next_avail(const struct vq_device *q)
{
	return q->next_avail;
}

// Includes elements added but not yet published.
static inline uint16_t vq_device_next_used(const struct vq_device *q)
{
	return q->ring.next;
}
