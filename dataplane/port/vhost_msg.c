// SPDX-License-Identifier: BSD-2-Clause
// Messages of the vhost-user protocol as they arrive, and the checks that they must pass before
// anything acts on them.
#include "dataplane/port/vhost_msg.h"

#include "dataplane/port/cycles.h"
#include "dataplane/port/nudge.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

// A write to an eventfd that its VMM has filled and made blocking meanwhile ends after this.
#define SIGNAL_NS 10000000
// A write takes a microsecond or two, with the kernel's interrupts a few milliseconds of the CPU's time, and more only
// if many thousands wait for it.
#define SLOW_SIGNAL_NS 10000000

#define SHARE_HINT                                                                        \
	"start the VM with -object memory-backend-memfd,id=m,size=...,share=on -machine " \
	"memory-backend=m (libvirt: <source type='memfd'/><access mode='shared'/>)"

static const struct {
	const char *name;
	int size;
} requests[] = {
	[VU_GET_FEATURES] = {"GET_FEATURES", -1},
	[VU_SET_FEATURES] = {"SET_FEATURES", 8},
	[VU_SET_OWNER] = {"SET_OWNER", -1},
	[VU_RESET_OWNER] = {"RESET_OWNER", -1},
	[VU_SET_MEM_TABLE] = {"SET_MEM_TABLE", -1}, // checked by itself
	[VU_SET_LOG_BASE] = {"SET_LOG_BASE", 16},
	[VU_SET_LOG_FD] = {"SET_LOG_FD", -1},
	[VU_SET_VRING_NUM] = {"SET_VRING_NUM", 8},
	[VU_SET_VRING_ADDR] = {"SET_VRING_ADDR", 40},
	[VU_SET_VRING_BASE] = {"SET_VRING_BASE", 8},
	[VU_GET_VRING_BASE] = {"GET_VRING_BASE", 8},
	[VU_SET_VRING_KICK] = {"SET_VRING_KICK", 8},
	[VU_SET_VRING_CALL] = {"SET_VRING_CALL", 8},
	[VU_SET_VRING_ERR] = {"SET_VRING_ERR", 8},
	[VU_GET_PROTOCOL_FEATURES] = {"GET_PROTOCOL_FEATURES", -1},
	[VU_SET_PROTOCOL_FEATURES] = {"SET_PROTOCOL_FEATURES", 8},
	[VU_GET_QUEUE_NUM] = {"GET_QUEUE_NUM", -1},
	[VU_SET_VRING_ENABLE] = {"SET_VRING_ENABLE", 8},
	[VU_SEND_RARP] = {"SEND_RARP", 8},
	[VU_NET_SET_MTU] = {"NET_SET_MTU", 8},
	[VU_SET_SLAVE_REQ_FD] = {"SET_SLAVE_REQ_FD", -1},
	[VU_IOTLB_MSG] = {"IOTLB_MSG", -1},
	[VU_GET_CONFIG] = {"GET_CONFIG", -1},
	[VU_SET_CONFIG] = {"SET_CONFIG", -1},
	[VU_POSTCOPY_ADVISE] = {"POSTCOPY_ADVISE", -1},
	[VU_POSTCOPY_LISTEN] = {"POSTCOPY_LISTEN", -1},
	[VU_POSTCOPY_END] = {"POSTCOPY_END", -1},
	[VU_GET_INFLIGHT_FD] = {"GET_INFLIGHT_FD", -1},
	[VU_SET_INFLIGHT_FD] = {"SET_INFLIGHT_FD", -1},
	[VU_SET_STATUS] = {"SET_STATUS", 8},
	[VU_GET_STATUS] = {"GET_STATUS", -1},
};

#define N_REQUESTS (sizeof(requests) / sizeof(requests[0]))

int vhost_msg_payload_size(uint32_t request)
{
	if (request >= N_REQUESTS || !requests[request].name)
		return -1;
	return requests[request].size;
}

const char *vhost_msg_name(uint32_t request)
{
	if (request >= N_REQUESTS || !requests[request].name)
		return "unknown request";
	return requests[request].name;
}

bool vhost_fd_is_memory(int fd, uint64_t size)
{
	struct statfs fs;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || fstatfs(fd, &fs))
		return false;
	if (fs.f_type != TMPFS_MAGIC && fs.f_type != HUGETLBFS_MAGIC)
		return false;
	return S_ISREG(st.st_mode) && st.st_size >= 0 && (uint64_t)st.st_size >= size;
}

bool vhost_fd_is_event(int fd)
{
	static const char want[] = "anon_inode:[eventfd]";
	char path[32], target[sizeof(want)];
	ssize_t n;
	int flags;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target));
	if (n != (ssize_t)sizeof(want) - 1 || memcmp(target, want, sizeof(want) - 1))
		return false;
	flags = fcntl(fd, F_GETFL);
	return flags >= 0 && !fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

uint64_t vhost_event_count(int fd)
{
	unsigned long long count = 0;
	char line[128];
	FILE *f;

	snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", fd);
	f = fopen(line, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "eventfd-count: %llx", &count) == 1)
			break;
	if (f)
		fclose(f);
	return count;
}

// How long that took the CPU.
static uint64_t signal_once(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	struct nudge nudge;
	uint64_t from;

	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))
		return 0;
	// The other side may fill it between this look and the write.
	nudge_start(&nudge, SIGNAL_NS);
	from = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	(void)!eventfd_write(fd, 1);
	from = clock_ns(CLOCK_THREAD_CPUTIME_ID) - from;
	nudge_stop(&nudge);
	return from;
}

bool vhost_event_signal(int fd)
{
	return signal_once(fd) < SLOW_SIGNAL_NS || signal_once(fd) < SLOW_SIGNAL_NS;
}

static int check_region(const struct vhost_msg_region *r, unsigned i, int fd, struct error *err)
{
	uint64_t end;

	if (!r->size || __builtin_add_overflow(r->gpa, r->size, &end) ||
		__builtin_add_overflow(r->user_addr, r->size, &end) ||
		__builtin_add_overflow(r->mmap_offset, r->size, &end))
		return error_set(err, -EINVAL, "socket",
			"guest memory region %u is empty or wraps around: the VMM is broken", i);
	if (!vhost_fd_is_memory(fd, 0))
		return error_set(err, -EINVAL, "socket",
			"guest memory is not shared (region %u is no tmpfs, memfd or hugetlbfs "
			"file): " SHARE_HINT,
			i);
	if (!vhost_fd_is_memory(fd, end))
		return error_set(err, -EINVAL, "socket",
			"the file of guest memory region %u is shorter than the region: "
			"its size must be that of the VM's memory (-m)",
			i);
	return 0;
}

int vhost_msg_check_mem(
	const struct vhost_user_msg *msg, const int *fds, int n_fds, struct error *err)
{
	const struct vhost_msg_region *r = msg->mem.regions;
	uint32_t n = msg->mem.n;

	if (n > VU_MSG_REGIONS || msg->size < 8 + n * sizeof(*r))
		return error_set(err, -EINVAL, "socket",
			"a memory table of %u regions in %u bytes: at most %u are possible", n,
			msg->size, VU_MSG_REGIONS);
	if (n == 0 || (uint32_t)n_fds != n)
		return error_set(err, -EINVAL, "socket",
			"guest memory is not shared (%u regions, %d files): " SHARE_HINT, n, n_fds);
	for (uint32_t i = 0; i < n; i++) {
		int rc = check_region(&r[i], i, fds[i], err);
		if (rc)
			return rc;
		for (uint32_t j = 0; j < i; j++)
			if (r[i].gpa < r[j].gpa + r[j].size && r[j].gpa < r[i].gpa + r[i].size)
				return error_set(err, -EINVAL, "socket",
					"guest memory regions %u and %u overlap: the VMM is broken",
					j, i);
	}
	return 0;
}
