// SPDX-License-Identifier: BSD-2-Clause
// Ports of type vhost-user: a guest's network card. rte_vhost speaks the protocol; the rings are
// ours (vhost_ring.h).
#include "dataplane/port/vhost_user.h"

#include "dataplane/port/vhost_fault.h"
#include "dataplane/port/vhost_msg.h"
#include "dataplane/port/vhost_user_int.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <urcu-qsbr.h>

// How long a VMM may take from the features to the memory: it sends both in one go.
#define MEMLESS_TICKS 3

static struct vhost_user *vhost_user(struct port *port)
{
	return (struct vhost_user *)port;
}

// --- Frames (worker) ---

static struct vhost_ring *ring_of(struct port *port, unsigned i)
{
	// What rcu_dereference() is, without the call of a library's function.
	return __atomic_load_n(&vhost_user(port)->ring[i].active, __ATOMIC_ACQUIRE);
}

static uint32_t vhost_user_rx(
	struct port *port, unsigned q, struct burst *b, uint32_t max, struct port_stats *st)
{
	struct vhost_ring *r = ring_of(port, 2 * q + 1);

	if (!r) {
		b->n = 0;
		return 0;
	}
	return vhost_ring_lend(r, b, max, st);
}

static uint32_t vhost_user_rx_backlog(
	struct port *port, unsigned q, uint32_t want, struct port_stats *st)
{
	struct vhost_ring *r = ring_of(port, 2 * q + 1);

	return r ? vq_device_avail(&r->vq, want) : 0;
}

static void vhost_user_rx_done(struct port *port, unsigned q, struct burst *b)
{
	struct vhost_ring *r = ring_of(port, 2 * q + 1);

	if (r)
		vhost_ring_give_back(r);
}

static uint32_t vhost_user_tx(struct port *port, unsigned q, const struct frame *f,
	const uint8_t *list, uint32_t n, struct port_stats *st)
{
	struct vhost_ring *r = ring_of(port, 2 * q);

	if (!r) {
		st->drop[DROP_port_down] += n;
		return n;
	}
	return vhost_ring_deliver(r, f, list, n, st);
}

static uint32_t vhost_user_tx_room(
	struct port *port, unsigned q, uint32_t want, struct port_stats *st)
{
	struct vhost_ring *r = ring_of(port, 2 * q);

	if (__atomic_load_n(&vhost_user(port)->ring[2 * q].paused, __ATOMIC_RELAXED))
		return 0; // it is back in a moment
	return r ? vhost_ring_room(r, want) : want;
}

static void vhost_user_tx_fetch(struct port *port, unsigned q, uint32_t n, uint32_t longest)
{
	struct vhost_ring *r = ring_of(port, 2 * q);

	if (r)
		vhost_ring_fetch(r, n, longest);
}

static void vhost_user_notify(struct port *port, unsigned q, unsigned dirs, struct port_stats *st)
{
	struct vhost_ring *to_guest = dirs & PORT_TX ? ring_of(port, 2 * q) : NULL;
	struct vhost_ring *from_guest = dirs & PORT_RX ? ring_of(port, 2 * q + 1) : NULL;

	if (to_guest)
		vhost_ring_notify(to_guest, st);
	if (from_guest)
		vhost_ring_notify(from_guest, st);
}

static bool vhost_user_arm(struct port *port, unsigned q)
{
	struct vhost_ring *r = ring_of(port, 2 * q + 1);

	return r &&
	       (vhost_ring_arm(r) || (vhost_user(port)->ring[2 * q + 1].polled && !r->vq.broken));
}

static void vhost_user_disarm(struct port *port, unsigned q)
{
	struct vhost_ring *r = ring_of(port, 2 * q + 1);

	if (r)
		vhost_ring_disarm(r);
}

// --- Opening and closing (control) ---

// Whether rte_vhost will be able to bind `path`: what it does not say is why it could not.
static int check_bind(const char *path, struct error *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, rc = 0;

	memcpy(a.sun_path, path, strlen(path) + 1);
	// Whoever listens there may not accept: that must not hold us up.
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(err, -errno, "socket", "socket: %s", strerror(errno));
	if (!lstat(path, &st)) {
		if (!S_ISSOCK(st.st_mode))
			rc = error_set(err, -EEXIST, "socket",
				"socket: %s exists and is no socket: remove it or choose another "
				"path",
				path);
		else if (!connect(fd, (struct sockaddr *)&a, sizeof(a)) || errno == EAGAIN)
			rc = error_set(err, -EADDRINUSE, "socket",
				"socket: %s is in use by another process: stop it or choose "
				"another "
				"path",
				path);
		else if (errno == ECONNREFUSED)
			unlink(path); // left over by a process that is gone
		close(fd);
		if (rc)
			return rc;
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)))
		rc = error_set(err, -errno, "socket",
			"socket: cannot create %s: %s; the directory must exist and be writable "
			"for "
			"weftd",
			path, strerror(errno));
	else
		unlink(path);
	close(fd);
	return rc;
}

static int set_owner(const struct port_config *c, struct error *err)
{
	char buf[sizeof(c->socket_owner)], *group;
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;

	if (chmod(c->socket, c->socket_mode ? c->socket_mode : 0660))
		return error_set(err, -errno, "socket",
			"socket: cannot set the permissions of %s: %s", c->socket, strerror(errno));
	if (!*c->socket_owner)
		return 0;
	memcpy(buf, c->socket_owner, sizeof(buf));
	group = strchr(buf, ':');
	if (group)
		*group++ = '\0';
	if (*buf) {
		const struct passwd *pw = getpwnam(buf);
		if (!pw)
			return error_set(err, -ENOENT, "socket-owner",
				"socket-owner: there is no user '%s' on this machine", buf);
		uid = pw->pw_uid;
	}
	if (group && *group) {
		const struct group *gr = getgrnam(group);
		if (!gr)
			return error_set(err, -ENOENT, "socket-owner",
				"socket-owner: there is no group '%s' on this machine", group);
		gid = gr->gr_gid;
	}
	if (chown(c->socket, uid, gid))
		return error_set(err, -errno, "socket-owner",
			"socket-owner: cannot give %s to %s: %s", c->socket, c->socket_owner,
			strerror(errno));
	return 0;
}

static int check_config(const struct port_config *c, struct error *err)
{
	size_t len = strnlen(c->socket, sizeof(c->socket));

	if (!len || len >= sizeof(c->socket))
		return error_set(err, -EINVAL, "socket",
			"socket: a path of 1 to %zu bytes is needed", sizeof(c->socket) - 1);
	if (c->queues > PORT_QUEUES_MAX)
		return error_set(err, -EINVAL, "queues", "queues: at most %u pairs, not %u",
			PORT_QUEUES_MAX, c->queues);
	if (c->mtu && (c->mtu < 68 || c->mtu > 65535))
		return error_set(err, -EINVAL, "mtu", "mtu: from 68 to 65535, not %u", c->mtu);
	return 0;
}

// Registers the socket and says what is offered. A failure leaves nothing behind.
static int start_driver(struct vhost_user *vu, struct error *err)
{
	const struct port_config *c = &vu->port.config;
	const uint64_t protocol = UINT64_C(1) << 0 | // MQ
				  UINT64_C(1) << 1 | // LOG_SHMFD
				  UINT64_C(1) << 2 | // RARP
				  UINT64_C(1) << 3 | // REPLY_ACK
				  UINT64_C(1) << 4 | // NET_MTU
				  UINT64_C(1) << 16; // STATUS
	uint64_t offered = 0, protocol_offered = 0;

	if (rte_vhost_driver_register(c->socket, c->client ? RTE_VHOST_USER_CLIENT : 0))
		return error_set(err, -EIO, "socket",
			"socket: rte_vhost does not take %s: too many ports, or the EAL is not "
			"running",
			c->socket);
	if (rte_vhost_driver_get_features(c->socket, &offered) ||
		rte_vhost_driver_disable_features(
			c->socket, offered & (~vhost_features_all | c->features_off)) ||
		rte_vhost_driver_get_protocol_features(c->socket, &protocol_offered) ||
		rte_vhost_driver_set_protocol_features(c->socket, protocol_offered & protocol) ||
		rte_vhost_driver_callback_register(c->socket, &vhost_user_device_ops) ||
		vhost_user_start_driver(c->socket)) {
		rte_vhost_driver_unregister(c->socket);
		return error_set(err, -EIO, "socket", "socket: cannot listen on or connect to %s",
			c->socket);
	}
	return 0;
}

static void vhost_user_close(struct port *port)
{
	struct vhost_user *vu = vhost_user(port);

	// Before rte_vhost unmaps memory nobody may use it or watch it: another mapping may be there next.
	pthread_mutex_lock(&vu->lock);
	vu->closing = true;
	vhost_user_end(vu, 0, RINGS_MAX);
	vhost_user_drop_mem(vu);
	pthread_mutex_unlock(&vu->lock);
	// Runs destroy_device for a connected guest, on this thread.
	rte_vhost_driver_unregister(port->config.socket);
	vhost_user_unlist(vu);
	pthread_mutex_lock(&vu->lock);
	vhost_user_drop_log(vu);
	vhost_session_close(&vu->session);
	pthread_mutex_unlock(&vu->lock);
	pthread_mutex_destroy(&vu->lock);
	port_fini(port);
	free(vu);
}

static int vhost_user_open(const struct port_config *config, const struct port_upcalls *up,
	struct port **out, struct error *err)
{
	struct vhost_user *vu = NULL;
	int adopter = -1, rc = check_config(config, err);

	if (!rc && !config->client)
		rc = check_bind(config->socket, err);
	if (rc)
		return rc;
	if (posix_memalign((void **)&vu, 64, sizeof(*vu)))
		return error_set(err, -ENOMEM, "", "out of memory");
	memset(vu, 0, sizeof(*vu));
	vhost_fault_init();
	rc = port_init(&vu->port, &vhost_user_ops, config, up);
	if (rc) {
		free(vu);
		return error_set(err, rc, "", "out of memory");
	}
	if (!vu->port.config.queues)
		vu->port.config.queues = 1;
	vu->port.n_rxq = vu->port.config.queues;
	pthread_mutex_init(&vu->lock, NULL);
	vu->vid = vu->connfd = -1;
	snprintf(vu->why, sizeof(vu->why), "%s", vhost_user_waiting(vu));
	vhost_user_list(vu);
	if (!config->client)
		adopter = vhost_user_adopt_find(vu);
	rc = start_driver(vu, err);
	if (rc) {
		vhost_user_unlist(vu);
		vhost_session_drop(&vu->session);
		pthread_mutex_destroy(&vu->lock);
		port_fini(&vu->port);
		free(vu);
	} else if (!config->client && (rc = set_owner(&vu->port.config, err))) {
		vhost_user_close(&vu->port);
	} else {
		vhost_user_adopt(vu, adopter);
		*out = &vu->port;
		return 0;
	}
	if (adopter >= 0)
		close(adopter);
	return rc;
}

static int vhost_user_set(struct port *port, const struct port_config *config, struct error *err)
{
	struct port_config *c = &port->config;
	int rc = check_config(config, err);

	if (rc)
		return rc;
	if (strcmp(c->socket, config->socket) || c->client != config->client ||
		c->queues != (config->queues ? config->queues : 1) ||
		c->features_off != config->features_off || c->socket_mode != config->socket_mode ||
		strcmp(c->socket_owner, config->socket_owner))
		return -ENOTSUP;
	c->mtu = config->mtu;
	__atomic_store_n(&port->mtu, config->mtu ? config->mtu : 1500, __ATOMIC_RELAXED);
	return 0;
}

// --- Describing (control) ---

static void describe_ring(struct vhost_user *vu, unsigned i, const struct describer *to)
{
	const struct vhost_ring *r = vu->ring[i].active;
	const struct vq_device *vq = &r->vq;

	to->open(to->ctx, NULL);
	to->num(to->ctx, "queue", i / 2);
	to->str(to->ctx, "direction", i % 2 ? "from-guest" : "to-guest");
	to->num(to->ctx, "size", vq->size);
	to->num(to->ctx, "available", __atomic_load_n(&vq->ring.avail->idx, __ATOMIC_RELAXED));
	to->num(to->ctx, "taken", __atomic_load_n(&vq->next_avail, __ATOMIC_RELAXED));
	to->num(to->ctx, "used", __atomic_load_n(&vq->ring.published, __ATOMIC_RELAXED));
	to->flag(to->ctx, "enabled", !r->discard);
	to->flag(to->ctx, "broken", vq->broken);
	to->flag(to->ctx, "interrupts", r->callfd >= 0);
	to->flag(to->ctx, "kicks", r->kickfd >= 0 && !vu->ring[i].polled);
	to->close(to->ctx);
}

static void vhost_user_describe(struct port *port, const struct describer *to)
{
	struct vhost_user *vu = vhost_user(port);

	pthread_mutex_lock(&vu->lock);
	to->str(to->ctx, "socket", port->config.socket);
	to->str(to->ctx, "mode", port->config.client ? "client" : "server");
	to->flag(to->ctx, "connected", vu->vid >= 0);
	to->flag(to->ctx, "running", vu->running);
	to->flag(to->ctx, "kept", vhost_session_is_kept(&vu->session));
	to->str(to->ctx, "why", vu->why);
	to->num(to->ctx, "connections", vu->connections);
	to->num(to->ctx, "refused", vu->refused);
	to->str(to->ctx, "copy-routines", vhost_ring_isa());
	to->flag(to->ctx, "migrating", vu->features & FEATURE(VHOST_F_LOG_ALL));
	to->open_list(to->ctx, "features");
	for (const int *b = vhost_feature_bits; *b >= 0; b++)
		if (vu->features & FEATURE(*b))
			to->str(to->ctx, NULL, vhost_feature_name((unsigned)*b));
	to->close(to->ctx);
	to->open_list(to->ctx, "queues");
	for (unsigned i = 0; i < RINGS_MAX; i++)
		if (vu->ring[i].active)
			describe_ring(vu, i, to);
	to->close(to->ctx);
	to->open_list(to->ctx, "memory");
	for (uint32_t i = 0; vu->running && i < vu->mem.n; i++) {
		to->open(to->ctx, NULL);
		to->num(to->ctx, "address", vu->mem.regions[i].gpa);
		to->num(to->ctx, "size", vu->mem.regions[i].size);
		to->close(to->ctx);
	}
	to->close(to->ctx);
	pthread_mutex_unlock(&vu->lock);
}

static bool looks_untouched(const struct vhost_ring *r)
{
	static const struct vring_desc none;

	return !vq_device_avail_idx(&r->vq) && !memcmp(r->vq.desc, &none, sizeof(none));
}

// Does any ring show what the guest wrote? One that only receives shows its buffers.
static bool looks_shared(const struct vhost_user *vu)
{
	for (unsigned i = 0; i < RINGS_MAX; i++)
		if (vu->ring[i].active && !looks_untouched(vu->ring[i].active))
			return true;
	return false;
}

// A guest that kicks, but whose rings look as if nobody ever wrote them: its VMM maps the memory
// privately, and we see other pages than the guest does.
static bool looks_private(struct vhost_user *vu)
{
	if (looks_shared(vu))
		return false;
	for (unsigned i = 1; i < RINGS_MAX; i += 2) {
		struct vhost_ring *r = vu->ring[i].active;
		uint64_t kicks;

		if (!r || r->kickfd < 0)
			continue;
		// Nobody reads this counter. One kick is ours; what came before the ring started does
		// not count. A driver may kick once only: with EVENT_IDX it waits for an answer that
		// it will never see.
		kicks = vhost_event_count(r->kickfd);
		if (kicks > r->kicks_before + 1)
			return true;
	}
	return false;
}

// A VMM that tells what its guest's driver accepted, but hands over no memory: what is not shared
// QEMU cannot send; it says so in its own log alone and stays connected. Lock held; true once.
static bool sends_no_memory(struct vhost_user *vu)
{
	if (vu->vid < 0 || !vu->driver || vu->have_mem || ++vu->memless_ticks != MEMLESS_TICKS)
		return false;
	snprintf(vu->why, sizeof(vu->why), "%s",
		"a VMM is connected and its guest's driver started, but no memory came: start the "
		"VM with share=on (QEMU says \"Failed initializing vhost-user memory map\")");
	return true;
}

// Why a VMM cannot stay, or NULL.
static const char *fault_of(const struct vhost_user *vu)
{
	if (vhost_fault_seen(&vu->mem) || vhost_fault_seen(&vu->log))
		return "the VMM took away memory that it shares with us (a file was cut short, or "
		       "huge pages ran out): disconnected";
	if (__atomic_load_n(&vu->stuck, __ATOMIC_RELAXED))
		return "the VMM made calls take long (its descriptor for them was blocking and "
		       "full, "
		       "or very many waited for it), which held all guests up: disconnected";
	return NULL;
}

// A guest whose memory has gone cannot be helped: its VMM is sent away, and may come back with all
// that it has. Lock held.
static bool send_away_if_faulty(struct vhost_user *vu)
{
	const char *why = fault_of(vu);

	if (!why)
		return false;
	vhost_user_end(vu, 0, RINGS_MAX);
	vhost_user_drop_mem(vu);
	vhost_user_drop_log(vu);
	vu->stuck = false;
	if (vu->connfd >= 0)
		(void)shutdown(vu->connfd, SHUT_RDWR);
	vu->refused++;
	vhost_user_say(vu, LOG_ERR, why);
	vhost_user_link_down(vu, why);
	return true;
}

// A new second has room for new lines.
static void say_what_was_not_said(struct vhost_user *vu)
{
	const uint32_t says = __atomic_exchange_n(&vu->says, 0, __ATOMIC_RELAXED);
	char text[64];

	if (says <= SAYS_MAX)
		return;
	snprintf(text, sizeof(text), "%u more lines were left out", says - SAYS_MAX);
	vhost_user_say(vu, LOG_WARNING, text);
}

static void vhost_user_tick(struct port *port)
{
	struct vhost_user *vu = vhost_user(port);
	bool was, is;

	say_what_was_not_said(vu);
	pthread_mutex_lock(&vu->lock);
	if (send_away_if_faulty(vu)) {
		pthread_mutex_unlock(&vu->lock);
		return;
	}
	if (sends_no_memory(vu))
		vhost_user_say(vu, LOG_ERR, vu->why);
	vhost_session_tick(&vu->session);
	vhost_user_adopt_tick(vu);
	was = is = vu->suspect;
	if (vu->running)
		is = was ? !looks_shared(vu) : looks_private(vu);
	vu->suspect = is;
	if (is && !was) {
		vhost_user_link_down(vu,
			"guest memory seems not to be shared: the guest kicks, but its rings look "
			"empty from here; start the VM with share=on");
		vhost_user_say(vu, LOG_ERR, vu->why);
	} else if (was && !is)
		vhost_user_link_up(vu);
	pthread_mutex_unlock(&vu->lock);
}

const struct port_ops vhost_user_ops = {
	.type = "vhost-user",
	.open = vhost_user_open,
	.close = vhost_user_close,
	.set = vhost_user_set,
	.describe = vhost_user_describe,
	.tick = vhost_user_tick,
	.rx = vhost_user_rx,
	.rx_backlog = vhost_user_rx_backlog,
	.rx_done = vhost_user_rx_done,
	.tx = vhost_user_tx,
	.tx_room = vhost_user_tx_room,
	.tx_fetch = vhost_user_tx_fetch,
	.notify = vhost_user_notify,
	.arm = vhost_user_arm,
	.disarm = vhost_user_disarm,
};
