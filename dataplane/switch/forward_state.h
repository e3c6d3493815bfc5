// SPDX-License-Identifier: BSD-2-Clause
// What a worker's forwarding keeps between its steps: lists, queues to notify, scratch.
#pragma once

#include "dataplane/frame/frame.h"
#include "dataplane/switch/event_ring.h"
#include "dataplane/switch/fdb.h"
#include "dataplane/switch/frame_list.h"
#include "dataplane/switch/key_burst.h"
#include "dataplane/switch/plan.h"

// Lists that found no room and are offered once more; what is beyond is dropped at once.
#define RETRY_MAX 32u
// Views that one segment of a large frame may need.
#define SEGMENT_VIEWS 2048u

struct retry {
	uint16_t port, q;
	struct frame_list list;
};

// A worker's forwarding state. Touched by that worker only.
struct forward {
	// Set before the worker runs.
	uint32_t worker;
	struct event_ring *events;
	const struct key_burst_ops *loops;

	// Set for each pass.
	const struct plan *plan;
	bool shared; // there are other workers: transmit queues are locked
	struct fdb *fdb;
	uint32_t now;    // seconds of CLOCK_MONOTONIC
	uint64_t cycles; // counter at the start of the pass

	// Place of the queue that found too little room at its destination last: the next pass begins
	// there, if the plan still has as many.
	uint32_t first;

	// Of the burst at hand.
	struct burst *burst;
	const struct plan_rxq *rxq;
	bool plain;    // all frames are untagged and in VLAN `vid`; else ask each frame
	uint16_t vid;  // if plain
	bool has_keys; // `key` holds the keys of the burst's frames
	struct burst_keys key;
	uint32_t each;  // frames that the last large one was cut into; 1: none was
	bool is_spread; // over several queues, or cut
	bool is_short;  // some found no room, and lane->to says where
	uint16_t n_touched;
	uint16_t touched[PORT_MAX + 1]; // destinations that have a list; the last is never one
	struct frame_list list[PORT_MAX];
	uint32_t n_retries;
	struct retry retry[RETRY_MAX];

	// Queues to notify at the end of the pass.
	uint16_t n_ports;
	uint16_t ports[PORT_MAX];
	uint16_t rx_queues[PORT_MAX], tx_queues[PORT_MAX]; // bits

	// Scratch: frames cut from a large one.
	struct burst parts;
	struct frame_seg views[SEGMENT_VIEWS];
};

// Where a pass over n queues begins.
static inline uint32_t forward_first(const struct forward *fw, uint32_t n)
{
	return fw->first < n ? fw->first : 0;
}

// The k-th of n queues in a pass that began at `first`: all of them, once each.
static inline uint32_t forward_next(uint32_t first, uint32_t k, uint32_t n)
{
	return first + k < n ? first + k : first + k - n;
}

// Remembers that rx_done touched the queue.
static inline void forward_touch_rx(struct forward *fw, const struct plan_rxq *rq)
{
	if (!(fw->rx_queues[rq->id] | fw->tx_queues[rq->id]))
		fw->ports[fw->n_ports++] = rq->id;
	fw->rx_queues[rq->id] |= (uint16_t)(1u << rq->q);
}

// Notifies every queue that was touched since the last call; begins with the full fence that
// separates what was published from the look at what the other side wants to know (partner: the
// fence in a driver or device between publishing its wish and looking at the ring again). Worker,
// once per pass.
void forward_notify(struct forward *fw);
