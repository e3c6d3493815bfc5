// SPDX-License-Identifier: BSD-2-Clause
// When to leave a receive ring alone for a moment, so that more than a frame or two come at a look.
//
// Each look takes the lines of the ring's index and newest entries from the core that receives, which
// has them back for its next frame: a worker that looks all the time gets its frames one by one and
// makes both sides slow. So after a small burst of many that followed each other closely, and while
// nothing is sent, the ring is not looked at for XDP_PAUSE_NS. A lone frame, a ping or a large burst
// never waits.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define XDP_PAUSE_NS     8000u
#define XDP_PAUSE_SMALL  16u // frames from which on a burst is large
#define XDP_PAUSE_STREAK 32u // bursts that follow each other closely before the first pause

// Of the receiving worker.
struct xdp_pause {
	uint64_t found; // ticks of the last look that found frames
	uint64_t until; // no look before
	uint32_t streak;
	uint32_t sent; // the transmit ring's index at that look
};

static inline uint64_t xdp_pause_ticks(uint64_t cycles_hz)
{
	return cycles_hz / (1000000000u / XDP_PAUSE_NS);
}

// Whether the clock has to be read before the next look.
static inline bool xdp_pause_is_likely(const struct xdp_pause *p)
{
	return p->streak == XDP_PAUSE_STREAK;
}

static inline bool xdp_pause_is_on(const struct xdp_pause *p, uint64_t now)
{
	return xdp_pause_is_likely(p) && (int64_t)(p->until - now) > 0;
}

// A look at `now` found n frames. `ticks` is how long a pause is, `sent` where the transmit ring is.
static inline void xdp_pause_found(
	struct xdp_pause *p, uint64_t now, uint32_t n, uint64_t ticks, uint32_t sent)
{
	// Or what comes right after a pause would have to earn the next one anew.
	bool close = now - p->found <= ticks + ticks / 2 && p->sent == sent;

	if (!close)
		p->streak = 0;
	else if (p->streak < XDP_PAUSE_STREAK)
		p->streak++;
	p->found = now;
	p->sent = sent;
	p->until = n < XDP_PAUSE_SMALL ? now + ticks : now;
}
