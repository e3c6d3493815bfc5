// SPDX-License-Identifier: BSD-2-Clause
// The switch as control sees it: ports, addresses, VLANs, workers. The dataplane's only face.
//
// Every function here is called on the control thread. Strings and arrays handed out live until
// the next call. Failures are -errno with the key at fault and a sentence in *err.
#pragma once

#include "dataplane/port/error.h"
#include "dataplane/port/port.h"
#include "dataplane/port/stats.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

struct sw;

#define VLAN_N 4096

// VLANs of a port. An access port sends and receives untagged frames of one VLAN. A trunk carries
// the tagged VLANs of `trunk`, and untagged frames in `native` (0: untagged frames are dropped).
struct vlan_config {
	bool is_trunk;
	uint16_t access;             // 1..4094; default 1
	uint16_t native;             // trunks: 0 or 1..4094
	uint64_t trunk[VLAN_N / 64]; // bitmap; all ones of 1..4094: "all"
};

#define POLICY_ADDRS_MAX 16

// Who may send what, how fast. All zero: everything is allowed.
struct policy_config {
	uint32_t n_macs; // anti-spoof: source MACs allowed; 0 any
	uint8_t macs[POLICY_ADDRS_MAX][6];
	uint32_t n_ips; // source IPv4/IPv6 (and ARP sender) allowed; 0 any
	struct policy_ip {
		uint8_t family; // 4 or 6
		uint8_t prefix; // length in bits
		uint8_t addr[16];
	} ips[POLICY_ADDRS_MAX];
	bool isolated;               // no frames between two isolated ports
	uint64_t rate_bps, rate_pps; // from the port into the switch; 0 unlimited
	uint64_t storm_pps;          // flooded frames from the port; 0 unlimited
};

struct switch_port_config {
	struct port_config port;
	struct vlan_config vlan;
	struct policy_config policy;
};

#define FDB_MAX_DEFAULT 65536u
#define FDB_MAX_LIMIT   (1u << 24)

#define PATIENCE_DEFAULT_US 8000u

struct switch_config {
	uint32_t n_workers;         // 0: one, on a core found by itself
	int32_t cores[WORKERS_MAX]; // core of each; -1 not pinned
	bool idle_poll;             // idle: poll
	uint32_t idle_us;           // sleep after so many microseconds without work; 0: 50
	uint32_t patience_us;       // frames wait for room at their destination at most; 0: never
	uint32_t age_s;             // seconds until an address that is silent is forgotten; 0: 300
	uint32_t fdb_max;           // addresses at most; 0: 65536
};

enum switch_event_kind {
	EVENT_PORT_ADDED,
	EVENT_PORT_REMOVED,
	EVENT_PORT_CHANGED,
	EVENT_LINK_UP,
	EVENT_LINK_DOWN, // text: why ("guest connected: ...")
	EVENT_FDB_LEARNT,
	EVENT_FDB_MOVED,
	EVENT_FDB_AGED,
	EVENT_DROPS, // a reason of drops began on a port; rate-limited
	EVENT_LOG,   // anything else worth a line
	EVENT_LOST,  // `count` events were dropped here: the queue was full
};

struct switch_event {
	enum switch_event_kind kind;
	int level;                    // syslog level
	uint64_t time_ns;             // CLOCK_REALTIME
	char port[PORT_NAME_MAX];     // "" if none
	char old_port[PORT_NAME_MAX]; // EVENT_FDB_MOVED
	uint8_t mac[6];               // EVENT_FDB_*
	uint16_t vid;
	enum drop_reason reason; // EVENT_DROPS
	uint64_t count;
	char text[256];
};

// Starts the workers. `config` is copied.
int switch_new(const struct switch_config *config, struct sw **out, struct error *err);
// Gives the ports that are added from here on a place for what outlives the daemon. It outlives the switch.
void switch_keep(struct sw *sw, const struct port_keeper *keeper);
// From here on nothing is taken from any port. What a guest has in its ring waits there for the next
// daemon; taken while ports are closed one by one it would be lost.
void switch_end(struct sw *sw);
// Removes all ports, stops the workers, frees. NULL is fine.
void switch_free(struct sw *sw);

// Events wait in a bounded queue; the descriptor is readable while there are any.
int switch_event_fd(const struct sw *sw);
bool switch_event_next(struct sw *sw, struct switch_event *ev);

// To be called about once a second: ageing, rates, port housekeeping.
void switch_tick(struct sw *sw);

// Ports. Names are [A-Za-z0-9_.-]{1,31}.
int switch_port_add(struct sw *sw, const struct switch_port_config *config, struct error *err);
int switch_port_del(struct sw *sw, const char *name, struct error *err);
// Changes an existing port to `config` (same name). What can change in place does, without losing a
// frame; a change of type, socket or device replaces the port.
int switch_port_set(struct sw *sw, const struct switch_port_config *config, struct error *err);

struct switch_port {
	const struct switch_port_config *config;
	uint32_t id;
	bool link_up;
	const char *link_why; // why it is so, a sentence
	uint32_t mtu;
	uint32_t n_rxq;
	uint32_t rxq_live; // bit q: something is behind queue q now
	uint32_t rxq_worker[PORT_QUEUES_MAX];
	struct port_stats stats; // summed
};

// Calls `each` for each port in the order of their creation until it returns non-zero, and returns
// that.
int switch_port_foreach(
	struct sw *sw, int (*each)(void *ctx, const struct switch_port *port), void *ctx);
// 0 or -ENOENT.
int switch_port_find(struct sw *sw, const char *name, struct switch_port *out);
// What the port's type has to say: guest, features, queues, mode.
int switch_port_describe(struct sw *sw, const char *name, const struct describer *to);
// Moves receive queue `q` of a port to worker `worker`, where it stays when workers come and go.
int switch_port_assign(
	struct sw *sw, const char *name, uint32_t q, uint32_t worker, struct error *err);

// Receive queues `from` and those behind it need not stay with the workers chosen for them.
void switch_port_unpin(struct sw *sw, const char *name, uint32_t from);

// Forwarding database.
struct switch_fdb_entry {
	uint8_t mac[6];
	uint16_t vid;
	const char *port;
	bool is_static;
	uint32_t age_s; // seconds since it was last seen
};
int switch_fdb_foreach(
	struct sw *sw, int (*each)(void *ctx, const struct switch_fdb_entry *e), void *ctx);
int switch_fdb_add(
	struct sw *sw, const uint8_t mac[6], uint16_t vid, const char *port, struct error *err);
int switch_fdb_del(struct sw *sw, const uint8_t mac[6], uint16_t vid, struct error *err);
// Forgets what was learnt; port NULL: on all ports; vid 0: in all VLANs. Static entries stay.
// Returns how many.
uint32_t switch_fdb_flush(struct sw *sw, const char *port, uint16_t vid);
void switch_fdb_size(struct sw *sw, uint32_t *n, uint32_t *max);
int switch_set_age(struct sw *sw, uint32_t age_s);
// A table for `max` addresses (0: 65536) that takes over what is known: all static addresses, and of
// those learnt what has room, newest first; no port within its share loses any. Frames go on. -EINVAL
// if there are more static addresses.
int switch_set_fdb_max(struct sw *sw, uint32_t max, struct error *err);

// CPUs that workers may run on: those of the first CPU_SETSIZE that the calling thread may use, however many
// more there can be in this machine (DPDK's environment knows no others either). 0 or -errno. Any thread.
int switch_cpus(cpu_set_t *out);

struct switch_worker {
	uint32_t id;
	int32_t core; // -1 not pinned
	bool asleep;
	uint32_t n_rxq;
	uint64_t passes, busy_passes;
	uint64_t frames; // received by this worker
	uint64_t busy_cycles,
		idle_cycles; // counter ticks of the CPU while there was work, while not
	uint64_t cycles_hz;  // ticks per second
	uint64_t sleeps, asleep_ns;
	uint64_t cpu_ns; // CPU time of the thread
};
uint32_t switch_n_workers(const struct sw *sw);
// Makes the workers those on these cores, in this order (n 0: one, on a core found by itself).
// Workers whose core stays go on; new ones take their share of the queues that were not assigned by
// switch_port_assign; queues of those that leave go to the others. No frame is lost. Refused as a
// whole, or done.
int switch_set_workers(struct sw *sw, const int32_t *cores, uint32_t n, struct error *err);
// What a worker without work does: see struct switch_config.
int switch_set_idle(struct sw *sw, bool poll, uint32_t us, struct error *err);
// How long frames wait: see struct switch_config.
int switch_set_patience(struct sw *sw, uint32_t us, struct error *err);
int switch_worker_get(struct sw *sw, uint32_t id, struct switch_worker *out);

// Capture of a port's frames. One at a time on a port; costs nothing when off.
enum { CAPTURE_RX = 1, CAPTURE_TX = 2 }; // from the port into the switch; to the port
struct capture_frame {
	uint64_t time_ns; // CLOCK_REALTIME
	uint32_t len;     // of the frame
	uint32_t caplen;  // bytes at data
	uint8_t dir;      // CAPTURE_RX or CAPTURE_TX
	const uint8_t *data;
};
int switch_capture_start(
	struct sw *sw, const char *port, unsigned dirs, uint32_t snaplen, struct error *err);
int switch_capture_stop(struct sw *sw, const char *port, uint64_t *lost);
// Hands up to `max` captured frames to `each`; returns how many. To be polled (10 ms is fine).
uint32_t switch_capture_read(struct sw *sw, const char *port, uint32_t max,
	void (*each)(void *ctx, const struct capture_frame *f), void *ctx, uint64_t *lost);
