// SPDX-License-Identifier: BSD-2-Clause
// What a VMM has said over its connection, as far as another daemon needs it to go on.
//
// A record lies in a file in memory, which outlives the daemon, however that ends. It changes with each
// message that rte_vhost has acted on. Where the daemon ends in between, VMM and record may disagree, or
// the VMM may wait for an answer that nobody will give: `busy` is set meanwhile, and who finds it set
// must not go on. Where rings are is not in it: the used ring, in the guest's memory, tells.
//
// Descriptors are named by the numbers of a keeper (keeper.h); 0 is none. Nothing of rte_vhost here.
#pragma once

#include "dataplane/port/port.h"
#include "dataplane/port/vhost_msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VHOST_RECORD_RINGS (2 * PORT_QUEUES_MAX)
// Descriptors of a full record: the connection, memory, a kick and a call of each ring.
#define VHOST_RECORD_IDS (1 + VU_MSG_REGIONS + 2 * VHOST_RECORD_RINGS)

// Why nobody may go on with a session although no message is under way.
enum vhost_record_unfit {
	VHOST_UNFIT_LOG = 1 << 0,     // it is being migrated: what was written must be known
	VHOST_UNFIT_UNKNOWN = 1 << 1, // a message failed, or is none that can be repeated
	VHOST_UNFIT_UNSAVED = 1 << 2, // a descriptor has not been handed over
};

struct vhost_record_ring {
	uint32_t said; // RING_*: what follows counts
	uint32_t num, base, enabled;
	uint64_t desc, used, avail;
	uint64_t kick, call; // numbers
};

struct vhost_record {
	uint64_t magic;
	uint32_t version, size;
	uint32_t busy;   // a message is under way, or a daemon is taking the session over
	uint32_t unused; // 0
	uint64_t sum;    // of all that follows
	char socket[108];
	uint32_t unfit; // enum vhost_record_unfit
	uint32_t said;  // SAID_*
	uint32_t n_regions;
	uint64_t features, protocol_features, mtu, status;
	uint64_t connection; // number
	struct vhost_msg_region regions[VU_MSG_REGIONS];
	uint64_t region_ids[VU_MSG_REGIONS];
	struct vhost_record_ring rings[VHOST_RECORD_RINGS];
};

// Numbers that a record has no use for any more.
struct vhost_record_gone {
	uint64_t ids[VHOST_RECORD_IDS];
	unsigned n;
};

// A record of a connection on which nothing was said yet; not busy.
void vhost_record_init(struct vhost_record *r, const char *socket, uint64_t connection);

// What is wrong with what was found, `size` bytes long: a few words, or NULL. Neither busy nor unfit
// is wrong; all else can be relied on then.
const char *vhost_record_fault(const struct vhost_record *r, size_t size);
// Why it must not be gone on with, or NULL.
const char *vhost_record_hindrance(const struct vhost_record *r);

// Whether the descriptors of this request belong into the record.
bool vhost_record_wants_fds(uint32_t request);
// Takes in a message that was acted on (of GET_VRING_BASE, the answer), with the numbers of its
// descriptors. What they replace is added to *gone.
void vhost_record_apply(struct vhost_record *r, const struct vhost_user_msg *msg,
	const uint64_t *ids, unsigned n_ids, struct vhost_record_gone *gone);
// To be called when a record has changed, before it is made not busy.
void vhost_record_seal(struct vhost_record *r);

// All numbers in it, into ids[VHOST_RECORD_IDS]. Returns how many.
unsigned vhost_record_ids(const struct vhost_record *r, uint64_t *ids);

// Guest physical address of a ring's used ring; UINT64_MAX: it has none, or not in guest memory.
uint64_t vhost_record_used_ring(const struct vhost_record *r, uint32_t ring);

// The messages that bring a back end to where the record is, none with an answer: the next one from
// *at on (0 at first), with the numbers of its descriptors in ids[VU_MSG_FDS]. False: that was all.
bool vhost_record_replay(const struct vhost_record *r, unsigned *at, struct vhost_user_msg *msg,
	uint64_t *ids, unsigned *n_ids);
