// SPDX-License-Identifier: BSD-2-Clause
// A place where descriptors outlive the daemon: how a port uses it. Who has one gives it to the ports.
//
// Each open file is kept once, under a number that is never used again, and counts its uses: VMMs send
// the same memory for each of their network cards, and a service manager takes a file once only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Any thread but a worker; the port may hold a lock of its own. Nothing here waits.
struct port_keeper {
	void *ctx;
	// One use more of the file behind fd, which stays the caller's. A state is what describes a
	// session: the next daemon finds it by itself, and all else by the numbers that it names. 0:
	// there is no room.
	uint64_t (*keep)(void *ctx, int fd, bool is_state);
	// One use more of what is kept already. False: nothing is, under this number.
	bool (*hold)(void *ctx, uint64_t id);
	// One use less; after the last it is closed, also where it was handed over to. A state is used
	// once.
	void (*drop)(void *ctx, uint64_t id);
	// Hands the file over to where it outlives us. 0: it was there; 1: now it is; -errno: not now.
	int (*save)(void *ctx, uint64_t id);
	// The file, while it has a use; -1: none. Not to be closed.
	int (*fd)(void *ctx, uint64_t id);
	// The first state after number `after` that an earlier daemon left and no port has used; 0: none.
	uint64_t (*next_state)(void *ctx, uint64_t after);
	// Whether the daemon ends: what is handed over then stays for the next.
	bool (*is_ending)(void *ctx);
};
