// SPDX-License-Identifier: BSD-2-Clause
// Where the chunks of an AF_XDP queue are: they are conserved, or something is very wrong.
#pragma once

#include "dataplane/port/af_xdp_queue.h"

// Where the chunks of a queue are; for people and tests. Exact while no worker is in the queue;
// otherwise the numbers may be off by what moved meanwhile, but `conserved` is false only if chunks
// are missing or doubled.
struct xdp_census {
	uint32_t rx_fill, rx_ring, rx_lent, rx_kernel; // sum: n_rx
	uint32_t tx_free, tx_ring, tx_done, tx_kernel; // sum: XDP_QUEUE_TX
	uint64_t bad; // ring entries refused: out of bounds, or of a chunk the kernel has not
	bool conserved;
};

// Any thread that may wait some milliseconds.
void xdp_census_take(const struct xdp_queue *q, struct xdp_census *out);
