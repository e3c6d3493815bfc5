// SPDX-License-Identifier: BSD-2-Clause
// The API's socket: taking it, letting clients in, and room for those who come later.
#include "control/server.h"

#include "control/capture.h"
#include "control/client.h"
#include "control/daemon.h"
#include "control/log.h"

#include <errno.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct server {
	struct daemon *daemon;
	char path[108], lock_path[120];
	int fd, lock_fd;
	struct evconnlistener *listener;
	struct event *rest; // ends the pause after accept() failed
	struct server_group readers, admins;
	struct client_list clients;
	unsigned n_clients;
	size_t out_bytes;
	struct timeval idle, stuck;
};

void server_set_patience(struct server *s, struct timeval idle, struct timeval stuck)
{
	s->idle = idle;
	s->stuck = stuck;
}

void server_patience(const struct server *s, struct timeval *idle, struct timeval *stuck)
{
	*idle = s->idle;
	*stuck = s->stuck;
}

const char *server_path(const struct server *s)
{
	return s->path;
}

struct daemon *server_daemon(const struct server *s)
{
	return s->daemon;
}

unsigned server_n_clients(const struct server *s)
{
	return s->n_clients;
}

size_t *server_out_bytes(struct server *s)
{
	return &s->out_bytes;
}

void server_remove(struct server *s, struct client *c)
{
	TAILQ_REMOVE(&s->clients, c, link);
	s->n_clients--;
	client_free(c);
}

void server_publish(struct server *s, json_t *event)
{
	struct client *c;

	TAILQ_FOREACH(c, &s->clients, link)
	client_publish(c, event);
}

void server_end_captures(struct server *s, const char *port)
{
	struct client *c;

	TAILQ_FOREACH(c, &s->clients, link)
	capture_end(c->capture, port);
}

static int group_find(
	const char *name, const char *key, struct server_group *out, struct error *err)
{
	*out = (struct server_group){.is_set = false};
	if (!*name)
		return 0;
	const struct group *g = getgrnam(name);
	if (!g)
		return error_set(err, -EINVAL, key,
			"%s: there is no group '%s'; make it with groupadd --system %s", key, name,
			name);
	*out = (struct server_group){.is_set = true, .gid = g->gr_gid};
	return 0;
}

int server_rights(struct server *s, const char *group, const char *admin_group, struct error *err)
{
	struct server_group readers, admins;
	int rc;

	// The usual group is there where weft was installed as a package.
	if (!*group && getgrnam("weft"))
		group = "weft";
	rc = group_find(group, "api.group", &readers, err);
	if (rc == 0)
		rc = group_find(admin_group, "api.admin-group", &admins, err);
	if (rc < 0)
		return rc;
	s->readers = readers;
	s->admins = admins;
	// Two groups do not fit into a file's permissions: then the peer's credentials alone
	// decide.
	if (chown(s->path, -1, readers.is_set ? readers.gid : getegid()) < 0 && readers.is_set)
		log_msg(LOG_WARNING, "api", "cannot give %s to the group %s: %s", s->path, group,
			strerror(errno));
	if (chmod(s->path, admins.is_set ? 0666 : readers.is_set ? 0660 : 0600) < 0)
		log_msg(LOG_WARNING, "api", "cannot set permissions of %s: %s", s->path,
			strerror(errno));
	return 0;
}

static bool is_member(int fd, gid_t primary, gid_t gid)
{
	gid_t groups[256];
	socklen_t len = sizeof(groups);

	if (primary == gid)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (size_t i = 0; i < len / sizeof(*groups); i++)
		if (groups[i] == gid)
			return true;
	return false;
}

void server_credentials(
	const struct server *s, int fd, bool *may_read, bool *may_change, uid_t *uid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	*may_read = *may_change = false;
	*uid = (uid_t)-1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return;
	*uid = cred.uid;
	// Who has our own user id could do anything to us anyway.
	*may_change = cred.uid == 0 || cred.uid == geteuid() ||
		      (s->admins.is_set && is_member(fd, cred.gid, s->admins.gid));
	*may_read = *may_change || (s->readers.is_set && is_member(fd, cred.gid, s->readers.gid));
}

// With all places taken the client with the least rights that was silent longest goes.
static void make_room(struct server *s)
{
	struct client *c, *victim = NULL;

	if (s->n_clients < SERVER_CLIENTS_MAX)
		return;
	TAILQ_FOREACH(c, &s->clients, link)
	if (!victim || c->may_change < victim->may_change ||
		(c->may_change == victim->may_change && c->last_ns < victim->last_ns))
		victim = c;
	log_msg(LOG_WARNING, "api", "%d clients: the one silent longest (uid %u) was disconnected",
		SERVER_CLIENTS_MAX, (unsigned)victim->uid);
	server_remove(s, victim);
}

void server_make_memory(struct server *s, const struct client *keep)
{
	while (s->out_bytes > SERVER_OUT_MAX) {
		struct client *c, *victim = NULL;
		TAILQ_FOREACH(c, &s->clients, link)
		if (c != keep && (!victim || client_unread(c) > client_unread(victim)))
			victim = c;
		if (!victim)
			return;
		log_msg(LOG_WARNING, "api",
			"a client (uid %u) was disconnected: %zu bytes that it does not read",
			(unsigned)victim->uid, client_unread(victim));
		server_remove(s, victim);
	}
}

static void on_accept(
	struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int len, void *ctx)
{
	struct server *s = ctx;

	make_room(s);
	struct client *c = client_new(s, s->daemon->base, fd);
	if (!c)
		return;
	TAILQ_INSERT_TAIL(&s->clients, c, link);
	s->n_clients++;
}

// Out of descriptors, most likely: a pause instead of a busy loop.
static void on_accept_error(struct evconnlistener *l, void *ctx)
{
	const struct timeval pause = {0, 200000};
	struct server *s = ctx;

	log_msg(LOG_WARNING, "api", "cannot accept a client: %s", strerror(errno));
	evconnlistener_disable(l);
	evtimer_add(s->rest, &pause);
}

static void on_rested(evutil_socket_t fd, short what, void *ctx)
{
	struct server *s = ctx;

	evconnlistener_enable(s->listener);
}

// The lock decides who serves a socket; it ends with the process, whatever ends that.
static int take_lock(struct server *s, struct error *err)
{
	struct stat ours, there;

	for (;;) {
		s->lock_fd = open(s->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (s->lock_fd < 0)
			return error_set(err, -errno, "api.socket",
				"cannot make %s: %s; make its directory, or give another socket "
				"with -s",
				s->lock_path, strerror(errno));
		if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
			close(s->lock_fd);
			s->lock_fd = -1;
			return error_set(err, -EADDRINUSE, "api.socket",
				"another weftd serves %s; stop it first, or give this one another "
				"socket with -s",
				s->path);
		}
		// Its last owner may have removed the file between our two steps.
		if (fstat(s->lock_fd, &ours) == 0 && stat(s->lock_path, &there) == 0 &&
			ours.st_ino == there.st_ino)
			return 0;
		close(s->lock_fd);
	}
}

// Whatever is at the path must be a socket that nobody serves.
static int remove_stale(struct server *s, const struct sockaddr_un *addr, struct error *err)
{
	struct stat st;

	if (lstat(s->path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, -EEXIST, "api.socket",
			"%s is there and is no socket; remove it, or give another socket with -s",
			s->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(err, -errno, "", "no socket: %s", strerror(errno));
	bool served =
		connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN;
	close(fd);
	if (served)
		return error_set(err, -EADDRINUSE, "api.socket",
			"another process serves %s; stop it first, or give another socket with -s",
			s->path);
	if (unlink(s->path) < 0)
		return error_set(err, -errno, "api.socket", "cannot replace %s: %s", s->path,
			strerror(errno));
	return 0;
}

static int listen_on(struct server *s, struct error *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	memcpy(addr.sun_path, s->path, sizeof(addr.sun_path));
	int rc = remove_stale(s, &addr, err);
	if (rc < 0)
		return rc;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask = umask(0177);
	rc = s->fd < 0 || bind(s->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
			     listen(s->fd, 128) < 0
		     ? -errno
		     : 0;
	umask(mask);
	if (rc < 0)
		return error_set(
			err, rc, "api.socket", "cannot listen on %s: %s", s->path, strerror(-rc));
	return 0;
}

int server_new(const char *path, struct server **out, struct error *err)
{
	struct server *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return error_set(err, -ENOMEM, "", "out of memory");
	s->fd = s->lock_fd = -1;
	s->idle.tv_sec = CLIENT_IDLE_S;
	s->stuck.tv_sec = CLIENT_STUCK_S;
	TAILQ_INIT(&s->clients);
	if (strlen(path) >= sizeof(s->path)) {
		rc = error_set(err, -EINVAL, "api.socket",
			"a socket's path has at most %zu characters, this has %zu",
			sizeof(s->path) - 1, strlen(path));
		goto fail;
	}
	snprintf(s->lock_path, sizeof(s->lock_path), "%s.lock", path);
	strcpy(s->path, path);
	rc = take_lock(s, err);
	if (rc == 0)
		rc = listen_on(s, err);
	if (rc < 0)
		goto fail;
	*out = s;
	return 0;
fail:
	if (s->fd >= 0)
		close(s->fd);
	if (s->lock_fd >= 0) {
		unlink(s->lock_path);
		close(s->lock_fd);
	}
	free(s);
	return rc;
}

int server_start(struct server *s, struct daemon *d)
{
	s->daemon = d;
	s->rest = evtimer_new(d->base, on_rested, s);
	s->listener = evconnlistener_new(d->base, on_accept, s, LEV_OPT_CLOSE_ON_EXEC, 0, s->fd);
	if (!s->rest || !s->listener)
		return -ENOMEM;
	evconnlistener_set_error_cb(s->listener, on_accept_error);
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	while (!TAILQ_EMPTY(&s->clients))
		server_remove(s, TAILQ_FIRST(&s->clients));
	if (s->listener)
		evconnlistener_free(s->listener);
	if (s->rest)
		event_free(s->rest);
	close(s->fd);
	unlink(s->path);
	unlink(s->lock_path); // while it is held: see take_lock
	close(s->lock_fd);
	free(s);
}
