// SPDX-License-Identifier: BSD-2-Clause
// Takes a burst from one port to the ports where its frames belong.
//
// Stages over the whole burst: read addresses; refuse what VLAN or policy forbids; learn sources;
// look up destinations; make one list for each destination; hand each list to its port. The usual
// burst of two guests that talk to each other (untagged, one source, one destination, both the
// same as before) leaves after the first stage with one list that holds all.
//
// Frames are changed in place where a destination needs another form (a tag, a completed
// checksum): destinations copy one after the other, and the head is ours.
#pragma once

#include "dataplane/switch/forward_state.h"

// Addresses learnt from one burst at most: a guest that makes up a source for each frame pays with
// flooding, not the others with this worker's time.
#define LEARN_MAX 8u
void forward_init(struct forward *fw, uint32_t worker, bool shared, struct fdb *fdb,
	struct event_ring *events);

// One turn of queue `rq`: takes a burst, if there is one and it may be taken (see patience.h), forwards
// it and gives it back. Returns how many frames. Worker.
uint32_t forward_queue(struct forward *fw, const struct plan_rxq *rq, struct burst *b);

// Forwards burst `b` that queue `rq` lends. Worker.
void forward(struct forward *fw, const struct plan_rxq *rq, struct burst *b);
