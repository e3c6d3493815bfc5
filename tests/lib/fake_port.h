// SPDX-License-Identifier: BSD-2-Clause
// A port in memory: lends the frames that a test gave it, keeps the frames that it received.
//
// It behaves as the contract of port_ops says and checks that the switch does too: frames are lent
// as head and one view, given back once, and never touched after; a queue that is armed writes its
// kick when a frame arrives. Tests and workers may use it at the same time.
#pragma once

#include "dataplane/port/port.h"

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>

extern const struct port_ops fake_port_ops;    // type "fake"
extern const struct port_ops fake_steered_ops; // type "fake-nic", with steer

// A frame as it went in or came out.
struct fake_frame {
	uint32_t len;
	uint16_t q; // queue it came out of
	struct virtio_net_hdr offload;
	uint8_t *bytes;
};

// The open port of that name, or NULL.
struct port *fake_find(const char *name);

// Sends a frame from the port into the switch on queue `q`. Copies the bytes.
void fake_send(struct port *port, unsigned q, const void *bytes, uint32_t len);
// The same with a virtio-net header that was checked (offload_check is called on lending).
void fake_send_offload(struct port *port, unsigned q, const void *bytes, uint32_t len,
	const struct virtio_net_hdr *offload);
// Frames sent that were not lent and given back yet.
uint32_t fake_backlog(struct port *port);

// How many frames were received since the last fake_forget; the i-th of them.
uint32_t fake_n_received(struct port *port);
struct fake_frame fake_received(struct port *port, uint32_t i);
void fake_forget(struct port *port);
// Waits until `n` frames were received; false after ten seconds.
bool fake_wait(struct port *port, uint32_t n);

// Room of transmit queue `q`: frames that it takes until it is full; UINT32_MAX: no end.
void fake_set_room(struct port *port, unsigned q, uint32_t n);
// Room that appears as soon as a call of tx found none: for polling again.
void fake_set_late_room(struct port *port, unsigned q, uint32_t n);
// Whether frames that are not lent will be lost.
void fake_set_spills(struct port *port, bool spills);
void fake_set_link(struct port *port, enum port_link link, const char *why);
void fake_set_queues(struct port *port, uint32_t n_txq);
void fake_set_offloads(struct port *port, uint32_t offloads);
// Lends what is behind the head in views of `len` bytes each; 0: in one.
void fake_set_view_len(struct port *port, uint32_t len);
// Does not keep what it receives, only counts and checks it.
void fake_set_forgetful(struct port *port, bool forgetful);
// Lending a burst takes so many ticks of the cycle counter at least.
void fake_set_cost(struct port *port, uint64_t ticks);
// The next call of tx takes so many.
void fake_set_slow_tx(struct port *port, uint64_t ticks);
// Reads the 32-bit number at offset 14 of every frame as its sequence number, and the one at offset
// 18 as its flow (below 256): they must grow within a flow.
void fake_check_order(struct port *port);

// Whether all such ports say how the frames of a burst begin (struct burst); not at first.
void fake_set_sums(bool sums);

// What happened to a queue.
struct fake_calls {
	uint32_t rx, rx_done, tx, notify_rx, notify_tx, arm, disarm;
	uint32_t fetched; // frames that tx_fetch spoke of
	bool armed;
};
struct fake_calls fake_calls(struct port *port, unsigned q);

// Calls of steer, "+mac vid" and "-mac vid", one a line. For "fake-nic".
const char *fake_steered(struct port *port);

// Makes the next fake_port_ops.set fail with this. 0: it succeeds.
void fake_set_fails(int rc);
