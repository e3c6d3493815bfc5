// SPDX-License-Identifier: BSD-2-Clause
// A port under test without a switch: its operations called as a worker would, and a packet socket
// at the far end of its device.
#pragma once

#include "dataplane/port/port.h"

#include <stdbool.h>
#include <stdint.h>

#define RIG_FRAME_MAX 65600u

struct port_rig {
	struct port *port;
	int far;    // packet socket, or -1
	unsigned q; // receive queue of the last burst
	struct port_stats st;
	struct burst burst;
	// Told by the port, from a thread of its own: read with the functions below.
	pthread_mutex_t lock;
	enum port_link link;
	uint32_t n_link; // times told
	char why[256];
	char log[4096]; // all lines
};

void rig_init(struct port_rig *r);
// Closes port and socket.
void rig_fini(struct port_rig *r);
// One on the heap, for the setup of a test; with a new veth pair wx0 (02:..:a0), wx1 (02:..:b0) made with
// these options, and its far end at wx1.
struct port_rig *rig_new(void);
struct port_rig *rig_new_veth(const char *options);
// The teardown for it: *state is the rig. Removes the pair, too.
int rig_teardown(void **state);
int rig_open(struct port_rig *r, const struct port_config *config, struct error *err);
// Opens and waits for the link; the test fails if that does not work.
void rig_open_ok(struct port_rig *r, const struct port_config *config);
void rig_close(struct port_rig *r);

void rig_wait_link(struct port_rig *r, enum port_link link);
// Waits until a line with this text was logged.
void rig_wait_log(struct port_rig *r, const char *text);
void rig_clear_log(struct port_rig *r);
// Does the reason of the link's last change contain this text?
bool rig_why_has(struct port_rig *r, const char *text);

// A frame that says which it is: from 02:..:b0 to 02:..:a0, type 88b5.
void rig_fill(uint8_t *frame, uint32_t len, uint32_t number);
// Makes a frame of these bytes, with a head and two segments behind it.
void rig_make(struct frame *f, struct frame_seg segs[2], uint8_t *bytes, uint32_t len);

// Far end to port, port to far end: one frame each, checked byte by byte.
void rig_far_send(struct port_rig *r, uint32_t len, uint32_t number);
void rig_expect_rx(struct port_rig *r, uint32_t len, uint32_t number);
// Sends one frame; returns what tx said.
uint32_t rig_tx(struct port_rig *r, unsigned q, uint32_t len, uint32_t number);
void rig_expect_far(struct port_rig *r, uint32_t len, uint32_t number);
// Both ways.
void rig_exchange(struct port_rig *r, uint32_t len);

// Polls all queues until one lends something (in r->burst, queue r->q). False if none ever did.
bool rig_rx(struct port_rig *r);
void rig_rx_done(struct port_rig *r);

// What the port says of itself, as lines "program.redirected=3" and "rings.0.queue=0"; the value of
// one of them, "" if there is none. Good until the next call.
const char *rig_describe(struct port_rig *r);
const char *rig_says(struct port_rig *r, const char *key);
uint64_t rig_number(struct port_rig *r, const char *key);
