// SPDX-License-Identifier: BSD-2-Clause
// Tells the network where a guest is that arrived by migration: a RARP broadcast in its name.
//
// The frame takes the way of any frame from that port: the port's VLAN and policy hold, the address
// is learnt, the others get the broadcast. So a worker sends it: the one that the plan names looks at
// a flag once per pass.
#pragma once

#include "dataplane/frame/frame.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define ANNOUNCE_MAX 64u

struct announcement {
	uint32_t port;
	uint8_t mac[6];
};

struct announce {
	pthread_mutex_t lock;
	int wake_fd;      // eventfd of the worker that sends them; -1 none. Under lock
	uint32_t pending; // how many; written under lock, read without by that worker
	struct announcement queue[ANNOUNCE_MAX];
};

void announce_init(struct announce *a);
void announce_fini(struct announce *a);

// Control. From here on this descriptor is written when an announcement is queued, and no other.
void announce_wake(struct announce *a, int fd);

// Any thread but workers. Queues an announcement and wakes the worker; false if it is there already
// or there is no room.
bool announce_add(struct announce *a, uint32_t port, const uint8_t mac[6]);
// Control. Forgets those of a port that goes.
void announce_del(struct announce *a, uint32_t port);

static inline bool announce_is_pending(const struct announce *a)
{
	return __atomic_load_n(&a->pending, __ATOMIC_RELAXED) != 0;
}

// Worker. Takes the next; false if there is none or the lock is taken (then at the next pass).
bool announce_take(struct announce *a, struct announcement *out);

// Makes the frame: a reverse ARP request for the address itself.
void announce_frame(const uint8_t mac[6], struct frame *f);
