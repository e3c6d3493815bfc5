// SPDX-License-Identifier: BSD-2-Clause
// What a VMM has said over its connection, as far as another daemon needs it to go on.
#include "dataplane/port/vhost_record.h"

#include "dataplane/port/vhost_features.h"

#include <linux/virtio_net.h>
#include <string.h>

#define MAGIC   UINT64_C(0x7065656b74666577) // "weftkeep", backwards
#define VERSION 1u

enum {
	SAID_OWNER = 1 << 0,
	SAID_FEATURES = 1 << 1,
	SAID_PROTOCOL_FEATURES = 1 << 2,
	SAID_MTU = 1 << 3,
	SAID_MEM = 1 << 4,
	SAID_STATUS = 1 << 5,
	SAID_ALL = (1 << 6) - 1,
};

enum {
	RING_NUM = 1 << 0,
	RING_BASE = 1 << 1,
	RING_ADDR = 1 << 2,
	RING_KICK = 1 << 3,
	RING_CALL = 1 << 4,
	RING_ENABLE = 1 << 5,
	RING_ALL = (1 << 6) - 1,
};

// Steps of a replay: those of the connection, five for each ring, one more for each, the status.
enum {
	STEP_OWNER,
	STEP_PROTOCOL_FEATURES,
	STEP_FEATURES,
	STEP_MTU,
	STEP_MEM,
	STEP_RINGS,
	STEP_ENABLE = STEP_RINGS + 5 * VHOST_RECORD_RINGS,
	STEP_STATUS = STEP_ENABLE + VHOST_RECORD_RINGS,
	STEP_END,
};

_Static_assert(sizeof(struct vhost_record_ring) == 56, "no holes in what is summed");
_Static_assert(offsetof(struct vhost_record, features) == 152, "no holes in what is summed");

// FNV-1a.
static uint64_t sum_of(const struct vhost_record *r)
{
	const uint8_t *p = (const uint8_t *)r + offsetof(struct vhost_record, socket);
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (; p < (const uint8_t *)(r + 1); p++)
		sum = (sum ^ *p) * UINT64_C(0x100000001b3);
	return sum;
}

void vhost_record_init(struct vhost_record *r, const char *socket, uint64_t connection)
{
	memset(r, 0, sizeof(*r));
	r->magic = MAGIC;
	r->version = VERSION;
	r->size = sizeof(*r);
	strncpy(r->socket, socket, sizeof(r->socket) - 1);
	r->connection = connection;
	vhost_record_seal(r);
}

void vhost_record_seal(struct vhost_record *r)
{
	r->sum = sum_of(r);
}

static bool is_ring_sound(const struct vhost_record *r, const struct vhost_record_ring *ring)
{
	return !(ring->said & ~(uint32_t)RING_ALL) &&
	       (!(ring->said & RING_ADDR) || r->said & SAID_MEM);
}

const char *vhost_record_fault(const struct vhost_record *r, size_t size)
{
	if (size != sizeof(*r) || r->magic != MAGIC || r->version != VERSION || r->size != size)
		return "another version of weftd wrote it";
	if (r->sum != sum_of(r) || r->unused || r->busy > 1)
		return "its record is damaged";
	if (!r->socket[0] || r->socket[sizeof(r->socket) - 1] || !r->connection ||
		r->said & ~(uint32_t)SAID_ALL || r->n_regions > VU_MSG_REGIONS ||
		!(r->said & SAID_MEM) != !r->n_regions)
		return "its record makes no sense";
	for (unsigned i = 0; i < VHOST_RECORD_RINGS; i++)
		if (!is_ring_sound(r, &r->rings[i]))
			return "its record makes no sense";
	return NULL;
}

const char *vhost_record_hindrance(const struct vhost_record *r)
{
	if (__atomic_load_n(&r->busy, __ATOMIC_ACQUIRE))
		return "weftd ended in the middle of a message";
	if (r->unfit & VHOST_UNFIT_LOG)
		return "the guest was being migrated";
	if (r->unfit & VHOST_UNFIT_UNKNOWN)
		return "the VMM had sent what cannot be repeated";
	if (r->unfit)
		return "not all of its descriptors had been kept";
	return NULL;
}

bool vhost_record_wants_fds(uint32_t request)
{
	return request == VU_SET_MEM_TABLE || request == VU_SET_VRING_KICK ||
	       request == VU_SET_VRING_CALL;
}

// --- Taking messages in ---

static void forget(uint64_t *id, struct vhost_record_gone *gone)
{
	if (*id)
		gone->ids[gone->n++] = *id;
	*id = 0;
}

static void forget_ring(struct vhost_record_ring *ring, struct vhost_record_gone *gone)
{
	forget(&ring->kick, gone);
	forget(&ring->call, gone);
	memset(ring, 0, sizeof(*ring));
}

static void forget_memory(struct vhost_record *r, struct vhost_record_gone *gone)
{
	for (uint32_t i = 0; i < r->n_regions; i++)
		forget(&r->region_ids[i], gone);
	memset(r->regions, 0, sizeof(r->regions));
	r->n_regions = 0;
	r->said &= ~(uint32_t)SAID_MEM;
}

static void apply_features(
	struct vhost_record *r, uint64_t features, struct vhost_record_gone *gone)
{
	r->features = features;
	r->said |= SAID_FEATURES;
	r->unfit &= ~(uint32_t)VHOST_UNFIT_LOG;
	if (features & FEATURE(VHOST_F_LOG_ALL))
		r->unfit |= VHOST_UNFIT_LOG;
	// rte_vhost forgets these too.
	if (!(features & FEATURE(VIRTIO_NET_F_MQ)))
		for (unsigned i = 2; i < VHOST_RECORD_RINGS; i++)
			forget_ring(&r->rings[i], gone);
}

static void apply_memory(struct vhost_record *r, const struct vhost_user_msg *msg,
	const uint64_t *ids, unsigned n_ids, struct vhost_record_gone *gone)
{
	forget_memory(r, gone);
	if (msg->mem.n != n_ids || n_ids > VU_MSG_REGIONS) {
		r->unfit |= VHOST_UNFIT_UNKNOWN;
		return;
	}
	memcpy(r->regions, msg->mem.regions, n_ids * sizeof(r->regions[0]));
	memcpy(r->region_ids, ids, n_ids * sizeof(*ids));
	r->n_regions = n_ids;
	r->said |= n_ids ? SAID_MEM : 0;
}

static void apply_event(struct vhost_record_ring *ring, uint32_t request, uint64_t id,
	struct vhost_record_gone *gone)
{
	const bool kick = request == VU_SET_VRING_KICK;

	forget(kick ? &ring->kick : &ring->call, gone);
	*(kick ? &ring->kick : &ring->call) = id;
	ring->said |= kick ? RING_KICK : RING_CALL;
}

static void apply_ring(struct vhost_record_ring *ring, const struct vhost_user_msg *msg,
	uint64_t id, struct vhost_record_gone *gone)
{
	switch (msg->request) {
	case VU_SET_VRING_NUM:
		ring->num = msg->state.num;
		ring->said |= RING_NUM;
		break;
	case VU_SET_VRING_BASE:
		ring->base = msg->state.num;
		ring->said |= RING_BASE;
		break;
	case VU_GET_VRING_BASE: // it stops, and its descriptors and addresses go
		forget(&ring->kick, gone);
		forget(&ring->call, gone);
		ring->base = msg->state.num;
		ring->desc = ring->used = ring->avail = 0;
		ring->said &= RING_NUM | RING_ENABLE;
		ring->said |= RING_BASE;
		break;
	case VU_SET_VRING_ADDR:
		ring->desc = msg->addr.desc;
		ring->used = msg->addr.used;
		ring->avail = msg->addr.avail;
		ring->said |= RING_ADDR;
		break;
	case VU_SET_VRING_ENABLE:
		ring->enabled = msg->state.num;
		ring->said |= RING_ENABLE;
		break;
	default:
		apply_event(ring, msg->request, id, gone);
	}
}

static void apply_ring_message(struct vhost_record *r, const struct vhost_user_msg *msg,
	const uint64_t *ids, unsigned n_ids, struct vhost_record_gone *gone)
{
	const bool event = msg->request == VU_SET_VRING_KICK || msg->request == VU_SET_VRING_CALL;
	const uint32_t i = event ? msg->u64 & VU_VRING_INDEX : msg->state.index;

	if (i >= VHOST_RECORD_RINGS || (event && n_ids != !(msg->u64 & VU_VRING_NOFD)))
		r->unfit |= VHOST_UNFIT_UNKNOWN;
	else
		apply_ring(&r->rings[i], msg, n_ids ? ids[0] : 0, gone);
}

static void reset(struct vhost_record *r, struct vhost_record_gone *gone)
{
	forget_memory(r, gone);
	for (unsigned i = 0; i < VHOST_RECORD_RINGS; i++)
		forget_ring(&r->rings[i], gone);
	r->said = 0;
	r->features = r->protocol_features = r->mtu = r->status = 0;
}

void vhost_record_apply(struct vhost_record *r, const struct vhost_user_msg *msg,
	const uint64_t *ids, unsigned n_ids, struct vhost_record_gone *gone)
{
	switch (msg->request) {
	case VU_GET_FEATURES:
	case VU_GET_PROTOCOL_FEATURES:
	case VU_GET_QUEUE_NUM:
	case VU_GET_STATUS:
	case VU_SEND_RARP:
	case VU_SET_VRING_ERR: // nobody writes to it
		break;
	case VU_SET_OWNER:
		r->said |= SAID_OWNER;
		break;
	case VU_RESET_OWNER:
		reset(r, gone);
		break;
	case VU_SET_FEATURES:
		apply_features(r, msg->u64, gone);
		break;
	case VU_SET_PROTOCOL_FEATURES:
		r->protocol_features = msg->u64;
		r->said |= SAID_PROTOCOL_FEATURES;
		break;
	case VU_SET_MEM_TABLE:
		apply_memory(r, msg, ids, n_ids, gone);
		break;
	case VU_SET_LOG_BASE:
	case VU_SET_LOG_FD:
		r->unfit |= VHOST_UNFIT_LOG;
		break;
	case VU_SET_VRING_NUM:
	case VU_SET_VRING_ADDR:
	case VU_SET_VRING_BASE:
	case VU_GET_VRING_BASE:
	case VU_SET_VRING_KICK:
	case VU_SET_VRING_CALL:
	case VU_SET_VRING_ENABLE:
		apply_ring_message(r, msg, ids, n_ids, gone);
		break;
	case VU_NET_SET_MTU:
		r->mtu = msg->u64;
		r->said |= SAID_MTU;
		break;
	case VU_SET_STATUS:
		r->status = msg->u64;
		r->said |= SAID_STATUS;
		break;
	default:
		r->unfit |= VHOST_UNFIT_UNKNOWN;
	}
}

// --- Giving them again ---

uint64_t vhost_record_used_ring(const struct vhost_record *r, uint32_t i)
{
	const uint64_t used = i < VHOST_RECORD_RINGS ? r->rings[i].used : 0;

	for (uint32_t k = 0; used && k < r->n_regions; k++)
		if (used - r->regions[k].user_addr < r->regions[k].size)
			return r->regions[k].gpa + (used - r->regions[k].user_addr);
	return UINT64_MAX;
}

unsigned vhost_record_ids(const struct vhost_record *r, uint64_t *ids)
{
	unsigned n = 0;

	ids[n++] = r->connection;
	for (uint32_t i = 0; i < r->n_regions; i++)
		if (r->region_ids[i])
			ids[n++] = r->region_ids[i];
	for (unsigned i = 0; i < VHOST_RECORD_RINGS; i++) {
		if (r->rings[i].kick)
			ids[n++] = r->rings[i].kick;
		if (r->rings[i].call)
			ids[n++] = r->rings[i].call;
	}
	return n;
}

static bool replay_u64(struct vhost_user_msg *msg, uint32_t request, uint64_t value)
{
	msg->request = request;
	msg->size = sizeof(value);
	msg->u64 = value;
	return true;
}

static bool replay_state(struct vhost_user_msg *msg, uint32_t request, uint32_t i, uint32_t num)
{
	msg->request = request;
	msg->size = sizeof(msg->state);
	msg->state.index = i;
	msg->state.num = num;
	return true;
}

static bool replay_memory(
	const struct vhost_record *r, struct vhost_user_msg *msg, uint64_t *ids, unsigned *n_ids)
{
	msg->request = VU_SET_MEM_TABLE;
	msg->size = 8 + r->n_regions * sizeof(r->regions[0]);
	msg->mem.n = r->n_regions;
	memcpy(msg->mem.regions, r->regions, sizeof(r->regions));
	memcpy(ids, r->region_ids, r->n_regions * sizeof(*ids));
	*n_ids = r->n_regions;
	return true;
}

static bool replay_event(struct vhost_user_msg *msg, uint32_t request, uint32_t i, uint64_t id,
	uint64_t *ids, unsigned *n)
{
	ids[0] = id;
	*n = id ? 1 : 0;
	return replay_u64(msg, request, i | (id ? 0 : VU_VRING_NOFD));
}

static bool replay_ring(const struct vhost_record_ring *ring, uint32_t i, unsigned step,
	struct vhost_user_msg *msg, uint64_t *ids, unsigned *n_ids)
{
	switch (step) {
	case 0:
		return ring->said & RING_NUM && replay_state(msg, VU_SET_VRING_NUM, i, ring->num);
	case 1:
		return ring->said & RING_BASE &&
		       replay_state(msg, VU_SET_VRING_BASE, i, ring->base);
	case 2:
		if (!(ring->said & RING_ADDR))
			return false;
		msg->request = VU_SET_VRING_ADDR;
		msg->size = sizeof(msg->addr);
		msg->addr.index = i;
		msg->addr.flags = 0; // no log: what is logged is not gone on with
		msg->addr.desc = ring->desc;
		msg->addr.used = ring->used;
		msg->addr.avail = ring->avail;
		msg->addr.log_gpa = 0;
		return true;
	case 3:
		return ring->said & RING_KICK &&
		       replay_event(msg, VU_SET_VRING_KICK, i, ring->kick, ids, n_ids);
	default:
		return ring->said & RING_CALL &&
		       replay_event(msg, VU_SET_VRING_CALL, i, ring->call, ids, n_ids);
	}
}

static bool replay_step(const struct vhost_record *r, unsigned at, struct vhost_user_msg *msg,
	uint64_t *ids, unsigned *n_ids)
{
	const struct vhost_record_ring *rings = r->rings;

	switch (at) {
	case STEP_OWNER:
		msg->request = VU_SET_OWNER;
		return r->said & SAID_OWNER;
	case STEP_PROTOCOL_FEATURES:
		return r->said & SAID_PROTOCOL_FEATURES &&
		       replay_u64(msg, VU_SET_PROTOCOL_FEATURES, r->protocol_features);
	case STEP_FEATURES:
		return r->said & SAID_FEATURES && replay_u64(msg, VU_SET_FEATURES, r->features);
	case STEP_MTU:
		return r->said & SAID_MTU && replay_u64(msg, VU_NET_SET_MTU, r->mtu);
	case STEP_MEM:
		return r->said & SAID_MEM && replay_memory(r, msg, ids, n_ids);
	case STEP_STATUS:
		return r->said & SAID_STATUS && replay_u64(msg, VU_SET_STATUS, r->status);
	}
	if (at < STEP_ENABLE) {
		const unsigned i = (at - STEP_RINGS) / 5;
		return replay_ring(&rings[i], i, (at - STEP_RINGS) % 5, msg, ids, n_ids);
	}
	at -= STEP_ENABLE;
	return rings[at].said & RING_ENABLE &&
	       replay_state(msg, VU_SET_VRING_ENABLE, at, rings[at].enabled);
}

bool vhost_record_replay(const struct vhost_record *r, unsigned *at, struct vhost_user_msg *msg,
	uint64_t *ids, unsigned *n_ids)
{
	while (*at < STEP_END) {
		memset(msg, 0, sizeof(*msg));
		msg->flags = VU_VERSION; // no answer is wanted
		*n_ids = 0;
		if (replay_step(r, (*at)++, msg, ids, n_ids))
			return true;
	}
	return false;
}
