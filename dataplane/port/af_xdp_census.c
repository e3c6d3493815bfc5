// SPDX-License-Identifier: BSD-2-Clause
// Counts where the chunks of an AF_XDP queue are.
#include "dataplane/port/af_xdp_census.h"

#include <unistd.h>

#define LOOKS    100u // at most, while the sums are wrong
#define LOOKS_US 50u  // from one to the next

static uint32_t count_kernel(const uint8_t *owner, uint32_t chunks)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < chunks; i++)
		n += owner[i] == XDP_CHUNK_KERNEL;
	return n;
}

static uint32_t ring_level(const struct xsk_ring *r)
{
	uint32_t cons = __atomic_load_n(r->consumer, __ATOMIC_RELAXED);
	return __atomic_load_n(r->producer, __ATOMIC_RELAXED) - cons;
}

// A worker is not in the middle of a burst: what it did is in the rings for all to see.
static bool is_settled(const struct xsk *x)
{
	return x->fill.prod == *x->fill.producer && x->rx.cons == *x->rx.consumer &&
	       x->tx.prod == *x->tx.producer && x->comp.cons == *x->comp.consumer;
}

// True if the sums are right.
static bool look(const struct xdp_queue *q, struct xdp_census *out)
{
	uint32_t rx_out = count_kernel(q->rx_owner, q->n_rx);
	uint32_t tx_out = count_kernel(q->tx.owner, XDP_QUEUE_TX);
	*out = (struct xdp_census){
		.rx_lent = q->rx.n_lent,
		.tx_free = q->tx.n_free,
		.bad = q->rx.bad + q->tx.bad,
	};
	// The kernel goes on meanwhile. Against its direction, or a chunk that it moves counts twice.
	out->rx_ring = ring_level(&q->xsk.rx);
	out->rx_fill = ring_level(&q->xsk.fill);
	out->tx_done = ring_level(&q->xsk.comp);
	out->tx_ring = ring_level(&q->xsk.tx);
	// What left our hands is in a ring or with the kernel. More in the rings than left our hands,
	// or a chunk that is in none of the places, is what must never be.
	uint32_t rx_rings = out->rx_fill + out->rx_ring, tx_rings = out->tx_ring + out->tx_done;
	out->rx_kernel = rx_out > rx_rings ? rx_out - rx_rings : 0;
	out->tx_kernel = tx_out > tx_rings ? tx_out - tx_rings : 0;
	out->conserved = rx_rings <= rx_out && tx_rings <= tx_out &&
			 rx_out + out->rx_lent == q->n_rx && tx_out + out->tx_free == XDP_QUEUE_TX;
	return out->conserved;
}

void xdp_census_take(const struct xdp_queue *q, struct xdp_census *out)
{
	bool settled = true;
	// What a worker moved while we counted is right at another look. One that lost its core in
	// the middle of a burst stays there.
	for (unsigned looks = 0; !look(q, out) && looks < LOOKS; looks++) {
		settled = is_settled(&q->xsk);
		usleep(LOOKS_US);
	}
	out->conserved = !out->bad && (out->conserved || !settled);
}
