// SPDX-License-Identifier: BSD-2-Clause
// Receive queues that spill (port_ops.rx_spills) and have more than their turn of a pass took.
//
// A guest waits for its turn, with its frames in its ring; the network does not. And a burst from a guest to a
// NIC may take as long as dozens from the NIC to a guest, as the kernel sends it. So queues that spill go
// on after a pass for as long as all others took in it, each for an equal part of that. A burst is begun if there
// is time for one like those before: what takes long by itself gets no more than its turn, whatever comes.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct plan_rxq;

// Of one pass. Queues beyond these wait for the next.
#define BEHIND_MAX 16u

struct behind {
	uint64_t took; // ticks of the turns that they had
	uint32_t n;
	const struct plan_rxq *rq[BEHIND_MAX];
};

// The turn of `rq` took so many ticks and lent a whole burst: there may be more.
static inline void behind_add(struct behind *b, const struct plan_rxq *rq, uint64_t took)
{
	if (b->n == BEHIND_MAX)
		return;
	b->took += took;
	b->rq[b->n++] = rq;
}

// Whether queue i, with those before it, may begin another burst `spent` ticks after a pass of `pass` ticks.
static inline bool behind_may_go_on(
	const struct behind *b, uint32_t i, uint64_t pass, uint64_t spent)
{
	return spent + b->took / b->n < (pass - b->took) * (i + 1) / b->n;
}
