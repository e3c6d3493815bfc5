// SPDX-License-Identifier: BSD-2-Clause
// How long frames may wait for a receiver whose ring is full, instead of being dropped.
//
// A worker that was away finds more frames in the kernel's ring than a guest's ring holds, and is
// quicker than the guest. What does not fit is then offered again in the next passes, ahead of what
// comes after it, while the rest waits in the kernel's ring, which is deep. Frames for others go on
// beside it as long as a burst has room. Waiting takes credit: XDP_HOLD_NS at most, and one part in
// XDP_HOLD_SHARE of the time in the long run. A guest that takes nothing, or is slow all the time,
// loses its frames as ever, and cannot keep others waiting longer.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define XDP_HOLD_NS    4000000u
#define XDP_HOLD_SHARE 10u

// Of the receiving worker.
struct xdp_hold {
	uint64_t at;     // ticks up to which credit is counted
	uint64_t credit; // ticks that may be waited
};

// Counts the time since the last burst: waited if this one begins with frames that were held.
static inline void xdp_hold_count(struct xdp_hold *h, uint64_t now, bool waited, uint64_t cycles_hz)
{
	uint64_t most = cycles_hz / (1000000000u / XDP_HOLD_NS), passed = now - h->at;

	h->at = now;
	if (waited) {
		h->credit -= passed < h->credit ? passed : h->credit;
	} else {
		uint64_t room = most - h->credit, earned = passed / XDP_HOLD_SHARE;
		h->credit += earned < room ? earned : room;
	}
}

static inline bool xdp_hold_may(const struct xdp_hold *h)
{
	return h->credit > 0;
}
