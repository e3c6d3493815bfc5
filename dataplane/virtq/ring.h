// SPDX-License-Identifier: BSD-2-Clause
// The fields of a split ring that both sides touch: where they are, and the only ways to access
// them.
//
// Every 16-bit field that the other side can see is read or written by one __atomic access of that
// size, never by a plain C expression that a compiler may split, repeat or invent. Who pairs with
// whom:
//
//   avail->idx    driver stores, release: after the ring's entries and descriptors
//                 device loads, acquire: before them
//   used->idx     device stores, release: after the elements
//                 driver loads, acquire: before the elements and data
//   avail->flags, used_event
//                 driver stores, relaxed; then a full fence, then it loads used->idx again
//                 device loads, relaxed, after its full fence that follows the store of used->idx
//   used->flags, avail_event
//                 device stores, relaxed; then a full fence, then it loads avail->idx again
//                 driver loads, relaxed, after its full fence that follows the store of avail->idx
//
// The two pairs of full fences are the classic store buffer pattern: each side stores one field and
// loads the other's; without both fences, each can miss the other's store and both sleep (x86 too).
// tests/model/ has the proof.
//
// Byte order: fields are in the host's. That is what a modern device on a little-endian host needs,
// and what the legacy interface calls native-endian where guest and host have the same order
// (virtio 1.2, 2.7.3).
#pragma once

#include <stdint.h>
#include <linux/virtio_ring.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "virtq: written for little-endian hosts"
#endif

#define VQ_MAX_SIZE   32768u // virtio 1.2, 2.7: the largest Queue Size
#define VQ_CACHE_LINE 64

#define vq_likely(x)   __builtin_expect(!!(x), 1)
#define vq_unlikely(x) __builtin_expect(!!(x), 0)

static inline uint16_t vq_load16(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint16_t vq_load16_acquire(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void vq_store16(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static inline void vq_store16_release(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

// Where the driver says when it wants to be notified: behind the available ring
// (virtio 1.2, 2.7.6).
static inline uint16_t *vq_used_event(struct vring_avail *avail, uint16_t size)
{
	return &avail->ring[size];
}

// Where the device says when it wants to be kicked: behind the used ring (virtio 1.2, 2.7.8).
static inline uint16_t *vq_avail_event(struct vring_used *used, uint16_t size)
{
	return (uint16_t *)&used->ring[size];
}
