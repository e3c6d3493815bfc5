// SPDX-License-Identifier: BSD-2-Clause
// Copies of a port's frames for whoever watches: bounded rings from workers to control.
//
// Each worker writes a ring of its own; when it is full, the copy is lost and counted, never the
// frame. Nothing is here, and nothing is paid, while no capture runs: the plan's pointer is NULL.
#pragma once

#include "dataplane/frame/frame.h"
#include "dataplane/switch/switch.h"

struct tape;

// A capture for frames of these directions (CAPTURE_*), up to `snaplen` bytes of each, by workers in
// slots below `n_workers`. Control.
// 0 or -ENOMEM.
int tape_new(unsigned dirs, uint32_t snaplen, uint32_t n_workers, struct tape **out);
// After a grace period. NULL is fine.
void tape_free(struct tape *c);

// Worker `w`: frames f[list[0..n)] went in direction `dir`.
void tape_frames(struct tape *c, uint32_t w, unsigned dir, const struct frame *f,
	const uint8_t *list, uint32_t n);

// Control. Hands up to `max` copies to `each`, oldest first; returns how many.
uint32_t tape_read(struct tape *c, uint32_t max,
	void (*each)(void *ctx, const struct capture_frame *f), void *ctx);
// Control. Copies lost so far.
uint64_t tape_lost(const struct tape *c);
