// SPDX-License-Identifier: BSD-2-Clause
// What the files of the af-xdp port share: its state, and setting it up on a device.
//
// Control opens and closes; from then on a thread of the port's own watches the device and sets
// everything up again when it has gone and come, or changed its queues. Both hold `lock` for that,
// and never while they call up. Workers take no lock: they find their queue through queue[], which
// is published by one store and freed only after a grace period.
#pragma once

#include "dataplane/port/af_xdp_program.h"
#include "dataplane/port/af_xdp_queue.h"
#include "dataplane/port/af_xdp_steer.h"
#include "dataplane/port/host_copy.h"
#include "dataplane/port/netdev.h"
#include "dataplane/port/news.h"
#include "dataplane/port/port.h"

enum { AF_XDP_ZEROCOPY, AF_XDP_COPY, AF_XDP_GENERIC, AF_XDP_N_MODES };

struct af_xdp {
	struct port port;
	pthread_mutex_t lock; // guards what follows up to `queue`, between control and the watch
	struct netdev_watch watch;
	struct netdev dev;   // as it was when we set up last
	bool ready;          // sockets and program are in place
	unsigned mode;       // AF_XDP_*
	bool frags, tx_csum; // in use
	int up_ifindex;      // that we saw up: if it is down now, somebody wants it so
	int promisc_fd;
	struct af_xdp_program program;
	char why_not[AF_XDP_N_MODES][256]; // why each better mode is not in use
	uint64_t retry_at, look_at;        // CLOCK_MONOTONIC in ns: not before
	char last_error[512];              // of the last attempt, so that it is logged once
	uint64_t known_long, reported_bad, reported_drops;
	bool told_long;            // since the device was set up
	bool told_tags;            // that they are stripped; since there is the device
	uint64_t copy_lost;        // broadcasts lost because weft's copy found no room
	struct af_xdp_steer steer; // share: host
	struct news news;

	// Written under lock, read by workers; each lives until the grace period after it left.
	struct xdp_queue *queue[PORT_QUEUES_MAX];
	struct host_copy *copy; // share: host; the last receive queue
	// What the frames on loan are of: the worker of the receive queue alone.
	struct xdp_queue *lent[PORT_QUEUES_MAX];
	struct host_copy *lent_copy;
};

// "native, copy" and so on; and as the configuration has it.
const char *af_xdp_mode_name(unsigned mode);
const char *af_xdp_mode_key(unsigned mode);

// Receive queues of the port that are the device's; with share: host one more follows them.
static inline uint32_t af_xdp_queues_max(const struct af_xdp *ax)
{
	return ax->port.n_rxq - ax->port.config.share_host;
}

// Opens everything on the device in the best mode that works, and lets the workers at it. 0 or
// -errno with *err and nothing left behind. Under the lock (or before there is a watch).
int af_xdp_set_up(struct af_xdp *ax, struct error *err);
// Takes everything away from the workers, then down. `gone`: the device went. Under the lock.
void af_xdp_take_down(struct af_xdp *ax, bool gone);
// The watch's: `ctx` is the port. Takes the lock.
void af_xdp_device_changed(void *ctx);
