// SPDX-License-Identifier: BSD-2-Clause
// The inside of struct sw, for the files that make up the switch's face and nobody else.
#pragma once

#include "dataplane/switch/announce.h"
#include "dataplane/switch/tape.h"
#include "dataplane/switch/event_queue.h"
#include "dataplane/switch/plan.h"
#include "dataplane/switch/policy.h"
#include "dataplane/switch/switch.h"
#include "dataplane/switch/worker.h"

// A reason of drops, to tell when it begins.
struct drop_watch {
	uint64_t count;     // at the last tick
	uint32_t last_seen; // second of the last increase
	bool active;        // told, and not yet quiet for long enough
};

// A port as control keeps it. Control only, but for what `lock` guards.
struct sw_port {
	struct sw *sw;
	struct sw_port *next; // in the order of creation
	struct switch_port_config config;
	struct port *port;
	uint32_t id;
	char name[PORT_NAME_MAX]; // for the port's thread; never changes
	struct policy *policy;
	struct tape *tape;
	struct drop_watch drops[N_DROP_REASONS];
	char why_shown[256]; // what switch_port.link_why points to
	uint32_t pinned;     // bits of receive queues whose worker was chosen by switch_port_assign

	pthread_mutex_t lock;
	bool link_up; // control or the port's thread writes, under lock
	bool flush;   // the link went down: what was learnt there is to be forgotten
	char why[256];
	struct lane lanes[PORT_QUEUES_MAX];
};

struct sw {
	struct switch_config config;
	uint32_t age_s;
	struct workers shared;
	struct plan_common common; // of the next plan
	uint32_t n_workers;
	bool ending;                        // no port is polled any more
	struct worker *worker[WORKERS_MAX]; // by number, as operators count them
	struct event_queue events;
	uint64_t plan_seq;
	uint64_t cycles_from, ns_from; // when the counter's rate was first measured
	struct sw_port *ports;         // list in the order of creation
	struct sw_port *by_id[PORT_MAX];
	const struct port_keeper *keeper; // of the ports; may be NULL
	bool resync;                      // events were lost: steering has to be gone over
};

// --- switch.c ---

// Makes a plan of all ports, publishes it, wakes the workers and waits until none uses the old one.
// 0 or -ENOMEM, nothing changed.
int sw_publish(struct sw *sw);
// The same, until there is memory: for what cannot be taken back.
void sw_publish_surely(struct sw *sw);
const char *sw_port_name(const struct sw *sw, uint32_t id);
// Takes over what workers have told of addresses, while the ports it speaks of have their names.
void sw_take_events(struct sw *sw);
// Takes over all that a worker has told which tells no more.
void sw_take_last_events(struct sw *sw, struct worker *w);
// Fills in what a configuration leaves open about workers and checks the rest.
int sw_check_workers(struct switch_config *c, struct error *err);

// --- switch_port.c ---

struct sw_port *sw_port_find(const struct sw *sw, const char *name);
// -ENOENT with a sentence.
int sw_port_unknown(const char *name, struct error *err);
// Takes a port out and frees it.
void sw_port_del(struct sw *sw, struct sw_port *p);

// --- switch_workers.c ---

#define UNPOLLED WORKERS_MAX // port_rxq.worker of a queue that nobody polls

// Number of the worker in a slot; UNPOLLED if there is none.
uint32_t sw_worker_number(const struct sw *sw, uint32_t slot);
// Gives each queue that nobody polls to the worker that has fewest, from the next plan on.
void sw_spread_queues(struct sw *sw);

// --- switch_fdb.c ---

// Tells the ports that steer addresses where this one is now.
void sw_steer(struct sw *sw, uint64_t key);
// Tells one port of all addresses, and takes back what it was told of others.
void sw_steer_port(struct sw *sw, struct sw_port *p);
// Forgets learnt addresses of a port (PORT_MAX: of all) in a VLAN (0: in all); `also_static` those
// set by hand too.
uint32_t sw_forget(struct sw *sw, uint32_t id, uint16_t vid, bool also_static);
// Forgets learnt and static addresses in VLANs that the port does not carry any more.
void sw_forget_lost_vlans(struct sw *sw, const struct sw_port *p);
void sw_age(struct sw *sw);
// Tells events and ports that an address is not known any more.
void sw_say_forgotten(struct sw *sw, uint64_t key, uint32_t port);
// Fills an event from one of a worker's.
void sw_fdb_event(struct sw *sw, const struct fdb_event *from, struct switch_event *to);

// --- switch_fdb_max.c ---

// Addresses that a table has room for at first: what most hosts will ever know. It fits into the nearer caches, and
// so does every look-up.
#define SW_FDB_ROOM 16384u

static inline uint32_t sw_fdb_room(uint32_t max)
{
	return max < SW_FDB_ROOM ? max : SW_FDB_ROOM;
}

// Makes the table larger, unless it holds as many addresses as it may or has many times the slots for them. Without
// memory it stays as it is.
void sw_grow_fdb(struct sw *sw);
