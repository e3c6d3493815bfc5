// SPDX-License-Identifier: BSD-2-Clause
// One ring of a guest in memory that ends where it is said to end, and frames to deliver: what tests of the
// burst loops start from.
#pragma once

#include "dataplane/port/vhost_features.h"
#include "dataplane/port/vhost_ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

#define NEXT     VRING_DESC_F_NEXT
#define WRITE    VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

#define RING   64u
#define CHAINS 20u // of a burst, so that some go by eights and the rest one by one
#define SLOT   2048u
// Guest memory: [A, B) and, adjacent for the guest but not for us, [B, END).
#define A      UINT64_C(0x100000)
#define B      (A + RING * SLOT)
#define END    (B + 0x12000)
#define MODERN FEATURE(VIRTIO_F_VERSION_1)

static const struct vhost_burst_ops *sets[4];

// How far ahead is fetched, in turns: nothing may depend on it.
static const uint32_t aheads[] = {1, FRAME_BURST, 8, 7, 16};
static unsigned n_beds;

// Descriptors of memory behind a table, for what must not be taken for a part of it.
static unsigned behind_table;

// A ring of its own, and memory.
static struct bed {
	struct vhost_ring r;
	struct guestmem mem;
	uint8_t *a, *b;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t size, start; // index that it starts at
	struct port_stats st;
	const struct vhost_burst_ops *ops;
} bed;

static _Alignas(64) struct burst burst;
static uint8_t pattern[END - A]; // what memory holds at first

static inline uint8_t *host(uint64_t gpa)
{
	return gpa < B ? bed.a + (gpa - A) : bed.b + (gpa - B);
}

static inline void bed_open(const struct vhost_burst_ops *ops, uint64_t features, uint16_t size,
	uint16_t start, bool discard)
{
	struct vhost_ring_config c = {.features = features,
		.size = size,
		.next_avail = start,
		.next_used = start,
		.callfd = -1,
		.kickfd = -1,
		.discard = discard};
	memset(&bed, 0, sizeof(bed));
	guestmem_init(&bed.mem);
	bed.a = malloc(B - A);
	bed.b = malloc(END - B);
	assert_int_equal(guestmem_add(&bed.mem, A, B - A, bed.a, 0), 0);
	assert_int_equal(guestmem_add(&bed.mem, B, END - B, bed.b, 0), 0);
	memcpy(bed.a, pattern, B - A);
	memcpy(bed.b, pattern + (B - A), END - B);
	bed.desc = c.desc = malloc((size + behind_table) * sizeof(*c.desc));
	bed.avail = c.avail = malloc(sizeof(*c.avail) + size * 2u + 2);
	bed.used = c.used = malloc(sizeof(*c.used) + size * sizeof(c.used->ring[0]) + 2);
	memset(c.desc, 0, size * sizeof(*c.desc));
	memset(c.avail, 0, sizeof(*c.avail) + size * 2u + 2);
	memset(c.used, 0, sizeof(*c.used) + size * sizeof(c.used->ring[0]) + 2);
	c.avail->idx = c.used->idx = start;
	c.mem = &bed.mem;
	bed.size = size;
	bed.start = start;
	bed.ops = ops;
	assert_int_equal(vhost_ring_start(&bed.r, &c), 0);
	assert_in_range(bed.r.ahead, 1, FRAME_BURST);
	bed.r.ahead = aheads[n_beds++ % N(aheads)];
	bed.r.bodies_ahead = 1 + bed.r.ahead / 4;
}

static inline void bed_close(void)
{
	vhost_ring_stop(&bed.r);
	free(bed.a);
	free(bed.b);
	free(bed.desc);
	free(bed.avail);
	free(bed.used);
}

// Descriptor i of a chain that starts there, and the chain as the next one offered.
static inline void offer(uint16_t id, struct vring_desc d)
{
	bed.desc[id] = d;
	bed.avail->ring[bed.avail->idx++ % bed.size] = id;
}

static inline struct vring_used_elem used(unsigned i)
{
	return bed.used->ring[(uint16_t)(bed.start + i) % bed.size];
}

static inline unsigned n_used(void)
{
	return (uint16_t)(bed.used->idx - bed.start);
}

static inline uint64_t all_drops(void)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < N(bed.st.drop); i++)
		sum += bed.st.drop[i];
	return sum;
}

static struct frame frames[CHAINS];
static uint8_t bytes[CHAINS][SLOT];
static const uint8_t list[] = {
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19};

// Frames as switched: pieces are behind the head; `moved`: a tag was popped or pushed.
static inline void make_frames(uint32_t base, uint32_t step, int moved)
{
	for (unsigned i = 0; i < CHAINS; i++) {
		struct frame *f = &frames[i];
		uint32_t len = base + i * step;
		memset(f, 0, sizeof(*f));
		for (uint32_t k = 0; k < len; k++)
			bytes[i][k] = (uint8_t)(i * 11 + k * 3 + k / 256);
		f->len = len;
		f->head_len = (uint16_t)(len < FRAME_HEAD ? len : FRAME_HEAD);
		f->head_off = (uint8_t)(FRAME_HEAD_OFF + moved);
		memcpy(frame_head(f), bytes[i], f->head_len);
		f->seg = (struct frame_seg){len - f->head_len, bytes[i] + f->head_len};
		f->n_segs = f->seg.len > 0;
	}
}

// Setup of the group: every instruction set that this CPU has.
static inline int choose_sets(void **state)
{
	unsigned n = 0;
	for (unsigned i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 + i / 251);
	sets[n++] = &vhost_burst_base;
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
		sets[n++] = &vhost_burst_avx2;
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2"))
		sets[n++] = &vhost_burst_avx512;
#endif
	return 0;
}
