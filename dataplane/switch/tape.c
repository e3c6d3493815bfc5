// SPDX-License-Identifier: BSD-2-Clause
// Tapes: records of any length in a ring of bytes, one writer, one reader.
#include "dataplane/switch/tape.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RING_BYTES (2u << 20) // power of two, far more than one record

// In front of each copy. Records are multiples of its size, so one always fits before the end.
struct record {
	uint64_t time_ns;
	uint32_t len;    // of the frame
	uint32_t caplen; // of the copy behind; SKIP: go on at the ring's start
	uint32_t dir;
	uint32_t unused[3];
};

#define SKIP 0xffffffffu

struct tape_ring {
	uint8_t *bytes;
	uint32_t head __attribute__((aligned(64))); // written by the worker
	uint64_t lost;                              // written by the worker
	uint32_t tail __attribute__((aligned(64))); // written by control
};

struct tape {
	unsigned dirs;
	uint32_t snaplen;
	uint32_t n_rings;
	struct tape_ring ring[];
};

static uint32_t record_size(uint32_t caplen)
{
	const uint32_t unit = sizeof(struct record);

	return unit + (caplen + unit - 1) / unit * unit;
}

int tape_new(unsigned dirs, uint32_t snaplen, uint32_t n_workers, struct tape **out)
{
	struct tape *c;
	const size_t size = sizeof(*c) + n_workers * sizeof(c->ring[0]);

	c = aligned_alloc(64, (size + 63) / 64 * 64);
	if (!c)
		return -ENOMEM;
	memset(c, 0, size);
	c->dirs = dirs;
	c->snaplen = snaplen && snaplen < FRAME_LEN_MAX ? snaplen : FRAME_LEN_MAX;
	c->n_rings = n_workers;
	for (uint32_t i = 0; i < n_workers; i++) {
		c->ring[i].bytes = aligned_alloc(64, RING_BYTES);
		if (!c->ring[i].bytes) {
			tape_free(c);
			return -ENOMEM;
		}
	}
	*out = c;
	return 0;
}

void tape_free(struct tape *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < c->n_rings; i++)
		free(c->ring[i].bytes);
	free(c);
}

// Room for a record of `size` bytes in one piece, or NULL. Moves *head past a skipped end.
static struct record *ring_reserve(struct tape_ring *r, uint32_t *head, uint32_t size)
{
	// Pairs with the release of tail in ring_read: those bytes have been read.
	uint32_t used = *head - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);
	uint32_t at = *head % RING_BYTES, to_end = RING_BYTES - at;

	if (size <= to_end)
		return RING_BYTES - used >= size ? (struct record *)(r->bytes + at) : NULL;
	if (RING_BYTES - used < to_end + size)
		return NULL;
	((struct record *)(r->bytes + at))->caplen = SKIP;
	*head += to_end;
	return (struct record *)r->bytes;
}

void tape_frames(struct tape *c, uint32_t w, unsigned dir, const struct frame *f,
	const uint8_t *list, uint32_t n)
{
	struct tape_ring *r = &c->ring[w];
	uint32_t head = r->head;
	struct timespec ts;

	if (!(c->dirs & dir))
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	for (uint32_t i = 0; i < n; i++) {
		const struct frame *from = &f[list[i]];
		uint32_t caplen = from->len < c->snaplen ? from->len : c->snaplen;
		struct record *rec = ring_reserve(r, &head, record_size(caplen));
		if (!rec) {
			__atomic_store_n(&r->lost, r->lost + 1, __ATOMIC_RELAXED);
			continue;
		}
		rec->time_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
		rec->len = from->len;
		rec->caplen = caplen;
		rec->dir = dir;
		frame_copy(from, 0, rec + 1, caplen);
		head += record_size(caplen);
	}
	__atomic_store_n(&r->head, head, __ATOMIC_RELEASE);
}

// The oldest record of a ring, or NULL. Moves tail past a skipped end.
static const struct record *ring_first(struct tape_ring *r)
{
	if (r->tail == __atomic_load_n(&r->head, __ATOMIC_ACQUIRE))
		return NULL;
	const struct record *rec = (const struct record *)(r->bytes + r->tail % RING_BYTES);
	if (rec->caplen != SKIP)
		return rec;
	__atomic_store_n(&r->tail, r->tail + (RING_BYTES - r->tail % RING_BYTES), __ATOMIC_RELEASE);
	// A skip is published together with the record behind it.
	return (const struct record *)r->bytes;
}

uint32_t tape_read(struct tape *c, uint32_t max,
	void (*each)(void *ctx, const struct capture_frame *f), void *ctx)
{
	uint32_t n;

	for (n = 0; n < max; n++) {
		struct tape_ring *from = NULL;
		const struct record *oldest = NULL;
		for (uint32_t i = 0; i < c->n_rings; i++) {
			const struct record *rec = ring_first(&c->ring[i]);
			if (rec && (!oldest || rec->time_ns < oldest->time_ns)) {
				oldest = rec;
				from = &c->ring[i];
			}
		}
		if (!oldest)
			break;
		each(ctx, &(struct capture_frame){.time_ns = oldest->time_ns,
				  .len = oldest->len,
				  .caplen = oldest->caplen,
				  .dir = (uint8_t)oldest->dir,
				  .data = (const uint8_t *)(oldest + 1)});
		__atomic_store_n(
			&from->tail, from->tail + record_size(oldest->caplen), __ATOMIC_RELEASE);
	}
	return n;
}

uint64_t tape_lost(const struct tape *c)
{
	uint64_t lost = 0;

	for (uint32_t i = 0; i < c->n_rings; i++)
		lost += __atomic_load_n(&c->ring[i].lost, __ATOMIC_RELAXED);
	return lost;
}
