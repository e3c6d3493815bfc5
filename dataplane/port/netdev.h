// SPDX-License-Identifier: BSD-2-Clause
// A Linux network interface as a port sees it: its state, its queues, and word of its changes.
#pragma once

#include "dataplane/port/error.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct netdev {
	int ifindex;
	uint32_t mtu;
	bool is_ethernet; // not lo, nor what carries bare IP
	bool up;          // administratively
	bool running;     // has carrier too
	uint8_t mac[6];
	uint32_t n_rx, n_tx; // queues in use
	uint32_t max_queues; // that ethtool -L could make; at least n_rx
	bool separate;       // ethtool -L knows rx and tx, not combined
	char driver[32];     // "" if unknown
};

// Reads the state of interface `name`. 0, -ENODEV if there is none (err says so), or another
// -errno. May block for a moment. Control or event thread.
int netdev_get(const char *name, struct netdev *out, struct error *err);

// Sets the MTU; brings the interface up. 0 or -errno with *err: -EINVAL if the kernel or the driver refuses,
// -EAGAIN if it may not another time.
int netdev_set_mtu(const char *name, uint32_t mtu, struct error *err);
int netdev_set_up(const char *name, struct error *err);

bool netdev_has_rx_vlan_offload(const char *name);
// Turns stripping of VLAN tags by the receiving card off (or on again): XDP does not see a tag that
// was stripped. True if it was on and is now off. Devices without the feature: false.
bool netdev_set_rx_vlan_offload(const char *name, bool on);

// Makes the interface receive frames for all addresses as long as the descriptor is open; the
// kernel counts, and a daemon that dies takes its wish along. -errno with *err on failure.
int netdev_promiscuous(int ifindex, struct error *err);

// A thread that calls `changed` when any interface of the namespace changes, and at least every
// NETDEV_WATCH_MS: queue counts change without a message.
#define NETDEV_WATCH_MS 250
struct netdev_watch {
	pthread_t thread;
	int stop_fd;
	void *sock; // struct nl_sock
	void (*changed)(void *ctx);
	void *ctx;
	bool running;
};

int netdev_watch_start(
	struct netdev_watch *w, void (*changed)(void *ctx), void *ctx, struct error *err);
// Waits for the thread to end. A zeroed watch is fine.
void netdev_watch_stop(struct netdev_watch *w);
