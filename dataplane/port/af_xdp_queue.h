// SPDX-License-Identifier: BSD-2-Clause
// One queue of an AF_XDP port as its workers use it: rings, and who owns each packet buffer.
//
// The UMEM's chunks are in two pools that never mix. A chunk to receive into goes
//	fill ring -> kernel -> receive ring -> lent to the switch -> fill ring
// and one to send from
//	free list -> transmit ring -> kernel -> completion ring -> free list.
// There are as many of each as the first of its rings has entries, so a chunk that comes back always
// finds room there: the fill ring cannot starve while the switch keeps its side. Both loops are
// closed, so the sum over their places is constant; each chunk's owner is recorded, and whatever
// the rings say that contradicts the record is refused and counted. No chunk is ever used twice.
//
// The receiving side belongs to the worker that owns the receive queue, the sending side to whoever
// holds the port's transmit lock; they share no written cache line but `kick`.
#pragma once

#include "dataplane/frame/frame.h"
#include "dataplane/port/af_xdp_pause.h"
#include "dataplane/port/stats.h"
#include "dataplane/port/xsk.h"

#define XDP_QUEUE_TX    4096u // entries of transmit and completion ring; also chunks to send from
#define XDP_QUEUE_FRAGS 18u   // chunks that one frame may span (the kernel's MAX_SKB_FRAGS + 1)
#define XDP_QUEUE_LENT  (FRAME_BURST * 2) // chunks lent at once at most, FRAGS spare
#define XDP_QUEUE_AWAKE 4096u             // looks after which a worker is taken to stay awake
#define XDP_TX_HEADROOM 64u               // before a frame to send: its metadata
#define XDP_RX_HEADROOM 256u              // what the kernel leaves before a received frame
#define XDP_CHUNK_SMALL 2048u             // of a device with a usual MTU
#define XDP_CHUNK_LARGE 4096u

enum xdp_chunk_owner { XDP_CHUNK_OURS, XDP_CHUNK_KERNEL };

struct xdp_queue {
	struct xsk xsk;
	uint32_t index;
	uint32_t chunk_size, chunk_shift;
	uint32_t n_rx; // entries of fill and receive ring; also chunks to receive into
	bool frags;
	bool claims;  // received frames may have a partial checksum: look for it
	uint32_t mtu; // of the device

	// Receiving worker.
	struct {
		uint32_t n_lent;
		uint32_t lent[XDP_QUEUE_LENT + XDP_QUEUE_FRAGS];
		struct frame_seg segs[XDP_QUEUE_LENT + XDP_QUEUE_FRAGS];
		uint64_t bad;
		uint32_t awake; // looks since the worker last slept, up to XDP_QUEUE_AWAKE
		bool retried;   // sending, by xdp_queue_backlog; xdp_queue_rx need not
		bool skip;      // in the middle of a frame that is refused
		struct xdp_pause pause;
	} rx __attribute__((aligned(64)));

	// Who holds the transmit lock.
	struct {
		uint8_t owner[XDP_QUEUE_TX];
		uint32_t n_free;
		uint32_t free[XDP_QUEUE_TX];
		uint64_t bad;
		uint32_t longest; // frame dropped as too long; control reads
	} tx __attribute__((aligned(64)));

	// 1: frames wait in the transmit ring for a wake-up. Set by who sends, taken by who wakes.
	uint32_t kick __attribute__((aligned(64)));

	uint8_t rx_owner[] __attribute__((aligned(64))); // of each chunk to receive into
};

// Opens the socket and gives all receive chunks to the kernel. `config` names device, queue, mode and
// rx_ring, 0 for the usual; the other sizes are filled in here. `mtu` decides the chunk size. 0 or
// -errno with *err.
int xdp_queue_new(
	const struct xsk_config *config, uint32_t mtu, struct xdp_queue **out, struct error *err);
// The parts of it beside the socket. One with n_rx chunks to receive into, all zero otherwise; NULL: no
// memory.
struct xdp_queue *xdp_queue_alloc(uint32_t n_rx);
// Gives all chunks, of this size, their first owner, the rings being mapped and empty.
void xdp_queue_reset(struct xdp_queue *q, uint32_t chunk_size);
// Closes; NULL is fine. No worker uses the queue any more.
void xdp_queue_free(struct xdp_queue *q);

// As port_ops; worker threads. `max_len` is the longest frame the device takes, its
// 802.1Q tag not counted.
uint32_t xdp_queue_rx(struct xdp_queue *q, struct burst *b, uint32_t max, struct port_stats *st);
void xdp_queue_rx_done(struct xdp_queue *q);
uint32_t xdp_queue_tx(struct xdp_queue *q, uint32_t max_len, const struct frame *f,
	const uint8_t *list, uint32_t n, struct port_stats *st);
// Descriptors that wait to be received. Offers the kernel again what it did not take to send.
uint32_t xdp_queue_backlog(struct xdp_queue *q, struct port_stats *st);
// How many frames of one chunk would find room now, at most `want`.
uint32_t xdp_queue_room(struct xdp_queue *q, uint32_t want, struct port_stats *st);
// Wake the kernel if it wants to be woken: for buffers to receive into, for frames to send.
void xdp_queue_wake_rx(struct xdp_queue *q, struct port_stats *st);
void xdp_queue_wake_tx(struct xdp_queue *q, struct port_stats *st);
bool xdp_queue_arm(struct xdp_queue *q);
