// SPDX-License-Identifier: BSD-2-Clause
// Events of addresses from workers to control.
#include "dataplane/switch/event_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

int event_ring_init(struct event_ring *r, int fd)
{
	memset(r, 0, sizeof(*r));
	r->fd = fd;
	r->slot = calloc(EVENT_RING_SIZE, sizeof(*r->slot));
	return r->slot ? 0 : -ENOMEM;
}

void event_ring_fini(struct event_ring *r)
{
	free(r->slot);
	r->slot = NULL;
}

void event_ring_push(struct event_ring *r, const struct fdb_event *ev)
{
	uint32_t head = r->head;

	r->unsaid = true;
	// Pairs with the release of tail in pop: the slot has been read.
	if (head - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) == EVENT_RING_SIZE) {
		__atomic_store_n(&r->lost, r->lost + 1, __ATOMIC_RELAXED);
		return;
	}
	r->slot[head % EVENT_RING_SIZE] = *ev;
	__atomic_store_n(&r->head, head + 1, __ATOMIC_RELEASE);
}

void event_ring_tell(struct event_ring *r)
{
	if (!r->unsaid)
		return;
	r->unsaid = false;
	// Pairs with the exchange in listen: either control sees what was pushed before, or we see
	// that it listens and write.
	if (__atomic_exchange_n(&r->told, 1, __ATOMIC_SEQ_CST) == 0)
		eventfd_write(r->fd, 1);
}

bool event_ring_pop(struct event_ring *r, struct fdb_event *ev)
{
	uint32_t tail = r->tail;

	if (tail == __atomic_load_n(&r->head, __ATOMIC_ACQUIRE))
		return false;
	*ev = r->slot[tail % EVENT_RING_SIZE];
	__atomic_store_n(&r->tail, tail + 1, __ATOMIC_RELEASE);
	return true;
}

void event_ring_listen(struct event_ring *r)
{
	__atomic_exchange_n(&r->told, 0, __ATOMIC_SEQ_CST);
}

uint64_t event_ring_lost(struct event_ring *r)
{
	uint64_t lost = __atomic_load_n(&r->lost, __ATOMIC_RELAXED);
	uint64_t n = lost - r->lost_told;

	r->lost_told = lost;
	return n;
}
