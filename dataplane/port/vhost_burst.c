// SPDX-License-Identifier: BSD-2-Clause
// The loops that move a burst between a guest's ring and the switch: the hottest code there is.
//
// Compiled once per instruction set (see meson.build), with BURST_ISA naming the table to export.
// From the guest: vhost_lend.h. To the guest: vhost_deliver.h.
// Each loop goes in stages over the whole burst, so that the cache misses of one frame hide behind
// the others'. Descriptors and headers are loaded once, then checked, then used. What does not have
// the common shape (one direct descriptor that holds header and frame) goes to vhost_ring.c.
//
// Copies have exact bounds: not a byte before or behind what the descriptor and the frame's length
// allow is read or written.
#include "dataplane/port/vhost_deliver.h"
#include "dataplane/port/vhost_lend.h"

#define STRINGIFY(x) #x
#define STRING(x)    STRINGIFY(x)
#define PASTE(a, b)  a##b
#define SYMBOL(a, b) PASTE(a, b)

const struct vhost_burst_ops SYMBOL(vhost_burst_, BURST_ISA) = {
	.isa = STRING(BURST_ISA),
	.lend = lend,
	.give_back = give_back,
	.deliver = deliver,
	.fetch = fetch_targets,
};
