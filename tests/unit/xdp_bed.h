// SPDX-License-Identifier: BSD-2-Clause
// An AF_XDP queue on rings of the test's own in place of the kernel's.
#pragma once

#include "dataplane/port/af_xdp_census.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#define CHUNK   2048u
#define RX_RING 2048u // not what the other rings have

// The kernel's side of the rings.
struct fake {
	uint32_t index[4][3]; // producer, consumer, flags
	uint64_t fill[RX_RING], comp[XDP_QUEUE_TX];
	struct xdp_desc rx[RX_RING], tx[XDP_QUEUE_TX];
	uint8_t *umem;
	struct xdp_queue *q;
	struct burst burst;
	struct port_stats st;
};

static inline void fake_ring(
	struct fake *k, struct xsk_ring *r, unsigned i, void *entries, uint32_t size)
{
	*r = (struct xsk_ring){.producer = &k->index[i][0],
		.consumer = &k->index[i][1],
		.flags = &k->index[i][2],
		.entries = entries,
		.size = size,
		.mask = size - 1};
}

// The kernel's answer to a wake-up: it sends so many frames, and then says this.
static struct {
	struct fake *k;
	uint32_t frames;
	int error, last_error; // with frames left on the ring, and without
	unsigned calls;
} wake;

ssize_t sendto(int fd, const void *bytes, size_t len, int flags, const struct sockaddr *addr,
	socklen_t addr_len)
{
	uint32_t *producer = &wake.k->index[3][0], *consumer = &wake.k->index[3][1];
	uint32_t left = *producer - *consumer;
	wake.calls++;
	*consumer += left < wake.frames ? left : wake.frames;
	errno = *producer == *consumer ? wake.last_error : wake.error;
	return errno ? -1 : 0;
}

// Wake-ups to receive.
static unsigned looks;

ssize_t recvfrom(
	int fd, void *bytes, size_t len, int flags, struct sockaddr *addr, socklen_t *addr_len)
{
	looks++;
	errno = EAGAIN;
	return -1;
}

static inline int setup(void **state)
{
	struct fake *k = aligned_alloc(64, (sizeof(*k) + 63) & ~63ul);
	memset(k, 0, sizeof(*k));
	k->q = xdp_queue_alloc(RX_RING);
	k->umem = aligned_alloc(4096, (RX_RING + XDP_QUEUE_TX) * XDP_CHUNK_LARGE);
	memset(k->umem, 0, (RX_RING + XDP_QUEUE_TX) * XDP_CHUNK_LARGE);
	struct xsk *xsk = &k->q->xsk;
	xsk->fd = -1;
	xsk->umem = k->umem;
	fake_ring(k, &xsk->fill, 0, k->fill, RX_RING);
	fake_ring(k, &xsk->comp, 1, k->comp, XDP_QUEUE_TX);
	fake_ring(k, &xsk->rx, 2, k->rx, RX_RING);
	fake_ring(k, &xsk->tx, 3, k->tx, XDP_QUEUE_TX);
	k->q->frags = true;
	xsk->tx_budget = 32;
	xdp_queue_reset(k->q, CHUNK);
	memset(&wake, 0, sizeof(wake));
	wake.k = k;
	looks = 0;
	*state = k;
	return 0;
}

static inline int teardown(void **state)
{
	struct fake *k = *state;
	free(k->umem);
	free(k->q);
	free(k);
	return 0;
}

// The kernel receives a frame into the next chunk of the fill ring.
static inline uint64_t kernel_takes(struct fake *k)
{
	assert_true(k->index[0][1] != k->index[0][0]);
	return k->fill[k->index[0][1]++ % RX_RING];
}

static inline void kernel_gives(struct fake *k, uint64_t addr, uint32_t len, uint32_t options)
{
	k->rx[k->index[2][0] % RX_RING] =
		(struct xdp_desc){.addr = addr, .len = len, .options = options};
	k->index[2][0]++;
}

// Completes the next n frames that were taken off the transmit ring.
static inline void kernel_completes(struct fake *k, uint32_t n)
{
	for (; n; n--, k->index[1][0]++)
		k->comp[k->index[1][0] % XDP_QUEUE_TX] = k->tx[k->index[1][0] % XDP_QUEUE_TX].addr;
}

// The kernel sends and completes everything on the transmit ring.
static inline uint32_t kernel_sends(struct fake *k)
{
	uint32_t n = 0;
	while (k->index[3][1] != k->index[3][0]) {
		const struct xdp_desc *d = &k->tx[k->index[3][1]++ % XDP_QUEUE_TX];
		assert_true(d->addr >= RX_RING * CHUNK);
		assert_true(d->addr + d->len <= (RX_RING + XDP_QUEUE_TX) * CHUNK);
		k->comp[k->index[1][0]++ % XDP_QUEUE_TX] = d->addr;
		n++;
	}
	return n;
}

static inline uint32_t rx_max(struct fake *k, uint32_t max)
{
	return xdp_queue_rx(k->q, &k->burst, max, &k->st);
}

static inline uint32_t rx(struct fake *k)
{
	return rx_max(k, FRAME_BURST);
}

static inline struct xdp_census census(struct fake *k)
{
	struct xdp_census c;
	xdp_census_take(k->q, &c);
	return c;
}

static inline void frame_of(struct frame *f, struct frame_seg *seg, uint8_t *bytes, uint32_t len)
{
	memset(f, 0, sizeof(*f));
	f->len = len;
	f->head_len = (uint16_t)(len < FRAME_HEAD ? len : FRAME_HEAD);
	f->head_off = FRAME_HEAD_OFF;
	memcpy(frame_head(f), bytes, f->head_len);
	*seg = (struct frame_seg){len - f->head_len, bytes + f->head_len};
	frame_set_segs(f, seg, seg->len > 0);
}

static inline void send_frames(struct fake *k, uint32_t n)
{
	static uint8_t bytes[100];
	static const uint8_t list[FRAME_BURST] = {0};
	struct frame f;
	struct frame_seg seg;
	frame_of(&f, &seg, bytes, sizeof(bytes));
	assert_int_equal(xdp_queue_tx(k->q, 1514, &f, list, n, &k->st), n);
}
