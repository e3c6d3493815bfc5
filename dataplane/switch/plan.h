// SPDX-License-Identifier: BSD-2-Clause
// The plan: all that workers know of the configuration, as one immutable snapshot.
//
// Control builds a new plan for each change, publishes it with one release store, wakes the
// workers, waits for a grace period and frees the old one. Workers load the pointer once per pass
// and compare `seq` to notice. What changes while frames flow (caches, token buckets, capture
// rings) is only pointed at, and says itself who writes it.
#pragma once

#include "dataplane/port/port.h"
#include "dataplane/switch/patience.h"
#include "dataplane/switch/switch.h"
#include "dataplane/switch/vlan.h"

struct fdb;
struct tape;
struct policy;

// A set of ports.
struct port_set {
	uint64_t word[PORT_MAX / 64];
};

static inline bool port_set_has(const struct port_set *set, unsigned id)
{
	return set->word[id / 64] >> (id % 64) & 1;
}

static inline void port_set_add(struct port_set *set, unsigned id)
{
	set->word[id / 64] |= 1ull << (id % 64);
}

static inline void port_set_del(struct port_set *set, unsigned id)
{
	set->word[id / 64] &= ~(1ull << (id % 64));
}

// Where the last frames of a receive queue went.
struct outlet {
	uint16_t port;
	uint16_t each; // frames that one became there, 1..OFFLOAD_PARTS_MAX
	uint8_t q;     // transmit queue
	uint8_t part;  // frames of the next burst that will probably go there, 1..FRAME_BURST
	bool is_known; // there is one
};

// What the worker that polls a receive queue remembers of it: the last source that is known to be
// learnt, the last destination that was allowed, where its last frames went. Touched by that worker
// only; a queue changes hands with a grace period in between.
struct lane {
	uint64_t epoch;     // plan and FDB generation that the rest is true for; 0: for none
	uint64_t src;       // fdb_key
	uint64_t dst;       // fdb_key
	uint32_t src_seen;  // second its time stamp was renewed
	uint32_t dst_port;  // id
	uint32_t quiet;     // bursts in a row in which no source was new or had moved
	struct outlet to;   // whatever the epoch, as what follows
	uint64_t elsewhere; // when frames went to another port than that last
	struct patience patience;
} __attribute__((aligned(64)));

struct plan_port {
	struct port *port; // NULL: no such port
	struct vlan_port vlan;
	bool isolated;
	bool plain;            // an access port without policy or capture
	struct policy *policy; // NULL: none
	struct tape *tape;     // NULL: off
};

struct plan_rxq {
	struct port *port;
	const struct port_ops *ops;
	struct lane *lane;
	struct port_stats *stats; // the polling worker's
	uint16_t id;              // of the port
	uint16_t q;
	bool spills; // port_ops.rx_spills
};

// What holds for all ports: how workers do their work.
struct plan_common {
	struct fdb *fdb;
	uint64_t patience;    // ticks that frames wait for room at most; 0: they do not
	uint64_t idle_cycles; // ticks without work until a worker sleeps
	bool idle_poll;       // never sleep
	bool shared;          // there are several workers: transmit queues are locked
	uint32_t announcer;   // slot of the worker that sends announcements; WORKERS_MAX: none
};

struct plan {
	uint64_t seq; // counts up from 1
	struct plan_common common;
	struct plan_port port[PORT_MAX];
	struct port_set member[VLAN_N]; // ports that carry each VLAN
	struct port_set isolated;
	// By slot of worker: see struct worker.
	uint32_t n_rxq[WORKERS_MAX];
	struct plan_rxq *rxq[WORKERS_MAX]; // queues that each worker polls, in one allocation
	struct plan_rxq queues[];
};

// What control says of one port.
struct plan_input {
	struct port *port;
	struct lane *lanes; // one for each receive queue
	const struct vlan_config *vlan;
	bool isolated;
	struct policy *policy;
	struct tape *tape;
};

// A plan of these ports (port->id is their place; port->rxq[].worker the slot of who polls). NULL: no
// memory.
struct plan *plan_new(
	uint64_t seq, const struct plan_common *common, const struct plan_input *in, uint32_t n);
void plan_free(struct plan *plan);
