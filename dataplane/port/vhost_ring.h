// SPDX-License-Identifier: BSD-2-Clause
// One ring of a guest's network card while it runs: lends the frames that the guest sends, copies
// frames into the buffers that it offers.
//
// A vring is set up and taken down by the port's event thread (or control) while no worker can see
// it, and belongs to one worker at a time in between.
#pragma once

#include "dataplane/frame/frame.h"
#include "dataplane/port/dirty_log.h"
#include "dataplane/port/stats.h"
#include "dataplane/virtq/device.h"

#include <stdbool.h>
#include <stdint.h>

// Calls in a row that took long, and the CPU's time of all but the first.
struct slow_calls {
	uint64_t n, ns;
};

struct vhost_ring {
	struct vq_device vq;
	struct guestmem_cache cache; // last region hit by this ring
	const struct guestmem *mem;  // outlives the ring's run
	struct dirty_log log;        // base NULL: not logging
	uint64_t log_used;           // guest address of the used ring, for the log
	uint32_t hdr_len;            // 10 or 12
	uint32_t ahead; // frames whose first line is fetched before it is used; 1..FRAME_BURST
	uint32_t bodies_ahead; // the same of what is behind their first lines; >= 1
	bool mergeable;        // several chains may hold one frame
	bool offloads;         // frames may come with work left in their header
	bool discard;          // a disabled transmit ring: take frames, forward none
	uint16_t max_indirect; // longest indirect table; 0: not negotiated
	uint64_t gso_allowed;  // 1 << VIRTIO_NET_HDR_GSO_* that the guest may send
	int callfd;            // ours; -1: the guest polls
	int kickfd;            // ours; -1: the guest never kicks
	uint64_t kicks_before; // what kickfd's counter stood at when the ring started

	uint32_t n_taken;            // chains popped by the last lend
	uint16_t taken[FRAME_BURST]; // their heads, in order
	// Chains at the front whose buffers were looked at for a delivery, or one to come, and bytes that each holds.
	uint32_t n_ready, ready_len;
	uint16_t ready[FRAME_BURST]; // their heads
	uint8_t *ready_at[FRAME_BURST];
	uint32_t n_segs;  // views in use by the last lend
	uint32_t n_looks; // descriptors of long chains that this call has looked at
	uint32_t max_segs;
	struct frame_seg *segs; // views of frames in several pieces; owned
	uint32_t chains_each;   // that a frame of the last delivery took, rounded up; >= 1
	bool *stuck;            // of all rings of a VMM: a call held a worker up
	struct slow_calls slow; // kept from run to run
};

// What a ring is started with. Pointers of the rings must lie inside `mem` (checked by the caller).
struct vhost_ring_config {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint64_t log_used;
	const struct guestmem *mem;
	const struct dirty_log *log; // NULL or base NULL: not logging
	uint64_t features;           // negotiated
	uint16_t size, next_avail, next_used;
	int callfd, kickfd; // duplicated; -1 none
	// Outlives the ring's run. The worker sets it when calls have held it up, and makes no more.
	bool *stuck;
	bool discard;
};

// *r is all 0 before its first run. 0, -EINVAL (size) or -ENOMEM. On failure nothing is left behind.
int vhost_ring_start(struct vhost_ring *r, const struct vhost_ring_config *config);
// Closes and frees what vhost_ring_start made. The indexes stay readable in r->vq.
void vhost_ring_stop(struct vhost_ring *r);

// Lends what the guest sent, up to FRAME_BURST frames. See port_ops.rx.
uint32_t vhost_ring_lend(
	struct vhost_ring *r, struct burst *b, uint32_t max, struct port_stats *st);
// Gives back what the last vhost_ring_lend took: one used element each, published once.
void vhost_ring_give_back(struct vhost_ring *r);
// Copies frames into the guest's buffers and publishes them once. See port_ops.tx.
uint32_t vhost_ring_deliver(struct vhost_ring *r, const struct frame *f, const uint8_t *list,
	uint32_t n, struct port_stats *st);
// How many frames like the last ones would find room now, at most `want`. See port_ops.tx_room.
uint32_t vhost_ring_room(struct vhost_ring *r, uint32_t want);
// Looks for the buffers that the next n frames, of `longest` bytes at most, will be copied to, and fetches them as far
// as that pays. See port_ops.tx_fetch.
void vhost_ring_fetch(struct vhost_ring *r, uint32_t n, uint32_t longest);
// Tells the guest, if it wants to know, of what was published since the last call. After vq_fence().
void vhost_ring_notify(struct vhost_ring *r, struct port_stats *st);

// Asks for kicks; true if there is work already.
bool vhost_ring_arm(struct vhost_ring *r);
void vhost_ring_disarm(struct vhost_ring *r);

// --- Shared by vhost_ring.c and the burst loops of vhost_burst.c only ---

// The frames of the rare shapes: chains of several descriptors, indirect tables, offloads.
enum vhost_ring_take {
	TAKE_LENT,    // *f is filled
	TAKE_DROPPED, // counted in *st; the chain is to be given back all the same
	TAKE_LATER,   // no room for its views in this burst, or enough was looked at: not consumed
};
enum vhost_ring_take vhost_ring_lend_chain(
	struct vhost_ring *r, uint16_t head, struct frame *f, struct port_stats *st);

// Delivers one frame over any chains, consuming and adding (not publishing) them. True: dealt with
// (delivered or dropped and counted). False: the ring has no room for it now.
bool vhost_ring_deliver_one(struct vhost_ring *r, const struct frame *f, struct port_stats *st);

// Gives back a burst of which nothing is lent, and tells the guest: for the switch there was none, so nobody
// else will. A guest whose ring is full waits for that.
void vhost_ring_refuse(struct vhost_ring *r, struct port_stats *st);

// Publishes what was added, and logs it.
void vhost_ring_publish(struct vhost_ring *r);

// The loops of one instruction set; see vhost_burst.c.
struct vhost_burst_ops {
	const char *isa;
	uint32_t (*lend)(
		struct vhost_ring *r, struct burst *b, uint32_t max, struct port_stats *st);
	void (*give_back)(struct vhost_ring *r);
	uint32_t (*deliver)(struct vhost_ring *r, const struct frame *f, const uint8_t *list,
		uint32_t n, struct port_stats *st);
	void (*fetch)(struct vhost_ring *r, uint32_t n, uint32_t longest);
};
extern const struct vhost_burst_ops vhost_burst_base, vhost_burst_avx2, vhost_burst_avx512;

// Name of the instruction set that was chosen at start.
const char *vhost_ring_isa(void);
