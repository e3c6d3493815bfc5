// SPDX-License-Identifier: BSD-2-Clause
// The front end's half of the vhost-user protocol: sockets, messages and descriptors.
#include "tests/lib/vhost_front.h"

#include <errno.h>
#include <linux/vhost_types.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_RETRY_MS 10

struct wire_header {
	uint32_t request, flags, size;
};
_Static_assert(sizeof(struct wire_header) == VHOST_FRONT_HEADER, "as on the wire");

struct wire_region {
	uint64_t gpa, size, uva, mmap_offset;
};

struct wire_mem_table {
	uint32_t n, padding;
	struct wire_region regions[VHOST_FRONT_FDS_MAX];
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

void vhost_front_init(struct vhost_front *f)
{
	memset(f, 0, sizeof(*f));
	f->fd = -1;
	f->listener = -1;
	f->timeout_ms = 5000;
	f->ack = true;
}

void vhost_front_disconnect(struct vhost_front *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	f->protocol_features = 0;
}

void vhost_front_fini(struct vhost_front *f)
{
	vhost_front_disconnect(f);
	if (f->listener >= 0) {
		close(f->listener);
		unlink(f->path);
	}
	f->listener = -1;
}

static int unix_address(struct vhost_front *f, const char *path, struct sockaddr_un *sa)
{
	if (strlen(path) >= sizeof(sa->sun_path))
		return -ENAMETOOLONG;
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	strcpy(sa->sun_path, path);
	snprintf(f->path, sizeof(f->path), "%s", path);
	return 0;
}

int vhost_front_connect(struct vhost_front *f, const char *path)
{
	int64_t end = now_ms() + f->timeout_ms;
	struct sockaddr_un sa;
	int err = unix_address(f, path, &sa);

	if (err)
		return err;
	vhost_front_disconnect(f);
	for (;;) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		if (!connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
			f->fd = fd;
			return 0;
		}
		err = -errno;
		close(fd);
		if ((err != -ENOENT && err != -ECONNREFUSED) || now_ms() >= end)
			return err;
		poll(NULL, 0, CONNECT_RETRY_MS);
	}
}

int vhost_front_listen(struct vhost_front *f, const char *path)
{
	struct sockaddr_un sa;
	int err = unix_address(f, path, &sa);
	int fd;

	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 4)) {
		err = -errno;
		close(fd);
		return err;
	}
	f->listener = fd;
	return 0;
}

// Waits until fd is readable (or hung up).
static int wait_readable(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t end = now_ms() + timeout_ms;

	for (;;) {
		int64_t left = end - now_ms();
		int n = poll(&p, 1, left > 0 ? (int)left : 0);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (now_ms() >= end)
			return -ETIMEDOUT;
	}
}

int vhost_front_accept(struct vhost_front *f)
{
	int err = wait_readable(f->listener, f->timeout_ms);

	if (err)
		return err;
	vhost_front_disconnect(f);
	f->fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	return f->fd < 0 ? -errno : 0;
}

bool vhost_front_is_closed(struct vhost_front *f, int timeout_ms)
{
	char byte;
	ssize_t n;

	if (f->fd < 0)
		return true;
	if (wait_readable(f->fd, timeout_ms))
		return false;
	n = recv(f->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno != EAGAIN);
}

int vhost_front_send_bytes(
	struct vhost_front *f, const void *bytes, size_t len, const int *fds, unsigned n_fds)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * VHOST_FRONT_FDS_MAX * 2)];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (n_fds > VHOST_FRONT_FDS_MAX * 2)
		return -EINVAL;
	if (n_fds) {
		struct cmsghdr *c;

		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	n = sendmsg(f->fd, &mh, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EPIPE ? -ECONNRESET : -errno;
	return (size_t)n == len ? 0 : -EMSGSIZE;
}

int vhost_front_send(struct vhost_front *f, uint32_t request, uint32_t flags, uint32_t size,
	const void *payload, size_t len, const int *fds, unsigned n_fds)
{
	uint8_t bytes[VHOST_FRONT_HEADER + 2 * VHOST_FRONT_PAYLOAD_MAX];
	struct wire_header h = {request, flags, size};

	if (len > sizeof(bytes) - sizeof(h))
		return -EINVAL;
	memcpy(bytes, &h, sizeof(h));
	if (len)
		memcpy(bytes + sizeof(h), payload, len);
	return vhost_front_send_bytes(f, bytes, sizeof(h) + len, fds, n_fds);
}

static int recv_all(struct vhost_front *f, void *to, size_t len)
{
	while (len) {
		int err = wait_readable(f->fd, f->timeout_ms);
		ssize_t n;

		if (err)
			return err;
		n = recv(f->fd, to, len, 0);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			to = (uint8_t *)to + n;
			len -= (size_t)n;
		}
	}
	return 0;
}

// Reads the header, with which descriptors come.
static int recv_header(struct vhost_front *f, struct vhost_front_msg *msg)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * VHOST_FRONT_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct wire_header h;
	struct iovec iov = {.iov_base = &h, .iov_len = sizeof(h)};
	struct msghdr mh = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf)};
	int err = wait_readable(f->fd, f->timeout_ms);
	struct cmsghdr *c;
	ssize_t n;

	if (err)
		return err;
	n = recvmsg(f->fd, &mh, MSG_CMSG_CLOEXEC | MSG_WAITALL);
	if (n <= 0)
		return n == 0 || errno == ECONNRESET ? -ECONNRESET : -errno;
	msg->n_fds = 0;
	c = CMSG_FIRSTHDR(&mh);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		msg->n_fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(msg->fds, CMSG_DATA(c), sizeof(int) * msg->n_fds);
	}
	msg->request = h.request;
	msg->flags = h.flags;
	msg->size = h.size;
	return n == sizeof(h) ? 0 : -EPROTO;
}

int vhost_front_recv(struct vhost_front *f, struct vhost_front_msg *msg)
{
	int err;

	memset(msg, 0, sizeof(*msg));
	err = recv_header(f, msg);
	if (err)
		return err;
	if (msg->size > sizeof(msg->payload))
		return -EPROTO;
	return recv_all(f, msg->payload.bytes, msg->size);
}

// Waits for the reply to a request; descriptors that come with it are closed.
static int recv_reply(struct vhost_front *f, uint32_t request, struct vhost_front_msg *msg)
{
	int err = vhost_front_recv(f, msg);

	for (unsigned i = 0; i < msg->n_fds; i++)
		close(msg->fds[i]);
	msg->n_fds = 0;
	if (err)
		return err;
	return msg->request == request && msg->flags & VHOST_FLAG_REPLY ? 0 : -EPROTO;
}

int vhost_front_call(struct vhost_front *f, uint32_t request, const void *payload, size_t len,
	const int *fds, unsigned n_fds)
{
	bool ack = f->ack && f->protocol_features & 1ull << VHOST_P_REPLY_ACK;
	uint32_t flags = VHOST_FLAG_VERSION | (ack ? VHOST_FLAG_NEED_REPLY : 0);
	struct vhost_front_msg reply;
	int err = vhost_front_send(f, request, flags, (uint32_t)len, payload, len, fds, n_fds);

	if (err || !ack)
		return err;
	err = recv_reply(f, request, &reply);
	if (err)
		return err;
	return reply.size == 8 && reply.payload.u64 == 0 ? 0 : -EREMOTEIO;
}

int vhost_front_ask(struct vhost_front *f, uint32_t request, const void *payload, size_t len,
	struct vhost_front_msg *reply)
{
	int err = vhost_front_send(
		f, request, VHOST_FLAG_VERSION, (uint32_t)len, payload, len, NULL, 0);

	return err ? err : recv_reply(f, request, reply);
}

static int get_u64(struct vhost_front *f, uint32_t request, uint64_t *value)
{
	struct vhost_front_msg reply;
	int err = vhost_front_ask(f, request, NULL, 0, &reply);

	if (err)
		return err;
	if (reply.size != 8)
		return -EPROTO;
	*value = reply.payload.u64;
	return 0;
}

static int set_u64(struct vhost_front *f, uint32_t request, uint64_t value)
{
	return vhost_front_call(f, request, &value, sizeof(value), NULL, 0);
}

int vhost_front_get_features(struct vhost_front *f, uint64_t *features)
{
	return get_u64(f, VHOST_GET_FEATURES, features);
}

int vhost_front_set_features(struct vhost_front *f, uint64_t features)
{
	return set_u64(f, VHOST_SET_FEATURES, features);
}

int vhost_front_get_protocol_features(struct vhost_front *f, uint64_t *features)
{
	return get_u64(f, VHOST_GET_PROTOCOL_FEATURES, features);
}

int vhost_front_set_protocol_features(struct vhost_front *f, uint64_t features)
{
	int err = set_u64(f, VHOST_SET_PROTOCOL_FEATURES, features);

	if (!err)
		f->protocol_features = features;
	return err;
}

int vhost_front_get_queue_num(struct vhost_front *f, uint64_t *n)
{
	return get_u64(f, VHOST_GET_QUEUE_NUM, n);
}

int vhost_front_set_owner(struct vhost_front *f)
{
	return vhost_front_call(f, VHOST_SET_OWNER, NULL, 0, NULL, 0);
}

int vhost_front_reset_owner(struct vhost_front *f)
{
	return vhost_front_call(f, VHOST_RESET_OWNER, NULL, 0, NULL, 0);
}

int vhost_front_set_mem_table(
	struct vhost_front *f, const struct vhost_front_region *regions, unsigned n)
{
	struct wire_mem_table t = {.n = n};
	int fds[VHOST_FRONT_FDS_MAX];

	if (n > VHOST_FRONT_FDS_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++) {
		const struct vhost_front_region *r = &regions[i];

		t.regions[i] = (struct wire_region){r->gpa, r->size, r->uva, r->mmap_offset};
		fds[i] = r->fd;
	}
	return vhost_front_call(f, VHOST_SET_MEM_TABLE, &t,
		offsetof(struct wire_mem_table, regions) + n * sizeof(t.regions[0]), fds, n);
}

int vhost_front_get_max_mem_slots(struct vhost_front *f, uint64_t *n)
{
	return get_u64(f, VHOST_GET_MAX_MEM_SLOTS, n);
}

static int mem_reg(
	struct vhost_front *f, uint32_t request, const struct vhost_front_region *r, bool with_fd)
{
	struct {
		uint64_t padding;
		struct wire_region region;
	} m = {0, {r->gpa, r->size, r->uva, r->mmap_offset}};

	return vhost_front_call(f, request, &m, sizeof(m), &r->fd, with_fd ? 1 : 0);
}

int vhost_front_add_mem_reg(struct vhost_front *f, const struct vhost_front_region *region)
{
	return mem_reg(f, VHOST_ADD_MEM_REG, region, true);
}

int vhost_front_rem_mem_reg(struct vhost_front *f, const struct vhost_front_region *region)
{
	return mem_reg(f, VHOST_REM_MEM_REG, region, false);
}

static int set_state(struct vhost_front *f, uint32_t request, uint32_t index, uint32_t num)
{
	struct vhost_vring_state s = {index, num};

	return vhost_front_call(f, request, &s, sizeof(s), NULL, 0);
}

int vhost_front_set_vring_num(struct vhost_front *f, uint32_t index, uint32_t num)
{
	return set_state(f, VHOST_SET_VRING_NUM, index, num);
}

int vhost_front_set_vring_base(struct vhost_front *f, uint32_t index, uint32_t base)
{
	return set_state(f, VHOST_SET_VRING_BASE, index, base);
}

int vhost_front_set_vring_enable(struct vhost_front *f, uint32_t index, bool enable)
{
	return set_state(f, VHOST_SET_VRING_ENABLE, index, enable);
}

int vhost_front_get_vring_base(struct vhost_front *f, uint32_t index, uint32_t *base)
{
	struct vhost_vring_state s = {index, 0};
	struct vhost_front_msg reply;
	int err = vhost_front_ask(f, VHOST_GET_VRING_BASE, &s, sizeof(s), &reply);

	if (err)
		return err;
	if (reply.size != sizeof(s))
		return -EPROTO;
	memcpy(&s, reply.payload.bytes, sizeof(s));
	*base = s.num;
	return 0;
}

int vhost_front_set_vring_addr(struct vhost_front *f, uint32_t index, uint32_t flags, uint64_t desc,
	uint64_t used, uint64_t avail, uint64_t log_gpa)
{
	struct vhost_vring_addr a = {.index = index,
		.flags = flags,
		.desc_user_addr = desc,
		.used_user_addr = used,
		.avail_user_addr = avail,
		.log_guest_addr = log_gpa};

	return vhost_front_call(f, VHOST_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
}

static int set_vring_fd(struct vhost_front *f, uint32_t request, uint32_t index, int fd)
{
	uint64_t value = index | (fd < 0 ? VHOST_VRING_NO_FD : 0);

	return vhost_front_call(f, request, &value, sizeof(value), &fd, fd < 0 ? 0 : 1);
}

int vhost_front_set_vring_kick(struct vhost_front *f, uint32_t index, int fd)
{
	return set_vring_fd(f, VHOST_SET_VRING_KICK, index, fd);
}

int vhost_front_set_vring_call(struct vhost_front *f, uint32_t index, int fd)
{
	return set_vring_fd(f, VHOST_SET_VRING_CALL, index, fd);
}

int vhost_front_set_vring_err(struct vhost_front *f, uint32_t index, int fd)
{
	return set_vring_fd(f, VHOST_SET_VRING_ERR, index, fd);
}

int vhost_front_set_log_base(struct vhost_front *f, uint64_t size, uint64_t offset, int fd)
{
	struct {
		uint64_t size, offset;
	} log = {size, offset};
	struct vhost_front_msg reply;
	int err = vhost_front_send(f, VHOST_SET_LOG_BASE, VHOST_FLAG_VERSION, sizeof(log), &log,
		sizeof(log), &fd, fd < 0 ? 0 : 1);

	return err ? err : recv_reply(f, VHOST_SET_LOG_BASE, &reply);
}

int vhost_front_set_log_fd(struct vhost_front *f, int fd)
{
	return vhost_front_call(f, VHOST_SET_LOG_FD, NULL, 0, &fd, fd < 0 ? 0 : 1);
}

int vhost_front_send_rarp(struct vhost_front *f, const uint8_t mac[6])
{
	uint64_t value = 0;

	memcpy(&value, mac, 6);
	return set_u64(f, VHOST_SEND_RARP, value);
}

int vhost_front_net_set_mtu(struct vhost_front *f, uint64_t mtu)
{
	return set_u64(f, VHOST_NET_SET_MTU, mtu);
}

int vhost_front_set_status(struct vhost_front *f, uint64_t status)
{
	return set_u64(f, VHOST_SET_STATUS, status);
}

int vhost_front_get_status(struct vhost_front *f, uint64_t *status)
{
	return get_u64(f, VHOST_GET_STATUS, status);
}

int vhost_front_set_backend_req_fd(struct vhost_front *f, int fd)
{
	return vhost_front_call(f, VHOST_SET_BACKEND_REQ_FD, NULL, 0, &fd, fd < 0 ? 0 : 1);
}
