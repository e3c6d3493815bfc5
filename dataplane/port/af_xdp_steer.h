// SPDX-License-Identifier: BSD-2-Clause
// share: host: which addresses the XDP program steers to weft.
//
// Those that the switch tells of are in the program's map, but for two kinds that stay with the host: the
// device's own address, whoever else sends from it, and those that the map has no room for. Both are
// remembered, and steered when they can be. The caller holds the port's lock.
#pragma once

#include "dataplane/port/af_xdp_program.h"
#include "dataplane/port/news.h"

struct af_xdp_steer {
	const struct af_xdp_program *program;
	const char *device; // for the log
	struct news *news;
	uint8_t own[6];        // address of the device
	uint64_t own_vids[64]; // VLANs in which it would be steered
	bool told_own;         // since it has this address
	void *waiting;         // for room in the map: a tree (tsearch) of keys
	uint32_t n_waiting;
	bool missed;    // one more since the last tick
	bool told_room; // until there was none for a tick
};

// Of a zeroed one. What is handed in stays the caller's and outlives it.
void af_xdp_steer_init(struct af_xdp_steer *s, const struct af_xdp_program *program,
	const char *device, struct news *news);
void af_xdp_steer_fini(struct af_xdp_steer *s);

// As port_ops.steer.
void af_xdp_steer_set(struct af_xdp_steer *s, const struct weft_steer_key *key, bool add);
// As port_ops.steer_check. Those that wait are forgotten: they come again with all that is known.
void af_xdp_steer_review(struct af_xdp_steer *s,
	bool (*counts)(void *ctx, const uint8_t *mac, uint16_t vid), void *ctx);
// From now on `mac` is the device's own: what is steered to it is not any more, and the other way round.
void af_xdp_steer_own(struct af_xdp_steer *s, const uint8_t mac[6]);
// Once a second: steers those that wait, as far as there is room.
void af_xdp_steer_tick(struct af_xdp_steer *s);
