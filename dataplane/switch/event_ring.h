// SPDX-License-Identifier: BSD-2-Clause
// What a worker tells control of addresses: a bounded ring with one writer and one reader.
//
// The worker never waits: what does not fit is counted as lost. The descriptor is written once
// after the ring was drained, not per event, so a flood of addresses costs no system calls.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define EVENT_RING_SIZE 1024u // power of two

struct fdb_event {
	uint64_t key;
	uint16_t kind; // EVENT_FDB_*
	uint16_t port, old_port;
};

struct event_ring {
	struct fdb_event *slot;
	int fd; // eventfd of the switch
	// Written by the worker.
	uint32_t head __attribute__((aligned(64)));
	uint64_t lost; // relaxed, read by control
	bool unsaid;   // pushed to since the last event_ring_tell; worker only
	// Written by control.
	uint32_t tail __attribute__((aligned(64)));
	uint64_t lost_told;
	uint32_t told; // 1: the descriptor was written since the last drain. Both
};

int event_ring_init(struct event_ring *r, int fd);
void event_ring_fini(struct event_ring *r);

// Worker.
void event_ring_push(struct event_ring *r, const struct fdb_event *ev);
// Worker, at the end of a pass: lets control know.
void event_ring_tell(struct event_ring *r);

// Control. Takes one; false if there is none.
bool event_ring_pop(struct event_ring *r, struct fdb_event *ev);
// Control, before it begins to pop: from here on the worker writes the descriptor again.
void event_ring_listen(struct event_ring *r);
// Control. Events lost since the last call.
uint64_t event_ring_lost(struct event_ring *r);
