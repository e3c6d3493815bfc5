// SPDX-License-Identifier: BSD-2-Clause
// A worker: the thread that polls receive queues, forwards, and sleeps when there is nothing to do.
//
// A pass. For each queue of the plan: take a burst, forward it, give it back. Then one full fence,
// then the notifications of all queues touched. Queues that would lose what they cannot lend catch up
// (behind.h), and those they touched are notified. Then a quiescent state: nothing got from the plan is
// kept across it.
//
// Sleep. After `idle` ticks without a frame the worker asks every queue to wake it (arm: writes the
// wish, full fence, looks at the ring again), looks whether the plan is still the one whose queues
// it armed, goes offline for RCU and waits in epoll for a kick or its own wake descriptor. Kicks
// are edge-triggered and never read. Nothing periodic runs in a worker: idle guests cost nothing.
//
// Whose time it is. Every so often, on average once in WORKER_TIMED_EACH passes, a pass reads the clock
// after each queue, and counts what each took that many times for its port: from polling the queue to
// giving the burst back, delivery to all receivers included. What belongs to no queue (notifications,
// looking at empty queues) is shared out in the same proportion, so that all ports together have the
// worker's busy time. The distance is random: nothing periodic in the traffic hides from it. All other
// passes pay one count.
#pragma once

#include "dataplane/frame/frame.h"
#include "dataplane/switch/announce.h"
#include "dataplane/switch/forward.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define WORKER_TIMED_EACH 64

// What all workers of a switch share.
struct workers {
	const struct plan *plan; // written by control, read by workers
	struct announce announce;
	uint64_t cycles_hz;
};

// Written by the worker with plain stores of whole words, read by control.
struct worker_counters {
	uint64_t passes, busy_passes, frames;
	uint64_t busy_cycles, idle_cycles;
	uint64_t sleeps, asleep_ns;
	uint32_t asleep;
};

struct worker {
	// The slot: index of its counters, its list in the plan and its ring of a capture. It stays
	// the same while the worker lives, whatever number the operator knows it by.
	uint32_t id;
	int32_t core; // -1: not pinned
	struct workers *shared;
	int epfd, wake_fd;
	pthread_t thread;
	bool running;  // control: the thread is to be joined
	uint32_t stop; // written by control

	struct worker_counters counters __attribute__((aligned(64)));
	uint64_t seq;         // of the plan in use
	uint64_t next_second; // ticks at which the coarse clock is read again
	uint32_t to_timed;    // passes until one is timed
	uint32_t random;      // state of its distance
	struct event_ring events;
	struct forward forward;
	struct burst burst;
};

// Control. Starts a worker in slot `id`, which no other has; events of addresses go through
// `event_fd`. On failure nothing is left behind.
int worker_start(struct workers *shared, uint32_t id, int32_t core, int event_fd,
	struct worker **out, struct error *err);
// Control. Stops and frees; NULL is fine. No plan in use has queues for it.
void worker_stop(struct worker *w);

// Any thread. Makes the worker look at the plan and its queues soon, also if it sleeps.
void worker_wake(struct worker *w);

// Control.
void worker_get(const struct worker *w, struct switch_worker *out);

// One pass over the worker's queues; true if there were frames. For tests and the worker itself.
bool worker_pass(struct worker *w, const struct plan *plan);
// The same, and counts the time that each queue took.
bool worker_pass_timed(struct worker *w, const struct plan *plan);
