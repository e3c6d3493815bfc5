// SPDX-License-Identifier: BSD-2-Clause
// Taking a unix socket: the lock, what a dead owner left, and listening.
#include "control/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// The lock decides who serves a socket; it ends with the process, whatever ends that.
static int take_lock(struct unix_socket *s, struct error *err)
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
static int remove_stale(struct unix_socket *s, const struct sockaddr_un *addr, struct error *err)
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

static int listen_on(struct unix_socket *s, struct error *err)
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

static void drop_lock(struct unix_socket *s)
{
	unlink(s->lock_path); // while it is held: see take_lock
	close(s->lock_fd);
}

int unix_socket_take(struct unix_socket *s, const char *path, struct error *err)
{
	*s = (struct unix_socket){.fd = -1, .lock_fd = -1};
	if (strlen(path) >= sizeof(s->path))
		return error_set(err, -EINVAL, "api.socket",
			"a socket's path has at most %zu characters, this has %zu",
			sizeof(s->path) - 1, strlen(path));
	snprintf(s->lock_path, sizeof(s->lock_path), "%s.lock", path);
	strcpy(s->path, path);
	int rc = take_lock(s, err);
	if (rc < 0)
		return rc;
	rc = listen_on(s, err);
	if (rc < 0) {
		if (s->fd >= 0)
			close(s->fd);
		drop_lock(s);
	}
	return rc;
}

void unix_socket_leave(struct unix_socket *s)
{
	close(s->fd);
	unlink(s->path);
	drop_lock(s);
}
