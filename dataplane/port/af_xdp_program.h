// SPDX-License-Identifier: BSD-2-Clause
// The XDP program on a device: loaded, attached beside others where the kernel can, taken off again.
#pragma once

#include "bpf/weft_xdp.h"
#include "dataplane/port/error.h"

#include <stdbool.h>
#include <stdint.h>

struct af_xdp_program {
	void *handle;   // struct xdp_program
	void *skeleton; // struct weft_xdp
	int ifindex;    // attached there; 0: not attached
	bool native;
	bool frags;      // accepts frames of several buffers
	bool dispatcher; // in libxdp's dispatcher, beside others
	uint32_t id;
	uint32_t attached_id; // of what is on the device: ours, or the dispatcher
	// What the device is owed: the program carries it, should we be killed. Survives a change of
	// device: who attaches says for which it is true.
	struct weft_xdp_note note;
	// Survive a change of device, so that counts and steered addresses do.
	int steer_fd, counters_fd; // 0: none yet
};

// Puts the program on the device: natively in its driver, or in the generic receive path. A program
// of ours that a killed daemon left is replaced, and its note added to ours; anybody else's is not, and err
// names it. All queues
// pass to the host until af_xdp_program_bind. 0 or -errno. Control or event thread.
int af_xdp_program_attach(
	struct af_xdp_program *p, int ifindex, bool native, bool share_host, struct error *err);
// Takes the program off; the maps stay for the next attach. `gone`: no device has the name any more,
// and if it was not renamed the program went with it.
void af_xdp_program_detach(struct af_xdp_program *p, bool gone);
// Detaches and frees everything. A zeroed one is fine.
void af_xdp_program_fini(struct af_xdp_program *p);

// False once somebody took the program off the device, or put another in its place.
bool af_xdp_program_is_attached(struct af_xdp_program *p);

// From now on what comes in on `queue` goes to this socket. The kernel undoes it when it closes.
int af_xdp_program_bind(struct af_xdp_program *p, uint32_t queue, int xsk_fd);
// share: host: sends unicast to this address to weft. 0 or -errno.
int af_xdp_program_steer(const struct af_xdp_program *p, const struct weft_steer_key *key);
// No longer. True if it was.
bool af_xdp_program_unsteer(const struct af_xdp_program *p, const struct weft_steer_key *key);
// Calls back for each address that is steered; it may be unsteered from there.
void af_xdp_program_foreach(const struct af_xdp_program *p,
	void (*each)(void *ctx, const struct weft_steer_key *key), void *ctx);
// Sums of all CPUs.
void af_xdp_program_counters(
	const struct af_xdp_program *p, uint64_t counters[WEFT_XDP_N_COUNTERS]);
const char *af_xdp_counter_name(enum weft_xdp_counter which);
