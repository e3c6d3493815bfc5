// SPDX-License-Identifier: BSD-2-Clause
// Descriptors that outlive the daemon: the service manager holds duplicates, and hands them to the next.
#include "control/fd_store.h"

#include "control/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3 // of those that are passed
// Ours from here on, if that many may be open.
#define COPY_FD 16384
// The names of all must fit into one variable of the environment, of 128 KiB at most.
#define FDS_MAX 8192u

struct entry {
	uint64_t id;
	int fd;         // ours; -1: only to be taken back
	uint32_t uses;  // 0: only to be taken back
	bool is_state;  // describes a session
	bool is_saved;  // the manager has it
	bool is_passed; // the last daemon left it, and that counts as a use until all ports are open
	ino_t inode;    // to tell files apart fast
};

struct fd_store {
	struct port_keeper keeper;
	pthread_mutex_t lock; // guards all below; ports come from several threads
	struct entry *entries;
	size_t n, max;
	uint64_t last_id;
	bool is_ending;
	int socket;
	struct sockaddr_un manager;
	socklen_t manager_len;
};

// Out of the way: low numbers are looked through when a VMM connects (dataplane/port/vhost_user_conn.c).
static int duplicate(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, COPY_FD);

	return copy < 0 ? fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD) : copy;
}

// --- The manager's side ---

static void name_of(const struct entry *e, char *name, size_t size)
{
	snprintf(name, size, "%s.%" PRIu64, e->is_state ? "state" : "fd", e->id);
}

// One datagram, with a descriptor or without (-1). It may not wait: who calls may hold up all guests.
static int tell(const struct fd_store *s, const char *text, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {.buf = {0}};
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
	struct msghdr mh = {.msg_name = (void *)(uintptr_t)&s->manager,
		.msg_namelen = s->manager_len,
		.msg_iov = &iov,
		.msg_iovlen = 1};
	struct cmsghdr *c;

	if (fd >= 0) {
		mh.msg_control = control.buf;
		mh.msg_controllen = sizeof(control.buf);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	return sendmsg(s->socket, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

// FDPOLL=0: that a VMM has left is for us to see; watching kicks would cost each of them time.
static int hand_over(const struct fd_store *s, const struct entry *e)
{
	char name[32], text[80];

	name_of(e, name, sizeof(name));
	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s\n", name);
	return tell(s, text, e->fd);
}

static int take_back(const struct fd_store *s, const struct entry *e)
{
	char name[32], text[80];

	name_of(e, name, sizeof(name));
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s\n", name);
	return tell(s, text, -1);
}

// --- Entries; under lock ---

static struct entry *find(const struct fd_store *s, uint64_t id)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->entries[i].id == id && s->entries[i].uses)
			return &s->entries[i];
	return NULL;
}

// Whether both are one open file: a manager that has it takes it under no second name.
static bool is_same(const struct entry *e, int fd, ino_t inode)
{
	const pid_t me = getpid();

	return e->inode == inode && !syscall(SYS_kcmp, me, me, KCMP_FILE, e->fd, fd);
}

static struct entry *add(struct fd_store *s, uint64_t id, int fd, ino_t inode)
{
	struct entry *e;

	if (s->n == s->max)
		return NULL;
	e = &s->entries[s->n++];
	*e = (struct entry){.id = id, .fd = fd, .uses = 1, .inode = inode};
	return e;
}

// Forgets what has no use, once the manager has heard of it.
static void remove_unused(struct fd_store *s)
{
	for (size_t i = 0; i < s->n;) {
		struct entry *e = &s->entries[i];
		if (!e->uses && (!e->is_saved || !take_back(s, e)))
			*e = s->entries[--s->n];
		else
			i++;
	}
}

static void release(struct fd_store *s, struct entry *e, bool entirely)
{
	e->uses = entirely ? 0 : e->uses - 1;
	if (e->uses)
		return;
	close(e->fd);
	e->fd = -1;
	remove_unused(s);
}

// --- What ports call ---

static uint64_t keep(void *ctx, int fd, bool is_state)
{
	struct fd_store *s = ctx;
	struct entry *e = NULL;
	uint64_t id = 0;
	struct stat st;
	int copy;

	if (fstat(fd, &st))
		return 0;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n && !e; i++)
		if (s->entries[i].uses && is_same(&s->entries[i], fd, st.st_ino))
			e = &s->entries[i];
	if (e) {
		e->uses++;
		id = e->id;
	} else if ((copy = duplicate(fd)) >= 0) {
		e = add(s, s->last_id + 1, copy, st.st_ino);
		if (e) {
			id = ++s->last_id;
			e->is_state = is_state;
		} else
			close(copy);
	}
	pthread_mutex_unlock(&s->lock);
	return id;
}

static bool hold(void *ctx, uint64_t id)
{
	struct fd_store *s = ctx;
	struct entry *e;

	pthread_mutex_lock(&s->lock);
	e = find(s, id);
	if (e)
		e->uses++;
	pthread_mutex_unlock(&s->lock);
	return e;
}

static void drop(void *ctx, uint64_t id)
{
	struct fd_store *s = ctx;
	struct entry *e;

	pthread_mutex_lock(&s->lock);
	e = find(s, id);
	if (e)
		release(s, e, e->is_state);
	pthread_mutex_unlock(&s->lock);
}

static int save(void *ctx, uint64_t id)
{
	struct fd_store *s = ctx;
	struct entry *e;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	e = find(s, id);
	if (!e)
		rc = -ENOENT;
	else if (!e->is_saved) {
		rc = hand_over(s, e);
		e->is_saved = rc == 0;
		rc = rc ? rc : 1;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int fd_of(void *ctx, uint64_t id)
{
	struct fd_store *s = ctx;
	const struct entry *e;
	int fd;

	pthread_mutex_lock(&s->lock);
	e = find(s, id);
	fd = e ? e->fd : -1;
	pthread_mutex_unlock(&s->lock);
	return fd;
}

static uint64_t next_state(void *ctx, uint64_t after)
{
	struct fd_store *s = ctx;
	uint64_t next = 0;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n; i++) {
		const struct entry *e = &s->entries[i];
		if (e->is_state && e->is_passed && e->uses == 1 && e->id > after &&
			(!next || e->id < next))
			next = e->id;
	}
	pthread_mutex_unlock(&s->lock);
	return next;
}

static bool is_ending(void *ctx)
{
	const struct fd_store *s = ctx;

	return __atomic_load_n(&s->is_ending, __ATOMIC_RELAXED);
}

// --- Life (control) ---

static unsigned number_of(const char *name)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

static bool find_manager(struct fd_store *s)
{
	const char *path = getenv("NOTIFY_SOCKET");
	const size_t len = path ? strlen(path) : 0;

	if (!len || len >= sizeof(s->manager.sun_path) || (*path != '/' && *path != '@'))
		return false;
	s->manager.sun_family = AF_UNIX;
	memcpy(s->manager.sun_path, path, len);
	if (*path == '@')
		s->manager.sun_path[0] = '\0';
	s->manager_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	s->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return s->socket >= 0;
}

// A descriptor that was passed under a name of ours; others are nobody's here.
static void take(struct fd_store *s, int fd, const char *name)
{
	const bool is_state = strncmp(name, "state.", 6) == 0;
	struct entry *e = NULL;
	struct stat st;
	char *end = NULL;
	uint64_t id = 0;
	int copy = -1;

	if (is_state || strncmp(name, "fd.", 3) == 0)
		id = strtoull(strchr(name, '.') + 1, &end, 10);
	if (id && end && !*end && !fstat(fd, &st) && !find(s, id) && (copy = duplicate(fd)) >= 0)
		e = add(s, id, copy, st.st_ino);
	close(fd);
	if (!e && copy >= 0)
		close(copy);
	if (!e)
		return;
	e->is_state = is_state;
	e->is_saved = e->is_passed = true;
	if (id > s->last_id)
		s->last_id = id;
}

static unsigned n_passed(void)
{
	return number_of("LISTEN_PID") == (unsigned)getpid() ? number_of("LISTEN_FDS") : 0;
}

static void take_all(struct fd_store *s, unsigned n)
{
	const char *names = getenv("LISTEN_FDNAMES");
	char *copy = names ? strdup(names) : NULL, *rest = copy;

	for (unsigned i = 0; i < n; i++) {
		const char *name = rest ? strsep(&rest, ":") : "";
		take(s, (int)(FIRST_FD + i), name);
	}
	free(copy);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

struct fd_store *fd_store_new(void)
{
	const unsigned n = n_passed(), wanted = number_of("FDSTORE");
	struct fd_store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->socket = -1;
	s->max = wanted > n ? wanted : n;
	if (s->max > FDS_MAX)
		s->max = FDS_MAX;
	s->entries = s->max ? calloc(s->max, sizeof(*s->entries)) : NULL;
	if (!s->entries || !find_manager(s)) {
		free(s->entries);
		free(s);
		return NULL;
	}
	pthread_mutex_init(&s->lock, NULL);
	s->keeper = (struct port_keeper){s, keep, hold, drop, save, fd_of, next_state, is_ending};
	take_all(s, n);
	return s;
}

void fd_store_free(struct fd_store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		if (s->entries[i].fd >= 0)
			close(s->entries[i].fd);
	close(s->socket);
	pthread_mutex_destroy(&s->lock);
	free(s->entries);
	free(s);
}

const struct port_keeper *fd_store_keeper(const struct fd_store *s)
{
	return s ? &s->keeper : NULL;
}

void fd_store_sweep(struct fd_store *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n; i++) {
		struct entry *e = &s->entries[i];
		if (!e->is_passed || !e->uses)
			continue;
		e->is_passed = false;
		// A state that a port goes on with has no second use to lose.
		if (e->is_state && e->uses > 1) {
			e->uses = 1;
			continue;
		}
		if (e->is_state)
			log_msg(LOG_NOTICE, "",
				"a guest's session that the last weftd left fits no port: closed");
		if (!--e->uses) {
			close(e->fd);
			e->fd = -1;
		}
	}
	remove_unused(s);
	pthread_mutex_unlock(&s->lock);
}

void fd_store_tick(struct fd_store *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	remove_unused(s);
	pthread_mutex_unlock(&s->lock);
}

void fd_store_end(struct fd_store *s)
{
	if (s)
		__atomic_store_n(&s->is_ending, true, __ATOMIC_RELAXED);
}
