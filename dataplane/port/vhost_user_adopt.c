// SPDX-License-Identifier: BSD-2-Clause
// A VMM that was connected to the last daemon, and never notices that this is another one.
//
// rte_vhost can neither be given a connection nor be told what was said over it. So we connect to its
// socket ourselves, as a VMM would, and say again all that the VMM has said, with the very descriptors
// that it sent; every check is made as if it came from the VMM. None of it has an answer. Last comes a
// message of our own, which rte_vhost hands to us on its event thread, the only one that polls and reads
// connections: there the descriptor by which rte_vhost knows the connection becomes the VMM's. The next
// time that it waits rte_vhost hears the VMM, beginning with what that has sent meanwhile.
#include "dataplane/port/vhost_msg.h"
#include "dataplane/port/vhost_user_int.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SAY_TIMEOUT_S 1
#define TICKS_MAX     3

static void say_not_adopted(struct vhost_user *vu, const char *why)
{
	char text[500];

	snprintf(text, sizeof(text),
		"the VMM that was connected to the last weftd was disconnected and may connect "
		"anew: %s",
		why);
	vhost_user_say(vu, LOG_NOTICE, text);
}

// --- Saying it all again (control) ---

static bool say(int fd, const struct vhost_user_msg *msg, const int *fds, unsigned n_fds)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * VU_MSG_FDS)];
		struct cmsghdr align;
	} control = {.buf = {0}};
	const size_t len = offsetof(struct vhost_user_msg, u64) + msg->size;
	struct iovec iov = {(void *)(uintptr_t)msg, len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (n_fds) {
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	return sendmsg(fd, &mh, MSG_NOSIGNAL) == (ssize_t)len;
}

// Under the port's lock: the session may end meanwhile.
static bool next_message(
	struct vhost_user *vu, unsigned *at, struct vhost_user_msg *msg, int *fds, unsigned *n_fds)
{
	const struct vhost_session *s = &vu->session;
	uint64_t ids[VU_MSG_FDS];

	if (!vu->adopting || !vhost_record_replay(s->record, at, msg, ids, n_fds))
		return false;
	for (unsigned i = 0; i < *n_fds; i++)
		fds[i] = s->keeper->fd(s->keeper->ctx, ids[i]);
	return true;
}

static void say_all(struct vhost_user *vu, int fd)
{
	struct vhost_user_msg msg, last = {.request = VU_ADOPT, .flags = VU_VERSION};
	int fds[VU_MSG_FDS];
	unsigned at = 0, n_fds;
	bool more, ok = true;

	while (ok) {
		pthread_mutex_lock(&vu->lock);
		more = next_message(vu, &at, &msg, fds, &n_fds);
		pthread_mutex_unlock(&vu->lock);
		if (!more)
			break;
		ok = say(fd, &msg, fds, n_fds);
	}
	// If not, rte_vhost has closed the connection or will see it closed, and says why.
	if (ok)
		say(fd, &last, NULL, 0);
}

// Our end of a connection to rte_vhost, with an address by which its other end is known.
static int new_end(char *address, size_t size)
{
	const struct timeval tv = {.tv_sec = SAY_TIMEOUT_S};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(a);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	// Only with the family given the kernel finds a name that nobody has.
	if (bind(fd, (struct sockaddr *)&a, sizeof(a.sun_family)) ||
		getsockname(fd, (struct sockaddr *)&a, &len) || a.sun_path[0]) {
		close(fd);
		return -1;
	}
	snprintf(address, size, "%.*s", (int)(len - offsetof(struct sockaddr_un, sun_path) - 1),
		a.sun_path + 1);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	return fd;
}

static bool meet(int fd, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	memcpy(a.sun_path, path, strlen(path) + 1);
	return !connect(fd, (struct sockaddr *)&a, sizeof(a));
}

// Takes the session of the port's socket, if there is a good one. Lock held.
static bool find_session(struct vhost_user *vu)
{
	const struct port_keeper *k = vu->port.up.keeper;
	bool is_other;

	for (uint64_t id = k->next_state(k->ctx, 0); id; id = k->next_state(k->ctx, id)) {
		const char *why =
			vhost_session_load(&vu->session, k, vu->port.config.socket, id, &is_other);
		if (why)
			say_not_adopted(vu, why);
		else if (!is_other)
			return true;
	}
	return false;
}

int vhost_user_adopt_find(struct vhost_user *vu)
{
	int fd = -1;

	if (!vu->port.up.keeper)
		return -1;
	pthread_mutex_lock(&vu->lock);
	if (find_session(vu)) {
		fd = new_end(vu->adopter, sizeof(vu->adopter));
		vu->adopting = true;
		if (fd < 0)
			vhost_user_drop_session(vu);
	}
	pthread_mutex_unlock(&vu->lock);
	return fd;
}

void vhost_user_adopt(struct vhost_user *vu, int fd)
{
	if (fd < 0)
		return;
	if (meet(fd, vu->port.config.socket)) {
		say_all(vu, fd);
	} else {
		pthread_mutex_lock(&vu->lock);
		vhost_user_drop_session(vu);
		pthread_mutex_unlock(&vu->lock);
	}
	close(fd);
}

// --- Taking over (event thread) ---

// The address alone says nothing: in a network namespace of its own anybody can have the same.
static bool is_from_us(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) && peer.pid == getpid();
}

bool vhost_user_is_adopter(const struct vhost_user *vu, int fd)
{
	struct sockaddr_un a = {0};
	socklen_t len = sizeof(a) - 1;

	return vu->adopting && vu->vid < 0 && fd >= 0 && is_from_us(fd) &&
	       !getpeername(fd, (struct sockaddr *)&a, &len) && a.sun_family == AF_UNIX &&
	       !a.sun_path[0] && !strncmp(a.sun_path + 1, vu->adopter, sizeof(vu->adopter));
}

// Behind what the last daemon published. What it had taken and not given back, a burst at most, is taken
// once more. The base that the VMM once gave is long past.
void vhost_user_adopt_base(struct vhost_user *vu, struct vhost_user_msg *msg)
{
	const uint64_t used = vhost_record_used_ring(vu->session.record, msg->state.index);
	struct guestmem_cache cache = {0};
	const struct vring_used *ring;

	if (!vu->have_mem || used == UINT64_MAX || used % VRING_USED_ALIGN_SIZE)
		return;
	ring = (const void *)guestmem_at(&vu->mem, &cache, used, sizeof(*ring));
	if (ring)
		msg->state.num = __atomic_load_n(&ring->idx, __ATOMIC_ACQUIRE);
}

// Whether `epfd` is an epoll set that waits for `fd`, and for what.
static bool waits_for(int epfd, int fd, struct epoll_event *ev)
{
	char path[40], line[160] = "";
	unsigned long long data;
	bool found = false;
	unsigned events;
	int tfd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", epfd);
	if (readlink(path, line, sizeof(line) - 1) < 0 || strcmp(line, "anon_inode:[eventpoll]"))
		return false;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", epfd);
	FILE *f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "tfd: %d events: %x data: %llx", &tfd, &events, &data) == 3 &&
			tfd == fd;
	if (f)
		fclose(f);
	if (found)
		*ev = (struct epoll_event){.events = events, .data.u64 = data};
	return found;
}

struct waiting {
	int epfd;
	struct epoll_event ev;
};

// The epoll sets that wait for `fd`: rte_vhost's, unless it is an older one, which polls.
static unsigned waiting_for(int fd, struct waiting *w, unsigned max)
{
	DIR *all = opendir("/proc/self/fd");
	unsigned n = 0;

	for (struct dirent *d; all && n < max && (d = readdir(all));) {
		w[n].epfd = d->d_name[0] != '.' ? atoi(d->d_name) : -1;
		n += waits_for(w[n].epfd, fd, &w[n].ev);
	}
	if (all)
		closedir(all);
	return n;
}

// Under the number of the connection that rte_vhost knows, and where it waits for it: what polls asks by
// number, but an epoll set has forgotten the number with the file that was behind it.
static bool take_number(int connection, int connfd)
{
	struct waiting w[4];
	const unsigned n = waiting_for(connfd, w, sizeof(w) / sizeof(w[0]));
	bool ok = dup2(connection, connfd) >= 0;

	for (unsigned i = 0; ok && i < n; i++)
		ok = !epoll_ctl(w[i].epfd, EPOLL_CTL_ADD, connfd, &w[i].ev);
	return ok;
}

enum rte_vhost_msg_result vhost_user_adopted(struct vhost_user *vu)
{
	const int connection = vhost_session_connection(&vu->session);

	vhost_user_bound_waits(connection);
	if (vu->connfd < 0 || !take_number(connection, vu->connfd))
		return RTE_VHOST_MSG_RESULT_ERR;
	vu->adopting = false;
	vhost_session_resume(&vu->session);
	vhost_user_say(vu, LOG_INFO, "went on with the connection of the last weftd's VMM");
	return RTE_VHOST_MSG_RESULT_OK;
}

void vhost_user_drop_session(struct vhost_user *vu)
{
	char why[sizeof(vu->why) + 100];

	if (vu->adopting) {
		snprintf(why, sizeof(why), "%s that it had sent %s",
			vhost_msg_name(vu->adopt_request),
			vu->refused ? vu->why
				    : "does not fit any more; was the configuration changed?");
		say_not_adopted(vu, vu->adopt_request ? why : "rte_vhost took no connection");
	}
	vu->adopting = false;
	vhost_session_drop(&vu->session);
}

void vhost_user_adopt_tick(struct vhost_user *vu)
{
	if (!vu->adopting || ++vu->adopt_ticks < TICKS_MAX)
		return;
	if (vu->connfd >= 0)
		(void)shutdown(vu->connfd, SHUT_RDWR); // the event thread does the rest
	else
		vhost_user_drop_session(vu);
}
