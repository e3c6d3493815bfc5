// SPDX-License-Identifier: BSD-2-Clause
// Connections of guests to their ports, and the life of the device behind each.
#include "dataplane/port/vhost_user_int.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// A descriptor that the daemon opens at its start is less than this.
#define PIPE_FDS 1024
// As many descriptors as the daemon may have.
#define FDS_MAX 65536
// A peer that stops in the middle of a message holds up the event thread for no longer than this.
#define PEER_TIMEOUT_MS 100

// A port's lock may be taken under the first of these two, and the second under a port's.
static pthread_mutex_t ports_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t vids_lock = PTHREAD_MUTEX_INITIALIZER;
static struct vhost_user *ports; // under ports_lock
// Which port a connection belongs to. Under vids_lock.
static struct vhost_user *by_vid[1024];

struct vhost_user *vhost_user_find(int vid)
{
	struct vhost_user *vu = NULL;

	pthread_mutex_lock(&vids_lock);
	if (vid >= 0 && vid < (int)(sizeof(by_vid) / sizeof(by_vid[0])))
		vu = by_vid[vid];
	pthread_mutex_unlock(&vids_lock);
	return vu;
}

static void set_vid(int vid, struct vhost_user *vu)
{
	pthread_mutex_lock(&vids_lock);
	if (vid >= 0 && vid < (int)(sizeof(by_vid) / sizeof(by_vid[0])))
		by_vid[vid] = vu;
	pthread_mutex_unlock(&vids_lock);
}

void vhost_user_list(struct vhost_user *vu)
{
	pthread_mutex_lock(&ports_lock);
	vu->next = ports;
	ports = vu;
	vhost_user_settle();
	pthread_mutex_unlock(&ports_lock);
}

void vhost_user_unlist(struct vhost_user *vu)
{
	pthread_mutex_lock(&ports_lock);
	for (struct vhost_user **p = &ports; *p; p = &(*p)->next) {
		if (*p == vu) {
			*p = vu->next;
			break;
		}
	}
	pthread_mutex_unlock(&ports_lock);
	pthread_mutex_lock(&vids_lock);
	for (size_t i = 0; i < sizeof(by_vid) / sizeof(by_vid[0]); i++)
		if (by_vid[i] == vu)
			by_vid[i] = NULL;
	pthread_mutex_unlock(&vids_lock);
}

void vhost_user_with_list(void (*fn)(struct vhost_user *ports))
{
	pthread_mutex_lock(&ports_lock);
	fn(ports);
	pthread_mutex_unlock(&ports_lock);
}

const char *vhost_user_waiting(const struct vhost_user *vu)
{
	return vu->port.config.client ? "connecting: no VMM listens on the socket yet"
				      : "waiting for a VMM to connect to the socket";
}

void vhost_user_bound_waits(int fd)
{
	struct timeval tv = {.tv_usec = PEER_TIMEOUT_MS * 1000};

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

// What this end of a unix socket is called, or the other end; "" without a name in the file system. False:
// it has no such end.
static bool name_of(int fd, bool other_end, struct sockaddr_un *a)
{
	socklen_t len = sizeof(*a) - 1;

	memset(a, 0, sizeof(*a));
	return !(other_end ? getpeername(fd, (struct sockaddr *)a, &len)
			   : getsockname(fd, (struct sockaddr *)a, &len)) &&
	       a->sun_family == AF_UNIX;
}

// Whether fd is a socket that rte_vhost may just have connected or accepted. rte_vhost's would stay open in
// another program; ours, such as the duplicates that a session has, would not. Those that were found
// before have a bound on their waits.
static bool is_new_socket(int fd)
{
	socklen_t len = sizeof(int), tlen = sizeof(struct timeval);
	struct timeval tv;
	int listening;

	return fcntl(fd, F_GETFD) == 0 &&
	       !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) && !listening &&
	       !getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &tlen) && !tv.tv_sec && !tv.tv_usec;
}

enum guess { NO, PERHAPS, SURELY };

// Whether fd is a new connection of the port. The end that is ours says so where the VMM came to us. The VMM's
// end has the name that the VMM gave it: not that of the port, if it sees other directories than we do, or if
// it wants to be taken for another.
static enum guess guess_connection(const struct vhost_user *vu, int fd)
{
	const struct port_config *c = &vu->port.config;
	struct sockaddr_un a;

	if (!is_new_socket(fd) || !name_of(fd, false, &a))
		return NO;
	if (!c->client)
		return strcmp(a.sun_path, c->socket) ? NO : SURELY;
	if (*a.sun_path || !name_of(fd, true, &a))
		return NO;
	if (!strcmp(a.sun_path, c->socket))
		return SURELY;
	for (const struct vhost_user *other = ports; other; other = other->next)
		if (!strcmp(a.sun_path, other->port.config.socket))
			return NO;
	return fd > STDERR_FILENO ? PERHAPS : NO; // the log may go to a socket
}

// The socket of the port's new connection, from here on with a bound on its waits. rte_vhost does not tell; the
// kernel knows. -1: it cannot be told. With the list locked.
static int find_connfd(const struct vhost_user *vu)
{
	int best = -1;

	for (int fd = 0; fd < FDS_MAX; fd++) {
		const enum guess guess = guess_connection(vu, fd);

		if (guess != NO)
			best = fd;
		if (guess == SURELY)
			break;
	}
	if (best >= 0)
		vhost_user_bound_waits(best);
	return best;
}

// Ends of pipes that can be written, by descriptor: their inodes, 0 for all else.
static void list_pipes(ino_t pipes[PIPE_FDS])
{
	for (int fd = 0; fd < PIPE_FDS; fd++) {
		struct stat st;
		bool found = !fstat(fd, &st) && S_ISFIFO(st.st_mode) &&
			     (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY;

		pipes[fd] = found ? st.st_ino : 0;
	}
}

// rte_vhost's event thread waits for a second at a time, and what it waits for does not grow
// meanwhile: a VMM that connects to a new socket is not heard for up to a second. A pipe wakes the
// thread, which rte_vhost uses for connections but not for sockets. It is made at the first start.
int vhost_user_start_driver(const char *path)
{
	static ino_t before[PIPE_FDS], after[PIPE_FDS];
	static int wake = -1;
	static bool looked;
	int rc;

	if (!looked)
		list_pipes(before);
	rc = rte_vhost_driver_start(path);
	if (!looked) {
		list_pipes(after);
		for (int fd = 0; fd < PIPE_FDS; fd++)
			if (after[fd] && after[fd] != before[fd])
				wake = fd;
		looked = true;
	}
	if (wake >= 0)
		(void)!write(wake, "", 1);
	return rc;
}

bool vhost_user_has_hung_up(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return fd < 0 || poll(&p, 1, 0) < 0 || (p.revents & (POLLHUP | POLLRDHUP | POLLERR));
}

static void set_link(struct vhost_user *vu, enum port_link link)
{
	__atomic_store_n(&vu->port.link, link, __ATOMIC_RELAXED);
	if (vu->port.up.link)
		vu->port.up.link(vu->port.up.ctx, &vu->port, link, vu->why);
}

void vhost_user_link_down(struct vhost_user *vu, const char *why)
{
	snprintf(vu->why, sizeof(vu->why), "%s", why);
	set_link(vu, PORT_LINK_DOWN);
}

static void feature_names(uint64_t features, char *to, size_t size)
{
	size_t used = 0;

	*to = '\0';
	for (const int *b = vhost_feature_bits; *b >= 0; b++)
		if (features & FEATURE(*b) && used < size)
			used += (size_t)snprintf(to + used, size - used, "%s%s", used ? " " : "",
				vhost_feature_name((unsigned)*b));
}

void vhost_user_link_up(struct vhost_user *vu)
{
	char names[200];

	feature_names(vu->features, names, sizeof(names));
	snprintf(vu->why, sizeof(vu->why), "guest connected: %s", names);
	set_link(vu, PORT_LINK_UP);
}

// Forgets the connection: whatever its vid does from now on is none of ours.
static void detach(struct vhost_user *vu)
{
	vhost_user_end(vu, 0, RINGS_MAX);
	vhost_user_drop_session(vu);
	set_vid(vu->vid, NULL);
	vu->vid = vu->connfd = -1;
	vhost_user_drop_mem(vu);
	vu->running = vu->stopped = vu->suspect = vu->stuck = vu->unlogged = false;
	vu->features = vu->own_features = 0;
	// What this VMM said of its MTU is none of the next one's.
	__atomic_store_n(
		&vu->port.mtu, vu->port.config.mtu ? vu->port.config.mtu : 1500, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < RINGS_MAX; i++) {
		vu->ring[i].ready = vu->ring[i].enabled = false;
		vu->ring[i].ring.slow = (struct slow_calls){0};
	}
	vhost_user_drop_log(vu);
}

// Whether the port has a VMM that is still there.
static bool is_taken(const struct vhost_user *vu)
{
	if (vu->adopting)
		return !vhost_user_has_hung_up(vhost_session_connection(&vu->session));
	return vu->vid >= 0 && !vhost_user_has_hung_up(vu->connfd);
}

static int new_connection(int vid)
{
	static const struct rte_vhost_user_extern_ops extern_ops = {
		.pre_msg_handle = vhost_user_before,
		.post_msg_handle = vhost_user_after,
	};
	struct vhost_user *vu;
	char path[108] = "";
	bool ours;
	int fd;

	if (rte_vhost_get_ifname(vid, path, sizeof(path)))
		return -1;
	pthread_mutex_lock(&ports_lock);
	for (vu = ports; vu && strcmp(vu->port.config.socket, path); vu = vu->next)
		;
	fd = vu ? find_connfd(vu) : -1;
	pthread_mutex_unlock(&ports_lock);
	if (!vu)
		return -1;
	if (fd < 0) { // nothing would keep it from holding up all others
		vhost_user_say(vu, LOG_ERR, "refused a connection whose socket was not found");
		return -1;
	}

	pthread_mutex_lock(&vu->lock);
	ours = vhost_user_is_adopter(vu, fd);
	if (!ours && is_taken(vu)) {
		vu->refused++;
		pthread_mutex_unlock(&vu->lock);
		vhost_user_say(vu, LOG_WARNING,
			"refused a second connection: a guest is connected already");
		return -1;
	}
	if (!ours && (vu->vid >= 0 || vu->adopting))
		detach(vu);
	vu->vid = vid;
	vu->connfd = fd;
	vu->connections++;
	vu->driver = false;
	vu->memless_ticks = 0;
	set_vid(vid, vu);
	if (!ours && !vu->port.config.client)
		vhost_session_start(&vu->session, vu->port.up.keeper, path, fd);
	snprintf(vu->why, sizeof(vu->why),
		"a VMM is connected; the guest's driver has not started yet");
	pthread_mutex_unlock(&vu->lock);
	return rte_vhost_extern_callback_register(vid, &extern_ops, NULL);
}

static void destroy_connection(int vid)
{
	struct vhost_user *vu = vhost_user_find(vid);

	if (!vu)
		return;
	pthread_mutex_lock(&vu->lock);
	detach(vu);
	vhost_user_link_down(vu, vhost_user_waiting(vu));
	pthread_mutex_unlock(&vu->lock);
}

static int new_device(int vid)
{
	struct vhost_user *vu = vhost_user_find(vid);
	uint64_t features = 0;

	if (!vu || rte_vhost_get_negotiated_features(vid, &features))
		return -1;
	pthread_mutex_lock(&vu->lock);
	vu->features = features | vu->own_features;
	vu->unlogged = features & FEATURE(VHOST_F_LOG_ALL);
	vu->suspect = false;
	// Before its frames are taken: what was learnt of a guest that is gone must not be forgotten
	// once this one's addresses are being learnt.
	vhost_user_link_up(vu);
	vu->running = true;
	vu->stopped = false;
	vhost_user_came();
	vhost_user_start(vu);
	pthread_mutex_unlock(&vu->lock);
	return 0;
}

static void destroy_device(int vid)
{
	struct vhost_user *vu = vhost_user_find(vid);

	if (!vu)
		return;
	pthread_mutex_lock(&vu->lock);
	vhost_user_end(vu, 0, RINGS_MAX);
	vu->running = false;
	vhost_user_link_down(vu, "the guest's driver stopped (reboot, unbind or shutdown)");
	pthread_mutex_unlock(&vu->lock);
}

static int vring_state_changed(int vid, uint16_t i, int enable)
{
	struct vhost_user *vu = vhost_user_find(vid);

	if (!vu || i >= RINGS_MAX)
		return 0;
	pthread_mutex_lock(&vu->lock);
	vu->ring[i].ready = enable;
	// rte_vhost may also say so within a message, and the contrary after it.
	if (enable || vu->stopped)
		vhost_user_stop(vu, i, i + 1u);
	else
		vhost_user_end(vu, i, i + 1u);
	vhost_user_start(vu);
	pthread_mutex_unlock(&vu->lock);
	return 0;
}

// LOG_ALL is the one feature that changes while the device runs. It is stored after this call.
static int features_changed(int vid, uint64_t features)
{
	struct vhost_user *vu = vhost_user_find(vid);

	if (!vu)
		return 0;
	pthread_mutex_lock(&vu->lock);
	vu->features = features | vu->own_features;
	if (!(features & FEATURE(VHOST_F_LOG_ALL)))
		vu->unlogged = false;
	else if (!vu->log.base)
		vu->unlogged = true;
	pthread_mutex_unlock(&vu->lock);
	return 0;
}

const struct rte_vhost_device_ops vhost_user_device_ops = {
	.new_device = new_device,
	.destroy_device = destroy_device,
	.vring_state_changed = vring_state_changed,
	.features_changed = features_changed,
	.new_connection = new_connection,
	.destroy_connection = destroy_connection,
};
