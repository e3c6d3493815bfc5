// SPDX-License-Identifier: BSD-2-Clause
// One descriptor, copied out of or into shared memory in one access where the CPU can.
#pragma once

#include <string.h>
#include "dataplane/virtq/ring.h"

_Static_assert(sizeof(struct vring_desc) == 16, "a descriptor has 16 bytes (virtio 1.2, 2.7.5)");

// A 16-byte vector that may alias anything and, as an indirect table needs no alignment, lie
// anywhere.
typedef uint64_t vq_vec __attribute__((vector_size(16), aligned(1), may_alias));

// Copies a descriptor that the other side may be rewriting: each byte is read exactly once (the
// access is volatile), so what is checked is what is used.
static inline struct vring_desc vq_desc_load(const void *p)
{
	vq_vec v = *(const volatile vq_vec *)p;
	struct vring_desc d;

	d.addr = v[0];
	d.len = (uint32_t)v[1];
	d.flags = (uint16_t)(v[1] >> 32);
	d.next = (uint16_t)(v[1] >> 48);
	return d;
}

// Writes a descriptor in one access. The other side sees it once an index published later covers
// it.
static inline void vq_desc_store(void *p, struct vring_desc d)
{
	vq_vec v = {d.addr, (uint64_t)d.next << 48 | (uint64_t)d.flags << 32 | d.len};

	*(volatile vq_vec *)p = v;
}
