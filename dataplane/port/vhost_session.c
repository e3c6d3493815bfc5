// SPDX-License-Identifier: BSD-2-Clause
// A VMM's connection and what was said over it, kept where the next daemon finds them.
#include "dataplane/port/vhost_session.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

// Descriptors that a session may hand over at once, and so many more each second. A guest can make its
// VMM send new ones as fast as it likes: the service manager must not have to take them all.
#define TOKENS_MAX  256u
#define TOKENS_TICK 16u

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

// What is written before stays before it and what is written after stays after it: who reads it is the
// next process, after the end of this one, so this keeps the compiler in order more than the machine.
static void set_busy(struct vhost_session *s, bool busy)
{
	__atomic_exchange_n(&s->record->busy, busy, __ATOMIC_SEQ_CST);
}

// Whether the file is with the keeper for good.
static bool save(struct vhost_session *s, uint64_t id)
{
	int rc;

	if (!s->tokens)
		return false;
	rc = s->keeper->save(s->keeper->ctx, id);
	s->tokens -= rc > 0;
	return rc >= 0;
}

static bool save_all(struct vhost_session *s)
{
	uint64_t ids[VHOST_RECORD_IDS];
	unsigned n = vhost_record_ids(s->record, ids);
	bool all = save(s, s->id);

	for (unsigned i = 0; i < n; i++)
		all &= save(s, ids[i]);
	return all;
}

static void set_unsaved(struct vhost_session *s, bool unsaved)
{
	s->record->unfit &= ~(uint32_t)VHOST_UNFIT_UNSAVED;
	if (unsaved)
		s->record->unfit |= VHOST_UNFIT_UNSAVED;
}

static void unmap(struct vhost_session *s)
{
	munmap(s->record, sizeof(*s->record));
	memset(s, 0, sizeof(*s));
}

static struct vhost_record *map(int fd)
{
	void *p =
		mmap(NULL, sizeof(struct vhost_record), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

void vhost_session_start(struct vhost_session *s, const struct port_keeper *keeper,
	const char *socket, int connection)
{
	uint64_t connection_id;
	int fd;

	memset(s, 0, sizeof(*s));
	if (!keeper || connection < 0)
		return;
	fd = memfd_create("weft-session", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return;
	if (!ftruncate(fd, sizeof(*s->record)) && !fcntl(fd, F_ADD_SEALS, SEALS))
		s->record = map(fd);
	connection_id = s->record ? keeper->keep(keeper->ctx, connection, false) : 0;
	s->id = connection_id ? keeper->keep(keeper->ctx, fd, true) : 0;
	close(fd);
	s->keeper = keeper;
	s->tokens = TOKENS_MAX;
	if (!s->id) {
		if (connection_id)
			keeper->drop(keeper->ctx, connection_id);
		if (s->record)
			unmap(s);
		return;
	}
	vhost_record_init(s->record, socket, connection_id);
	set_unsaved(s, !save_all(s));
	vhost_record_seal(s->record);
}

// Holds what the record names. False: something is missing; what is there is held.
static bool hold_all(struct vhost_session *s)
{
	uint64_t ids[VHOST_RECORD_IDS];
	unsigned n = vhost_record_ids(s->record, ids);
	bool all = true;

	for (unsigned i = 0; i < n; i++)
		all &= s->keeper->hold(s->keeper->ctx, ids[i]);
	return all;
}

static bool is_hung_up(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) < 0 || p.revents & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL);
}

const char *vhost_session_load(struct vhost_session *s, const struct port_keeper *keeper,
	const char *socket, uint64_t id, bool *is_other)
{
	const int fd = keeper->fd(keeper->ctx, id);
	const char *why;
	struct stat st;

	memset(s, 0, sizeof(*s));
	*is_other = true;
	// What cannot be read is nobody's.
	if (fd < 0 || fstat(fd, &st) || st.st_size != sizeof(*s->record) ||
		fcntl(fd, F_GET_SEALS) < 0 || (fcntl(fd, F_GET_SEALS) & SEALS) != SEALS)
		return NULL;
	s->record = map(fd);
	if (!s->record)
		return NULL;
	s->keeper = keeper;
	s->id = id;
	s->tokens = TOKENS_MAX;
	why = vhost_record_fault(s->record, sizeof(*s->record));
	if (strncmp(s->record->socket, socket, sizeof(s->record->socket))) {
		unmap(s);
		return NULL;
	}
	*is_other = false;
	if (why) { // none of the numbers in it counts
		keeper->drop(keeper->ctx, id);
		unmap(s);
		return why;
	}
	why = vhost_record_hindrance(s->record);
	// Until all has been said again: a daemon that ends in between may be one that this VMM ends.
	set_busy(s, true);
	keeper->hold(keeper->ctx, id);
	if (!hold_all(s) && !why)
		why = "a descriptor was not kept";
	if (!why && is_hung_up(vhost_session_connection(s)))
		why = "the VMM has left";
	if (why)
		vhost_session_drop(s);
	return why;
}

void vhost_session_resume(struct vhost_session *s)
{
	if (s->record)
		set_busy(s, false);
}

int vhost_session_connection(const struct vhost_session *s)
{
	return s->record ? s->keeper->fd(s->keeper->ctx, s->record->connection) : -1;
}

static void drop_ids(struct vhost_session *s, const uint64_t *ids, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		s->keeper->drop(s->keeper->ctx, ids[i]);
}

void vhost_session_begin(struct vhost_session *s)
{
	if (!s->record)
		return;
	// The last one was refused, or rte_vhost did not like it. What is left of it nobody knows.
	if (s->under_way)
		s->failed = true;
	drop_ids(s, s->ids, s->n_ids);
	s->n_ids = 0;
	s->under_way = true;
	set_busy(s, true);
}

void vhost_session_hold(struct vhost_session *s, uint32_t request, const int *fds, unsigned n_fds)
{
	if (!s->record || !vhost_record_wants_fds(request))
		return;
	for (unsigned i = 0; i < n_fds && i < VU_MSG_FDS; i++) {
		uint64_t id = s->keeper->keep(s->keeper->ctx, fds[i], false);

		if (id)
			s->ids[s->n_ids++] = id;
		else
			s->failed = true;
	}
}

static bool answer(int connection, uint32_t request)
{
	const struct {
		uint32_t request, flags, size;
		uint64_t done;
	} __attribute__((packed)) a = {request, VU_VERSION | VU_REPLY, 8, 0};

	return send(connection, &a, sizeof(a), MSG_NOSIGNAL) == sizeof(a);
}

bool vhost_session_end(struct vhost_session *s, const struct vhost_user_msg *msg, int connection)
{
	struct vhost_record_gone gone = {.n = 0};
	bool answered = false, saved = true;

	if (!s->record || !s->under_way)
		return false;
	for (unsigned i = 0; i < s->n_ids; i++)
		saved &= save(s, s->ids[i]);
	vhost_record_apply(s->record, msg, s->ids, s->n_ids, &gone);
	s->n_ids = 0;
	if (s->failed)
		s->record->unfit |= VHOST_UNFIT_UNKNOWN;
	if (!saved)
		set_unsaved(s, true);
	vhost_record_seal(s->record);
	// A message that has an answer of its own got it before this.
	if (msg->flags & VU_NEED_REPLY)
		answered = answer(connection, msg->request);
	s->under_way = false;
	set_busy(s, false);
	drop_ids(s, gone.ids, gone.n);
	return answered;
}

void vhost_session_tick(struct vhost_session *s)
{
	if (!s->record)
		return;
	s->tokens = s->tokens + TOKENS_TICK < TOKENS_MAX ? s->tokens + TOKENS_TICK : TOKENS_MAX;
	if (s->record->busy || !(s->record->unfit & VHOST_UNFIT_UNSAVED) || !save_all(s))
		return;
	set_busy(s, true);
	set_unsaved(s, false);
	vhost_record_seal(s->record);
	set_busy(s, false);
}

bool vhost_session_is_kept(const struct vhost_session *s)
{
	return s->record && !vhost_record_hindrance(s->record);
}

void vhost_session_drop(struct vhost_session *s)
{
	uint64_t ids[VHOST_RECORD_IDS];
	unsigned n;

	if (!s->record)
		return;
	set_busy(s, true); // for good, should the keeper still hand it on
	(void)shutdown(vhost_session_connection(s), SHUT_RDWR);
	drop_ids(s, s->ids, s->n_ids);
	n = vhost_record_ids(s->record, ids);
	drop_ids(s, ids, n);
	s->keeper->drop(s->keeper->ctx, s->id);
	unmap(s);
}

void vhost_session_close(struct vhost_session *s)
{
	if (!s->record)
		return;
	if (s->keeper->is_ending(s->keeper->ctx) && vhost_session_is_kept(s))
		unmap(s);
	else
		vhost_session_drop(s);
}
