// SPDX-License-Identifier: BSD-2-Clause
// Counts where the chunks of an AF_XDP queue are.
#include "dataplane/port/af_xdp_census.h"

static uint32_t count_owner(const uint8_t *owner, enum xdp_chunk_owner who)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < XDP_QUEUE_RING; i++)
		n += owner[i] == who;
	return n;
}

static uint32_t ring_level(const struct xsk_ring *r)
{
	uint32_t cons = __atomic_load_n(r->consumer, __ATOMIC_RELAXED);
	return __atomic_load_n(r->producer, __ATOMIC_RELAXED) - cons;
}

void xdp_census_take(const struct xdp_queue *q, struct xdp_census *out)
{
	uint32_t rx_out = count_owner(q->rx.owner, XDP_CHUNK_KERNEL);
	uint32_t tx_out = count_owner(q->tx.owner, XDP_CHUNK_KERNEL);
	*out = (struct xdp_census){
		.rx_fill = ring_level(&q->xsk.fill),
		.rx_ring = ring_level(&q->xsk.rx),
		.rx_lent = q->rx.n_lent,
		.tx_free = q->tx.n_free,
		.tx_ring = ring_level(&q->xsk.tx),
		.tx_done = ring_level(&q->xsk.comp),
		.bad = q->rx.bad + q->tx.bad,
	};
	// What left our hands is in a ring or with the kernel. More in the rings than left our hands,
	// or a chunk that is in none of the places, is what must never be.
	uint32_t rx_rings = out->rx_fill + out->rx_ring, tx_rings = out->tx_ring + out->tx_done;
	out->rx_kernel = rx_out > rx_rings ? rx_out - rx_rings : 0;
	out->tx_kernel = tx_out > tx_rings ? tx_out - tx_rings : 0;
	out->conserved = !out->bad && rx_rings <= rx_out && tx_rings <= tx_out &&
			 rx_out + out->rx_lent == XDP_QUEUE_RING &&
			 tx_out + out->tx_free == XDP_QUEUE_RING;
}
