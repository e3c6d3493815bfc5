// SPDX-License-Identifier: BSD-2-Clause
// Opens an AF_XDP socket: UMEM, rings, bind, and the errors of each step in words.
#include "dataplane/port/xsk.h"

#include "dataplane/port/cycles.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SO_BUSY_POLL_BUDGET
#define SO_BUSY_POLL_BUDGET 70
#endif

#define HUGE_PAGE       (2u << 20)
#define HUGE_PAGE_FLAGS (MAP_HUGETLB | 21 << MAP_HUGE_SHIFT) // of this size, not the default
#define BUSY_POLL_US    20
#define BIND_TRIES      50
#define BIND_WAIT_US    10000u
#define BIND_FRESH_NS   2000000000ull // after a close
#define SEND_BUFFER     (8 << 20)     // skbs in flight in copy mode: at least a ring of full frames
#define TX_BUDGET_LEAST 32            // what kernels before XDP_MAX_TX_SKB_BUDGET send per call

// struct xdp_umem_reg with transmit metadata; the kernel takes the shorter one too.
struct umem_reg {
	uint64_t addr, len;
	uint32_t chunk_size, headroom, flags, tx_metadata_len;
};

static int umem_alloc(struct xsk *xsk, size_t len)
{
	int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
	size_t huge_len = (len + HUGE_PAGE - 1) & ~((size_t)HUGE_PAGE - 1);

	void *p = mmap(NULL, huge_len, prot, flags | HUGE_PAGE_FLAGS, -1, 0);
	xsk->huge = p != MAP_FAILED;
	xsk->umem_len = xsk->huge ? huge_len : len;
	if (!xsk->huge)
		p = mmap(NULL, len, prot, flags, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	xsk->umem = p;
	return 0;
}

static int umem_register(struct xsk *xsk, const struct xsk_config *c, struct error *err)
{
	struct umem_reg reg = {
		.addr = (uintptr_t)xsk->umem,
		.len = (uint64_t)c->n_chunks * c->chunk_size,
		.chunk_size = c->chunk_size,
	};
	if (c->tx_csum) {
		reg.flags = XDP_UMEM_TX_METADATA_LEN;
		reg.tx_metadata_len = XSK_TXMD_LEN;
		// A kernel without it refuses the flag: then without.
		xsk->tx_csum = !setsockopt(xsk->fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg));
		if (xsk->tx_csum)
			return 0;
		reg.flags = reg.tx_metadata_len = 0;
	}
	if (!setsockopt(xsk->fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)))
		return 0;
	if (errno == ENOBUFS || errno == ENOMEM)
		return error_set(err, -errno, "device",
			"the kernel does not lock %llu KiB of packet buffers (%s): raise the "
			"memlock "
			"limit (LimitMEMLOCK=infinity) or give weftd CAP_IPC_LOCK",
			(unsigned long long)reg.len >> 10, strerror(errno));
	return error_set(err, -errno, "device", "the kernel refuses packet buffers for AF_XDP: %s",
		strerror(errno));
}

static int ring_sizes(const struct xsk *xsk, const struct xsk_config *c)
{
	const struct {
		int which;
		uint32_t size;
	} rings[] = {{XDP_UMEM_FILL_RING, c->rx_ring}, {XDP_RX_RING, c->rx_ring},
		{XDP_UMEM_COMPLETION_RING, c->tx_ring}, {XDP_TX_RING, c->tx_ring}};
	for (unsigned i = 0; i < 4; i++)
		if (setsockopt(xsk->fd, SOL_XDP, rings[i].which, &rings[i].size,
			    sizeof(rings[i].size)))
			return -errno;
	return 0;
}

static int ring_map(struct xsk_ring *r, int fd, const struct xdp_ring_offset *off, uint32_t size,
	size_t entry, uint64_t pgoff)
{
	r->map_len = off->desc + size * entry;
	r->map = mmap(NULL, r->map_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
		(off_t)pgoff);
	if (r->map == MAP_FAILED) {
		r->map = NULL;
		return -errno;
	}
	uint8_t *base = r->map;
	r->producer = (uint32_t *)(base + off->producer);
	r->consumer = (uint32_t *)(base + off->consumer);
	r->flags = (uint32_t *)(base + off->flags);
	r->entries = base + off->desc;
	r->size = size;
	r->mask = size - 1;
	return 0;
}

static int rings_map(struct xsk *xsk, const struct xsk_config *c)
{
	struct xdp_mmap_offsets off;
	socklen_t len = sizeof(off);
	if (getsockopt(xsk->fd, SOL_XDP, XDP_MMAP_OFFSETS, &off, &len))
		return -errno;
	if (len != sizeof(off)) // Linux before 5.4, which has no need_wakeup
		return -EPROTONOSUPPORT;

	int rc = ring_map(&xsk->fill, xsk->fd, &off.fr, c->rx_ring, 8, XDP_UMEM_PGOFF_FILL_RING);
	if (!rc)
		rc = ring_map(&xsk->comp, xsk->fd, &off.cr, c->tx_ring, 8,
			XDP_UMEM_PGOFF_COMPLETION_RING);
	if (!rc)
		rc = ring_map(&xsk->rx, xsk->fd, &off.rx, c->rx_ring, sizeof(struct xdp_desc),
			XDP_PGOFF_RX_RING);
	if (!rc)
		rc = ring_map(&xsk->tx, xsk->fd, &off.tx, c->tx_ring, sizeof(struct xdp_desc),
			XDP_PGOFF_TX_RING);
	return rc;
}

static int bind_failed(int error, const struct xsk_config *c, struct error *err)
{
	switch (error) {
	case EBUSY:
		return error_set(err, -error, "device",
			"queue %u of the device is in use by another AF_XDP socket: stop that "
			"program, "
			"or wait a moment if it has just ended",
			c->queue);
	case EOPNOTSUPP:
	case EINVAL:
		if (c->frags)
			return error_set(err, -error, "device",
				"the device%s takes no frames of several buffers: use an MTU of at "
				"most "
				"3818, or a newer driver",
				c->zerocopy ? " in zero-copy mode" : "");
		if (c->zerocopy)
			return error_set(err, -error, "mode",
				"the driver has no zero-copy AF_XDP on queue %u (%s): a newer "
				"kernel or another card may; if it should, an MTU of 1500 or "
				"fewer queues (ethtool -L) may do",
				c->queue, strerror(error));
		return error_set(err, -error, "device",
			"queue %u of the device takes no AF_XDP socket (%s): is there such a "
			"queue? "
			"See ethtool -l",
			c->queue, strerror(error));
	case EPERM:
	case EACCES:
		return error_set(err, -error, "device",
			"no permission to bind an AF_XDP socket: weftd needs CAP_NET_RAW");
	case ENODEV:
	case ENETDOWN:
		return error_set(err, -error, "device", "the device is gone or down");
	default:
		return error_set(err, -error, "device",
			"cannot bind an AF_XDP socket to queue %u: %s", c->queue, strerror(error));
	}
}

// After a close the kernel frees the queue from a work item, so it is worth to try a little longer after ours, or
// that of a daemon before us. Not each time that a port is tried again whose queue another program has:
// control waits meanwhile.
static uint64_t fresh_until; // CLOCK_MONOTONIC in ns; 0: nothing was bound yet

static void set_fresh(void)
{
	__atomic_store_n(&fresh_until, clock_ns(CLOCK_MONOTONIC) + BIND_FRESH_NS, __ATOMIC_RELAXED);
}

static bool is_fresh(void)
{
	if (!__atomic_load_n(&fresh_until, __ATOMIC_RELAXED))
		set_fresh();
	return clock_ns(CLOCK_MONOTONIC) < __atomic_load_n(&fresh_until, __ATOMIC_RELAXED);
}

static int xsk_bind(const struct xsk *xsk, const struct xsk_config *c, struct error *err)
{
	struct sockaddr_xdp addr = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = XDP_USE_NEED_WAKEUP | (c->zerocopy ? XDP_ZEROCOPY : XDP_COPY) |
			      (c->frags ? XDP_USE_SG : 0),
		.sxdp_ifindex = (uint32_t)c->ifindex,
		.sxdp_queue_id = c->queue,
	};
	unsigned tries = is_fresh() ? BIND_TRIES : 0;
	while (bind(xsk->fd, (struct sockaddr *)&addr, sizeof(addr))) {
		if (errno != EBUSY || !tries--)
			return bind_failed(errno, c, err);
		usleep(BIND_WAIT_US);
	}
	return 0;
}

// What makes it faster, none of it necessary.
static void tune(struct xsk *xsk, const struct xsk_config *c)
{
	int budget = (int)c->tx_ring, sndbuf = SEND_BUFFER;
	bool set = !setsockopt(xsk->fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
	xsk->tx_budget = set ? c->tx_ring : TX_BUDGET_LEAST;
	if (setsockopt(xsk->fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf)))
		setsockopt(xsk->fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf));
	if (!c->busy_poll)
		return;
	int one = 1, us = BUSY_POLL_US, frames = (int)c->busy_poll;
	xsk->busy_poll =
		!setsockopt(xsk->fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &one, sizeof(one)) &&
		!setsockopt(xsk->fd, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof(us)) &&
		!setsockopt(xsk->fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &frames, sizeof(frames));
}

static int socket_failed(int error, struct error *err)
{
	if (error == EPERM)
		return error_set(
			err, -error, "type", "no permission for AF_XDP: weftd needs CAP_NET_RAW");
	if (error == EAFNOSUPPORT)
		return error_set(err, -error, "type",
			"the kernel has no AF_XDP: it needs CONFIG_XDP_SOCKETS");
	return error_set(err, -error, "type", "cannot make an AF_XDP socket: %s", strerror(error));
}

int xsk_open(struct xsk *xsk, const struct xsk_config *c, struct error *err)
{
	memset(xsk, 0, sizeof(*xsk));
	xsk->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (xsk->fd < 0) {
		xsk->fd = 0;
		return socket_failed(errno, err);
	}
	int rc = umem_alloc(xsk, (size_t)c->n_chunks * c->chunk_size);
	if (rc) {
		error_set(err, rc, "device", "no memory for %u packet buffers of %u bytes",
			c->n_chunks, c->chunk_size);
		goto fail;
	}
	rc = umem_register(xsk, c, err);
	if (rc)
		goto fail;
	rc = ring_sizes(xsk, c);
	if (!rc)
		rc = rings_map(xsk, c);
	if (rc) {
		error_set(err, rc, "device", "cannot set up the AF_XDP rings: %s", strerror(-rc));
		goto fail;
	}
	rc = xsk_bind(xsk, c, err);
	if (rc)
		goto fail;
	xsk->bound = true;
	struct xdp_options options = {0};
	socklen_t len = sizeof(options);
	if (!getsockopt(xsk->fd, SOL_XDP, XDP_OPTIONS, &options, &len))
		xsk->zerocopy = options.flags & XDP_OPTIONS_ZEROCOPY;
	tune(xsk, c);
	return 0;
fail:
	xsk_close(xsk);
	return rc;
}

void xsk_close(struct xsk *xsk)
{
	struct xsk_ring *rings[] = {&xsk->fill, &xsk->comp, &xsk->rx, &xsk->tx};
	for (unsigned i = 0; i < 4; i++)
		if (rings[i]->map)
			munmap(rings[i]->map, rings[i]->map_len);
	if (xsk->fd > 0)
		close(xsk->fd);
	if (xsk->bound)
		set_fresh();
	if (xsk->umem)
		munmap(xsk->umem, xsk->umem_len);
	memset(xsk, 0, sizeof(*xsk));
}

int xsk_statistics(const struct xsk *xsk, struct xdp_statistics *out)
{
	socklen_t len = sizeof(*out);
	memset(out, 0, sizeof(*out));
	return getsockopt(xsk->fd, SOL_XDP, XDP_STATISTICS, out, &len) ? -errno : 0;
}

bool xsk_is_bound(const struct xsk *xsk)
{
	return recvfrom(xsk->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL) >= 0 || errno != ENXIO;
}
