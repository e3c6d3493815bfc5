// SPDX-License-Identifier: BSD-2-Clause
// The loops over the addresses of a burst: read them, look them up, sort frames by destination.
//
// What these loops cost is what a burst with many addresses costs more than one without. They are
// compiled once per instruction set.
#pragma once

#include "dataplane/frame/frame.h"
#include "dataplane/switch/fdb.h"
#include "dataplane/switch/frame_list.h"

// Keys of a burst's frames, see fdb_key().
struct burst_keys {
	uint64_t dst[FRAME_BURST], src[FRAME_BURST];
};

// What is true of all frames of a burst together.
struct key_classes {
	uint64_t src_differs, dst_differs; // from those asked about; 0: in no frame
	bool tagged;                       // some frame has a tag
	bool odd;                          // a group address, or a source that is zero
};

struct key_burst_ops {
	const char *isa;

	// All of these take frames as received: the head of each starts at FRAME_HEAD_OFF and has 14 bytes at
	// least. n is 1..FRAME_BURST, and `vid` the VLAN that all are in.

	// Makes the keys of the first n frames. Returns what is true of all of them, beside the last source and
	// destination.
	struct key_classes (*read)(struct burst_keys *keys, const struct burst *b, uint32_t n,
		uint16_t vid, uint64_t last_src, uint64_t last_dst);

	// Looks up the destinations of the first n frames. True if all are known: port[i] is where that of frame i
	// is. If not, what port[] holds means nothing.
	bool (*find)(const struct fdb *fdb, const struct burst *b, uint32_t n, uint16_t vid,
		uint8_t *port);

	// Whether the sources of the first n frames are all known to be on `port`, and were seen in second `now`
	// already.
	bool (*is_known)(const struct fdb *fdb, const struct burst *b, uint32_t n, uint16_t vid,
		uint32_t port, uint32_t now);

	// Makes the lists of the ports that port[0] to port[n - 1] name: indexes of frames, in their order.
	// Lists are empty before; port[] has FRAME_BURST bytes and touched[] one place more than ports can be.
	// Ports go to `touched` in the order of their first frames. Returns how many.
	uint32_t (*sort)(
		const uint8_t *port, uint32_t n, struct frame_list *list, uint16_t *touched);
};

// The loops for this CPU.
const struct key_burst_ops *key_burst_choose(void);
// Those of each instruction set that this CPU has, until NULL: for tests.
const struct key_burst_ops *key_burst_each(unsigned i);
