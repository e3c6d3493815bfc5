// SPDX-License-Identifier: BSD-2-Clause
// A guest without a VM: memory, queue pairs and a vhost-user front end that offers them to a switch.
//
// Its queues are driven by the driver side of our virtqueue library. Each descriptor of a queue owns
// one buffer for good, so that a load generator need only move indexes. Buffers start 12 bytes before
// a cache line (10 with a legacy header), so that the frame behind the header starts a line.
// One thread uses a guest.
#pragma once

#include "dataplane/virtq/driver.h"
#include "tests/lib/vhost_front.h"

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRONT_GUEST_PAIRS_MAX   16u
#define FRONT_GUEST_REGIONS_MAX 8u
// Guest physical distance of the starts of two memory regions: there are holes between them.
#define FRONT_GUEST_REGION_GAP 0x40000000ull

// What a Linux guest acknowledges, without offloads.
#define FRONT_GUEST_FEATURES                                                            \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_NET_F_MRG_RXBUF |                  \
		1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_RING_F_INDIRECT_DESC | \
		1ull << VIRTIO_NET_F_STATUS)

struct front_guest_config {
	const char *socket; // of the switch, or with `listen` of the guest
	bool listen;
	unsigned pairs;     // queue pairs; 0: 1
	unsigned ring_size; // 0: 256
	uint64_t
		features; // wanted; those that the switch lacks are dropped. 0: FRONT_GUEST_FEATURES
	uint32_t rx_buf, tx_buf; // bytes of a buffer, header included; 0: 2048
	uint32_t stride;         // distance of two buffers of a queue; 0: chosen for the caches
	uint64_t protocol_off;   // protocol features not to use
	unsigned regions; // memory regions; 0: 1. The buffers of queue q lie in region q % regions
	bool huge;        // memory in 2 MiB pages if there are any
	bool polling;     // never wait for a notification, never ask for one
	bool no_rx_buffers; // start with empty receive rings
	uint16_t mtu;       // NET_SET_MTU if not 0 and the switch takes it
	int timeout_ms;     // of every wait for the switch; 0: 5000
};

// Memory of a guest, as one region.
struct front_guest_mem {
	int fd;
	bool is_huge;
	uint8_t *map;
	uint64_t gpa, size, used; // used: handed out from the start
};

struct front_guest_queue {
	struct vq_driver drv;
	int kick, call;
	uint8_t *bufs; // first buffer's first byte (its header)
	uint64_t bufs_gpa;
	uint32_t buf_size, stride;
	uint16_t base; // where the device starts in the available ring when next started
	uint64_t n_kicks;
};

struct front_guest {
	struct front_guest_config config;
	struct vhost_front front;
	struct front_guest_mem mem[FRONT_GUEST_REGIONS_MAX];
	uint64_t features; // agreed
	uint32_t hdr_len;  // of a virtio-net header: 10 or 12
	bool is_started;
	struct vq_layout layout;
	// Receive queue of pair i at 2 * i, transmit queue at 2 * i + 1.
	struct front_guest_queue *queues;
	unsigned n_queues;
};

// Allocates memory; nothing is connected. `config` is copied, its strings are not.
int front_guest_init(struct front_guest *g, const struct front_guest_config *config);
// Stops if need be and frees everything. After init, failed or not.
void front_guest_fini(struct front_guest *g);

// Meets the switch, agrees on features, shares memory, starts and enables the queues. The first time
// the rings are new; later (reconnect) they stay as they are and go on where the switch left off,
// as a VMM does for a guest that has noticed nothing. The features must then be the same.
int front_guest_connect(struct front_guest *g);
// The pieces of connect, for tests that go another way.
int front_guest_meet(struct front_guest *g);      // connect or accept
int front_guest_negotiate(struct front_guest *g); // features, protocol features, owner
int front_guest_share_memory(struct front_guest *g);
int front_guest_make_rings(struct front_guest *g); // fresh rings, receive buffers posted
int front_guest_start_ring(struct front_guest *g, unsigned queue); // num, base, addr, kick, call
int front_guest_enable(struct front_guest *g, bool enable);
int front_guest_driver_ok(struct front_guest *g); // SET_STATUS, where it was agreed on

// Stops all queues as a VMM does (GET_VRING_BASE) and remembers where they were.
int front_guest_stop(struct front_guest *g);
// Dies without a word.
void front_guest_disconnect(struct front_guest *g);

// Takes `size` bytes of region `region`; NULL if it is full.
uint8_t *front_guest_alloc(
	struct front_guest *g, unsigned region, uint64_t size, uint64_t align, uint64_t *gpa);
// What the guest knows memory by; NULL outside of it.
uint8_t *front_guest_at(const struct front_guest *g, uint64_t gpa, uint64_t len);

static inline struct front_guest_queue *front_guest_rxq(struct front_guest *g, unsigned pair)
{
	return &g->queues[2 * pair];
}

static inline struct front_guest_queue *front_guest_txq(struct front_guest *g, unsigned pair)
{
	return &g->queues[2 * pair + 1];
}

// First byte of the buffer of a descriptor.
static inline uint8_t *front_guest_buf(const struct front_guest_queue *q, unsigned id)
{
	return q->bufs + (size_t)id * q->stride;
}

static inline uint64_t front_guest_buf_gpa(const struct front_guest_queue *q, unsigned id)
{
	return q->bufs_gpa + (uint64_t)id * q->stride;
}

// Publishes, and kicks if the switch wants to be told.
void front_guest_publish(struct front_guest_queue *q);
// Takes back what the switch has sent; returns how many descriptors of the queue are free.
unsigned front_guest_reap_tx(struct front_guest *g, unsigned pair);

// Sends one frame, waiting for a free descriptor for timeout_ms at most (0: not at all). hdr NULL:
// all zero. Longer frames take several descriptors. -ETIMEDOUT; -EMSGSIZE: more than the ring holds.
int front_guest_send(struct front_guest *g, unsigned pair, const struct virtio_net_hdr *hdr,
	const void *frame, size_t len, int timeout_ms);
// Waits until the switch has taken everything that was sent.
int front_guest_flush(struct front_guest *g, unsigned pair, int timeout_ms);
// Receives one frame into `frame` and posts its buffers again. Returns its length; -ETIMEDOUT;
// -EMSGSIZE: longer than `size` (it is lost); -EPROTO: nonsense in the ring or header. hdr may be
// NULL; legacy headers say num_buffers 1.
int64_t front_guest_recv(struct front_guest *g, unsigned pair, struct virtio_net_hdr_mrg_rxbuf *hdr,
	void *frame, size_t size, int timeout_ms);
