// SPDX-License-Identifier: BSD-2-Clause
// Messages of a VMM: what must hold before rte_vhost acts on each, and which rings stop meanwhile.
#include "dataplane/port/vhost_fault.h"
#include "dataplane/port/vhost_msg.h"
#include "dataplane/port/vhost_user_int.h"

#include <poll.h>
#include <rte_version.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// What rte_vhost hands to message handlers: the message, and behind it its descriptors. The
// payload is a union whose size is rte_vhost's own business, and has changed between versions of one
// shared library; message_of() checks that they are where they were in the versions we know, and refuses
// the message otherwise.
static size_t payload_size(void)
{
	static size_t size; // the event thread's
	unsigned year = 0, month = 0;

	if (!size) {
		sscanf(rte_version(), "%*[^0-9]%u.%u", &year, &month);
		size = 100 * year + month >= 2503 ? 1072 : 632;
	}
	return size;
}

struct message {
	struct vhost_user_msg *msg;
	int *fds;
	int *n_fds;
};

static bool message_of(void *data, struct message *m)
{
	uint8_t *base = data;
	int n;

	m->msg = data;
	m->fds = (int *)(void *)(base + offsetof(struct vhost_user_msg, u64) + payload_size());
	m->n_fds = m->fds + VU_MSG_FDS;
	memcpy(&n, m->n_fds, sizeof(n));
	if (n < 0 || n > VU_MSG_FDS)
		return false;
	for (int i = 0; i < VU_MSG_FDS; i++) {
		int fd;
		memcpy(&fd, &m->fds[i], sizeof(fd));
		if (i < n ? fd < 0 : fd != -1)
			return false;
	}
	return true;
}

// Of a message that rte_vhost will not act on, they are ours to close.
static void close_fds(struct message *m)
{
	for (int i = 0; i < *m->n_fds; i++) {
		close(m->fds[i]);
		m->fds[i] = -1;
	}
	*m->n_fds = 0;
}

static enum rte_vhost_msg_result refuse(struct vhost_user *vu, struct message *m, const char *why)
{
	char text[400];

	close_fds(m);
	vu->refused++;
	snprintf(vu->why, sizeof(vu->why), "refused: %s", why);
	snprintf(text, sizeof(text), "refused %s: %s", vhost_msg_name(m->msg->request), why);
	vhost_user_say(vu, LOG_ERR, text);
	return RTE_VHOST_MSG_RESULT_ERR;
}

static enum rte_vhost_msg_result reply(struct vhost_user *vu, struct message *m, uint64_t value)
{
	if (*m->n_fds)
		return refuse(vu, m, "descriptors came with a request that has none");
	m->msg->u64 = value;
	m->msg->size = sizeof(value);
	return RTE_VHOST_MSG_RESULT_REPLY;
}

static enum rte_vhost_msg_result get_features(struct vhost_user *vu, struct message *m)
{
	uint64_t features = 0;

	rte_vhost_driver_get_features(vu->port.config.socket, &features);
	return reply(vu, m, features | (vhost_features_own & ~vu->port.config.features_off));
}

static enum rte_vhost_msg_result set_features(struct vhost_user *vu, struct message *m)
{
	uint64_t own = m->msg->u64 & vhost_features_own;

	vhost_user_stop(vu, 0, RINGS_MAX);
	if (own & vu->port.config.features_off)
		return refuse(vu, m, "the guest accepted a feature that was not offered");
	vu->own_features = own;
	vu->driver = true;
	vu->memless_ticks = 0;
	m->msg->u64 &= ~own;
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static enum rte_vhost_msg_result set_mem_table(struct vhost_user *vu, struct message *m)
{
	struct error err;

	vhost_user_stop(vu, 0, RINGS_MAX);
	vhost_user_drop_mem(vu);
	vu->driver = false;
	if (vhost_msg_check_mem(m->msg, m->fds, *m->n_fds, &err))
		return refuse(vu, m, err.text);
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

// A VMM whose guest's driver starts while a migration runs, or that comes back to us then (QEMU is one), starts
// the rings with LOG_ALL and sends the log after that. What they wrote meanwhile no log has, or one that the VMM
// does not look at any more.
static void mark_unlogged(struct vhost_user *vu)
{
	for (uint32_t i = 0; vu->unlogged && i < vu->mem.n; i++)
		dirty_log_mark_all(&vu->log, vu->mem.regions[i].gpa, vu->mem.regions[i].size);
	vu->unlogged = false;
}

static enum rte_vhost_msg_result set_log_base(struct vhost_user *vu, struct message *m)
{
	struct dirty_log log = {0};
	uint64_t end = 0;

	vhost_user_stop(vu, 0, RINGS_MAX);
	if (*m->n_fds != 1 || m->msg->log.offset)
		return refuse(vu, m, "a dirty log must come with one descriptor and offset 0");
	if (!vu->have_mem)
		return refuse(vu, m, "a dirty log before the memory table");
	for (uint32_t i = 0; i < vu->mem.n; i++)
		if (vu->mem.regions[i].gpa + vu->mem.regions[i].size > end)
			end = vu->mem.regions[i].gpa + vu->mem.regions[i].size;
	if (dirty_log_map(&log, m->fds[0], m->msg->log.size, end))
		return refuse(
			vu, m, "the dirty log is no shared memory or too small for the guest");
	vhost_user_drop_log(vu);
	vu->log = log;
	vhost_fault_watch(&vu->log, log.base, log.size);
	mark_unlogged(vu);
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

// A kick or call descriptor: must be an eventfd, or none.
static enum rte_vhost_msg_result set_event(struct vhost_user *vu, struct message *m)
{
	bool none = m->msg->u64 & VU_VRING_NOFD;

	if (*m->n_fds != !none)
		return refuse(vu, m, "exactly one descriptor must come with it");
	if (!none && !vhost_fd_is_event(m->fds[0]))
		return refuse(vu, m, "the descriptor is no eventfd");
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

// Without protocol features a ring is enabled as soon as it starts.
static bool starts_enabled(const struct vhost_user *vu)
{
	uint64_t features = 0;

	return !rte_vhost_get_negotiated_features(vu->vid, &features) &&
	       !(features & FEATURE(VHOST_USER_F_PROTOCOL_FEATURES_BIT));
}

static enum rte_vhost_msg_result ring_message(struct vhost_user *vu, struct message *m)
{
	uint32_t i = m->msg->state.index, request = m->msg->request;
	bool event = request == VU_SET_VRING_KICK || request == VU_SET_VRING_CALL ||
		     request == VU_SET_VRING_ERR;

	if (event)
		i = m->msg->u64 & VU_VRING_INDEX;
	if (i >= 2 * vu->port.config.queues)
		return refuse(vu, m, "more queues than the port has: raise queues: of the port");
	if (request != VU_SET_VRING_ENABLE && request != VU_SET_VRING_ERR)
		vhost_user_stop(vu, i, i + 1);
	if (request == VU_SET_VRING_BASE && vu->adopting)
		vhost_user_adopt_base(vu, m->msg);
	if (request == VU_SET_VRING_ENABLE)
		vu->ring[i].enabled = m->msg->state.num;
	if (request == VU_SET_VRING_KICK && starts_enabled(vu))
		vu->ring[i].enabled = true;
	return event ? set_event(vu, m) : RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static void set_mtu(struct vhost_user *vu, uint64_t mtu)
{
	if (mtu >= 68 && mtu <= 65535)
		__atomic_store_n(&vu->port.mtu, (uint32_t)mtu, __ATOMIC_RELAXED);
}

static enum rte_vhost_msg_result handle_before(struct vhost_user *vu, struct message *m)
{
	int size = vhost_msg_payload_size(m->msg->request);

	if (size >= 0 && (uint32_t)size != m->msg->size)
		return refuse(vu, m, "its payload has the wrong size");
	switch (m->msg->request) {
	case VU_GET_FEATURES:
		return get_features(vu, m);
	case VU_SET_FEATURES:
		return set_features(vu, m);
	case VU_GET_QUEUE_NUM: // rte_vhost would offer as many as it can
		return reply(vu, m, vu->port.config.queues);
	case VU_SET_MEM_TABLE:
		return set_mem_table(vu, m);
	case VU_SET_LOG_BASE:
		return set_log_base(vu, m);
	case VU_RESET_OWNER:
		vhost_user_stop(vu, 0, RINGS_MAX);
		vhost_user_drop_mem(vu);
		for (unsigned i = 0; i < RINGS_MAX; i++)
			vu->ring[i].ready = vu->ring[i].enabled = false;
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	case VU_SET_VRING_NUM:
	case VU_SET_VRING_ADDR:
	case VU_SET_VRING_BASE:
	case VU_GET_VRING_BASE:
	case VU_SET_VRING_KICK:
	case VU_SET_VRING_CALL:
	case VU_SET_VRING_ERR:
	case VU_SET_VRING_ENABLE:
		return ring_message(vu, m);
	case VU_NET_SET_MTU:
		set_mtu(vu, m->msg->u64);
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	case VU_GET_INFLIGHT_FD:
	case VU_SET_INFLIGHT_FD:
	case VU_IOTLB_MSG:
	case VU_GET_CONFIG:
	case VU_SET_CONFIG:
	case VU_POSTCOPY_ADVISE:
	case VU_POSTCOPY_LISTEN:
	case VU_POSTCOPY_END:
	case VU_SET_SLAVE_REQ_FD:
		return refuse(vu, m, "it belongs to a protocol feature that was not offered");
	default:
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	}
}

// Whether the VMM has room for an answer. If it never reads any, whoever writes the next would wait, on the
// thread that serves all: VMMs that do no harm have read one before they wait for another.
static bool hears(const struct vhost_user *vu)
{
	struct pollfd p = {.fd = vu->connfd, .events = POLLOUT};

	return poll(&p, 1, 0) != 0;
}

enum rte_vhost_msg_result vhost_user_before(int vid, void *data)
{
	struct vhost_user *vu = vhost_user_find(vid);
	enum rte_vhost_msg_result rc;
	struct message m;
	uint8_t mac[6];

	if (!message_of(data, &m)) {
		if (vu)
			vhost_user_say(vu, LOG_ERR,
				"this version of DPDK hands over messages in a form that is not "
				"known: use 22.11 to 25.11");
		return RTE_VHOST_MSG_RESULT_ERR;
	}
	if (!vu) { // it gave way to a newer connection
		close_fds(&m);
		return RTE_VHOST_MSG_RESULT_ERR;
	}
	pthread_mutex_lock(&vu->lock);
	if (m.msg->request == VU_ADOPT && vu->adopting) {
		rc = vhost_user_adopted(vu);
		pthread_mutex_unlock(&vu->lock);
		return rc;
	}
	if (vu->adopting)
		vu->adopt_request = m.msg->request; // what is said again is known already
	else
		vhost_session_begin(&vu->session);
	if (!hears(vu)) {
		rc = refuse(vu, &m, "the VMM does not read its answers: disconnected");
		(void)shutdown(vu->connfd, SHUT_RDWR);
		pthread_mutex_unlock(&vu->lock);
		return rc;
	}
	pthread_mutex_unlock(&vu->lock);
	if (m.msg->request == VU_SEND_RARP && m.msg->size == 8 && !*m.n_fds) {
		memcpy(mac, m.msg->mac, sizeof(mac));
		if (vu->port.up.announce)
			vu->port.up.announce(vu->port.up.ctx, &vu->port, mac);
		return RTE_VHOST_MSG_RESULT_OK;
	}
	vhost_fault_tolerate(); // rte_vhost looks at rings in memory before we know it
	pthread_mutex_lock(&vu->lock);
	vu->stopped = true;
	rc = handle_before(vu, &m);
	if (rc == RTE_VHOST_MSG_RESULT_REPLY)
		vu->stopped = false;
	if (rc == RTE_VHOST_MSG_RESULT_NOT_HANDLED && !vu->adopting)
		vhost_session_hold(&vu->session, m.msg->request, m.fds, (unsigned)*m.n_fds);
	pthread_mutex_unlock(&vu->lock);
	return rc;
}

// rte_vhost has acted on it, and the message says what the VMM meant: features that are our own are
// among the others again.
static void end_session_message(struct vhost_user *vu, struct vhost_user_msg *msg)
{
	if (msg->request == VU_SET_FEATURES)
		msg->u64 |= vu->own_features;
	if (vhost_session_end(&vu->session, msg, vu->connfd))
		msg->flags &= ~VU_NEED_REPLY; // rte_vhost need not answer
}

// Only after success. After a failure rings that were stopped stay so until a message succeeds.
enum rte_vhost_msg_result vhost_user_after(int vid, void *data)
{
	struct vhost_user *vu = vhost_user_find(vid);
	struct vhost_user_msg *msg = data;

	if (!vu)
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	pthread_mutex_lock(&vu->lock);
	if (msg->request == VU_SET_MEM_TABLE)
		vu->have_mem = vhost_user_load_mem(vu);
	vu->stopped = false;
	if (!vu->have_mem)
		vhost_user_end(vu, 0, RINGS_MAX);
	vhost_user_start(vu);
	end_session_message(vu, msg);
	pthread_mutex_unlock(&vu->lock);
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}
