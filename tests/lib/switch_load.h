// SPDX-License-Identifier: BSD-2-Clause
// Load for a switch in memory: threads that send numbered flows through ports of tests/lib/fake_port.h,
// receivers that check that the numbers of every flow only grow: nothing is doubled or overtaken.
#pragma once

#include "dataplane/switch/switch.h"
#include "tests/lib/fake_port.h"

#include <pthread.h>
#include <stdint.h>

#define LOAD_SENDERS 4
#define LOAD_QUEUES  2
#define LOAD_BACKLOG 512u

// A sender: a port whose queues each carry a flow of their own to the receivers in turn.
struct load_sender {
	struct port *port;
	uint8_t id;
	uint32_t frames; // to send on each queue
	uint32_t n_to;   // receivers: stations 0xf0, 0xf1, ...
	pthread_t thread;
};

struct load {
	struct sw *sw;
	struct load_sender s[LOAD_SENDERS]; // ports from0, from1, ...
	struct port *to[2];                 // to0, to1
};

// A switch whose workers are not pinned.
struct sw *load_switch(uint32_t n_workers);
struct port *load_port(struct sw *sw, const char *name, uint32_t queues);
// A frame of 64 bytes from station `from` (by its queue `from_q`) to station `to`.
void load_frame(uint8_t *f, uint8_t from, uint8_t from_q, uint8_t to, uint32_t flow, uint32_t seq);

// Makes the switch, lets it learn the receivers, and starts to send `frames` of each flow.
void load_start(struct load *l, uint32_t n_workers, uint32_t frames);
// How many of all have arrived.
uint64_t load_arrived(const struct load *l);
uint64_t load_expected(const struct load *l);
// Waits until all have arrived, once each and in order, and takes the switch down.
void load_end(struct load *l);
