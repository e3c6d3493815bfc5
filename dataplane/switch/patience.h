// SPDX-License-Identifier: BSD-2-Clause
// How long the frames of a queue wait for room at their destination before they are dropped.
//
// A guest whose CPU was taken away for a while comes back to a full ring. Frames for it need not be
// lost meanwhile: they lie in their sender's memory, and stay there if they are not lent. But what
// waits holds up what is behind it, and a guest may fill its ring on purpose. So frames wait for
// `limit` at most in which less than a burst of them could go on, and in the long run one
// PATIENCE_SHARE-th of the time is spent waiting; PATIENCE_CREDIT limits are free, as a host takes CPUs
// away several times in a row, and who comes back takes a while to catch up.
//
// Where that holds up nobody, as all that the queue sends goes there, and a burst goes on within one
// PATIENCE_PACE-th of the limit, waiting costs nothing: a sender goes as fast as its receiver takes it.
// A frame to somebody else is behind one ring that empties at that pace; then waiting costs again.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_SHARE  32
#define PATIENCE_CREDIT 8
#define PATIENCE_PACE   8
#define PATIENCE_BURST  128 // frames

// In ticks of the cycle counter; all 0 at first. One owner.
struct patience {
	uint64_t since; // when this wait began, or a burst could go on last; 0: nothing waits
	uint64_t last;  // when that was seen last
	uint64_t paid;  // when all waits so far will be paid for
	uint32_t moved; // frames that could go on since `since`
	bool slow;      // the last burst took longer than a PATIENCE_PACE-th of the limit to go on
};

// Whether this wait costs nothing at `now`, for a queue all of whose frames have gone there for
// PATIENCE_CREDIT limits, or not (`alone`).
static inline bool patience_is_free(
	const struct patience *p, uint64_t now, uint64_t limit, bool alone)
{
	return alone && (!p->since || (!p->slow && now - p->since <= limit / PATIENCE_PACE));
}

// Frames wait, seen at `now`. Returns for how long they have since the last time.
static inline uint64_t patience_wait(struct patience *p, uint64_t now, uint64_t limit, bool alone)
{
	uint64_t waited;

	if (!p->since) {
		p->since = p->last = now;
		p->moved = 0;
		p->slow = false;
	}
	waited = now - p->last;
	p->last = now;
	if ((int64_t)(p->paid - now) < 0)
		p->paid = now;
	if (!patience_is_free(p, now, limit, alone))
		p->paid += waited * PATIENCE_SHARE;
	return waited;
}

// Frames do not wait, seen at `now`: this is no time that they waited.
static inline void patience_lost(struct patience *p, uint64_t now)
{
	p->last = now;
}

// While others wait, or are dropped, n of the frames can go on.
static inline void patience_moves(struct patience *p, uint64_t now, uint64_t limit, uint32_t n)
{
	p->moved += n;
	if (!p->since || p->moved < PATIENCE_BURST)
		return;
	p->moved = 0;
	p->slow = now - p->since > limit / PATIENCE_PACE;
	p->since = now;
}

// Nothing waits any more.
static inline void patience_end(struct patience *p)
{
	if (p->since)
		p->since = 0;
}

// Whether frames may wait, or go on waiting. limit 0: never.
static inline bool patience_lasts(
	const struct patience *p, uint64_t now, uint64_t limit, bool alone)
{
	if (!limit || (p->since && now - p->since > limit))
		return false;
	return patience_is_free(p, now, limit, alone) ||
	       (int64_t)(p->paid - now) <= (int64_t)(limit * PATIENCE_CREDIT * PATIENCE_SHARE);
}
