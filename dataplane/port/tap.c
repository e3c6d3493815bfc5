// SPDX-License-Identifier: BSD-2-Clause
// The port behind which the host is: a tap interface, with virtio-net headers so that partial
// checksums and segments pass both ways as they are.
//
// Each frame is one system call. A read puts the first bytes into the frame's head and the rest
// into a buffer of the port's own; a write gathers head and segments from where they are, so nothing
// is copied but by the kernel. An interface that was deleted is made again; one that was moved to
// another namespace keeps working there.
#include "dataplane/port/tap.h"

#include "dataplane/frame/eth.h"
#include "dataplane/port/netdev.h"
#include "dataplane/port/news.h"
#include "dataplane/port/rcu.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

#ifndef TUNGETDEVNETNS
#define TUNGETDEVNETNS _IO('T', 227) // Linux 5.2
#endif
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20 // Linux 6.2
#define TUN_F_USO6 0x40
#endif

#define BUFFER_LEN ((FRAME_LEN_MAX + 63u) & ~63u)
#define SEGS_MAX   512u // segments written at once; a frame of more is not passed on
// Polls skipped after that many that found nothing: a read costs a system call, an empty ring none.
#define SKIP_MAX 16u
#define WRITTEN  (-1)

// One open interface. Made and freed by control or the watch; the fields below `fd` belong to the
// worker of the receive queue.
struct tap_file {
	int fd;
	bool offloads_uso;
	uint32_t skip, skips; // polls still to skip; how many after the next empty one
	uint8_t *buffers;     // FRAME_BURST of BUFFER_LEN
};

struct tap {
	struct port port;
	pthread_mutex_t lock; // guards what follows up to `file`, between control and the watch
	struct netdev_watch watch;
	bool running, elsewhere; // as last told
	bool pause;              // it could not be made again: not before the next tick
	char last_error[512];
	struct news news;
	// Written under lock, read by the workers; lives until the grace period after it left.
	struct tap_file *file;
};

static struct tap *tap(struct port *port)
{
	return (struct tap *)port;
}

// --- the interface ---

static void file_free(struct tap_file *file)
{
	if (!file)
		return;
	if (file->fd >= 0)
		close(file->fd);
	free(file->buffers);
	free(file);
}

static int iff_failed(int error, const char *name, struct error *err)
{
	switch (error) {
	case EPERM:
		return error_set(err, -error, "device",
			"no permission to make tap %s: weftd needs CAP_NET_ADMIN", name);
	case EBUSY:
		return error_set(err, -error, "device",
			"the tap %s is in use by another program: stop it or choose another name",
			name);
	case EINVAL:
		return error_set(err, -error, "device",
			"%s cannot be a tap: there is an interface of that name and of another "
			"kind, or a tap of several queues (multi_queue in ip -d link), or the name "
			"is not valid",
			name);
	default:
		return error_set(
			err, -error, "device", "cannot make tap %s: %s", name, strerror(error));
	}
}

// Tells the kernel what we take, which is all it knows of.
static int set_offloads(struct tap_file *file, struct error *err)
{
	unsigned flags = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	int header = sizeof(struct virtio_net_hdr);
	file->offloads_uso = !ioctl(file->fd, TUNSETOFFLOAD, flags | TUN_F_USO4 | TUN_F_USO6);
	if (!file->offloads_uso && ioctl(file->fd, TUNSETOFFLOAD, flags))
		return error_set(err, -errno, "device", "the kernel's tap has no offloads: %s",
			strerror(errno));
	if (ioctl(file->fd, TUNSETVNETHDRSZ, &header))
		return error_set(err, -errno, "device", "the kernel's tap has no headers: %s",
			strerror(errno));
	return 0;
}

static int file_new(const char *name, struct tap_file **out, struct error *err)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	struct tap_file *file = calloc(1, sizeof(*file));
	if (!file || !(file->buffers = malloc((size_t)FRAME_BURST * BUFFER_LEN))) {
		free(file);
		return error_set(err, -ENOMEM, "", "out of memory");
	}
	int rc;
	file->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (file->fd < 0) {
		rc = error_set(err, -errno, "type",
			"cannot open /dev/net/tun: %s; the kernel needs CONFIG_TUN and the service "
			"access to that device",
			strerror(errno));
		goto fail;
	}
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(file->fd, TUNSETIFF, &ifr)) {
		rc = iff_failed(errno, name, err);
		goto fail;
	}
	if (strcmp(ifr.ifr_name, name)) { // a pattern: the kernel chose a number
		rc = iff_failed(EINVAL, name, err);
		goto fail;
	}
	rc = set_offloads(file, err);
	if (rc)
		goto fail;
	*out = file;
	return 0;
fail:
	file_free(file);
	return rc;
}

// Makes the interface and lets the workers at it. Under the lock.
static int set_up(struct tap *t, struct error *err)
{
	const char *name = t->port.config.device;
	struct tap_file *file = NULL;
	struct netdev dev;
	int rc = file_new(name, &file, err);
	if (!rc && t->port.config.mtu)
		rc = netdev_set_mtu(name, t->port.config.mtu, err);
	if (!rc)
		rc = netdev_set_up(name, err);
	if (!rc)
		rc = netdev_get(name, &dev, err);
	if (rc) {
		file_free(file);
		return rc;
	}
	uint32_t offloads =
		PORT_OFFLOAD_CSUM | PORT_OFFLOAD_TSO4 | PORT_OFFLOAD_TSO6 | PORT_OFFLOAD_ECN;
	if (file->offloads_uso)
		offloads |= PORT_OFFLOAD_USO4 | PORT_OFFLOAD_USO6;
	__atomic_store_n(&t->port.offloads, offloads, __ATOMIC_RELAXED);
	__atomic_store_n(&t->port.mtu, dev.mtu, __ATOMIC_RELAXED);
	t->running = t->elsewhere = false;
	// Pairs with the acquire in the worker's operations.
	__atomic_store_n(&t->file, file, __ATOMIC_RELEASE);
	port_watch(&t->port, 0, file->fd);
	return 0;
}

static void take_down(struct tap *t)
{
	struct tap_file *file = t->file;
	if (!file)
		return;
	port_watch(&t->port, 0, -1);
	__atomic_store_n(&t->file, NULL, __ATOMIC_RELEASE);
	rcu_grace(); // no worker is in a call, or has frames of it on loan, after this
	file_free(file);
}

// What the interface behind the descriptor is called now. False once it was deleted.
static bool is_attached(const struct tap_file *file, char name[IFNAMSIZ])
{
	struct ifreq ifr = {0};
	if (ioctl(file->fd, TUNGETIFF, &ifr))
		return false;
	memcpy(name, ifr.ifr_name, IFNAMSIZ);
	return true;
}

// Whether it is in our namespace. Where the kernel does not say, its name decides.
static bool is_here(const struct tap_file *file)
{
	struct stat its, ours;
	int fd = ioctl(file->fd, TUNGETDEVNETNS);
	bool here = fd < 0 || fstat(fd, &its) || stat("/proc/thread-self/ns/net", &ours) ||
		    (its.st_ino == ours.st_ino && its.st_dev == ours.st_dev);
	if (fd >= 0)
		close(fd);
	return here;
}

static void follow_device(struct tap *t, const struct netdev *dev, const char *name)
{
	if (dev->running != t->running || t->elsewhere)
		news_link(&t->news, &t->port, dev->running ? PORT_LINK_UP : PORT_LINK_DOWN,
			"%s is %s", name, dev->running ? "up" : "set down");
	t->running = dev->running;
	t->elsewhere = false;
	__atomic_store_n(&t->port.mtu, dev->mtu, __ATOMIC_RELAXED);
}

static void device_changed(void *ctx)
{
	struct tap *t = ctx;
	char name[IFNAMSIZ];
	struct netdev dev;
	struct error err = {0};
	snprintf(name, sizeof(name), "%s", t->port.config.device);
	pthread_mutex_lock(&t->lock);
	if (t->file && !is_attached(t->file, name)) {
		news_link(&t->news, &t->port, PORT_LINK_DOWN, "%s was deleted", name);
		take_down(t);
	}
	// What was made and could not be set up is gone again: word of that comes back here at once.
	if (!t->file && !t->pause) {
		t->pause = set_up(t, &err);
		if (!t->pause)
			news_log(&t->news, LOG_NOTICE, "%s was deleted; made again", name);
		else if (strcmp(t->last_error, err.text))
			news_log(&t->news, LOG_WARNING, "%s", err.text);
		memcpy(t->last_error, err.text, sizeof(t->last_error));
	}
	if (t->file) {
		int rc = is_here(t->file) ? netdev_get(name, &dev, NULL) : -ENODEV;
		if (!rc)
			follow_device(t, &dev, name);
		else if (rc == -ENODEV && !t->elsewhere) {
			t->elsewhere = true;
			news_link(&t->news, &t->port, PORT_LINK_UP, "%s is in another namespace",
				name);
		}
	}
	news_unlock_and_tell(&t->news, &t->port, &t->lock);
}

// --- operations: control ---

static void tap_close(struct port *port)
{
	struct tap *t = tap(port);
	netdev_watch_stop(&t->watch);
	take_down(t);
	port_fini(port);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static int tap_open(const struct port_config *config, const struct port_upcalls *upcalls,
	struct port **out, struct error *err)
{
	struct tap *t = NULL;
	if (!config->device[0])
		return error_set(err, -EINVAL, "device",
			"device: a tap port needs the name of the interface to make");
	if (config->queues > 1)
		return error_set(err, -EINVAL, "queues", "queues: a tap port has one, not %u",
			config->queues);
	if (posix_memalign((void **)&t, 64, sizeof(*t)))
		return error_set(err, -ENOMEM, "", "out of memory");
	memset(t, 0, sizeof(*t));
	int rc = port_init(&t->port, &tap_ops, config, upcalls);
	if (rc) {
		free(t);
		return error_set(err, rc, "", "out of memory");
	}
	pthread_mutex_init(&t->lock, NULL);
	t->port.n_rxq = 1;
	rc = set_up(t, err);
	if (!rc)
		rc = netdev_watch_start(&t->watch, device_changed, t, err);
	if (rc) {
		tap_close(&t->port);
		return rc;
	}
	*out = &t->port;
	return 0;
}

// Of our interface, whatever is called as it was. One that is made later gets it then.
static int change_mtu(const struct tap *t, uint32_t mtu, struct error *err)
{
	char name[IFNAMSIZ];
	if (!t->file || !is_attached(t->file, name))
		return 0;
	if (!is_here(t->file))
		return error_set(err, -ENODEV, "mtu",
			"mtu: %s is in another namespace: set it there, with ip link set dev %s "
			"mtu "
			"%u",
			name, name, mtu);
	return netdev_set_mtu(name, mtu, err);
}

static int tap_set(struct port *port, const struct port_config *config, struct error *err)
{
	struct tap *t = tap(port);
	int rc = 0;
	if (strcmp(config->device, port->config.device) || config->queues > 1)
		return error_set(err, -ENOTSUP, "", "a tap port changes nothing but mtu in place");
	pthread_mutex_lock(&t->lock);
	if (config->mtu && config->mtu != port->config.mtu)
		rc = change_mtu(t, config->mtu, err);
	if (!rc)
		port->config.mtu = config->mtu;
	news_unlock_and_tell(&t->news, port, &t->lock);
	return rc;
}

// The watch, which looks several times a second, may try again.
static void tap_tick(struct port *port)
{
	struct tap *t = tap(port);
	pthread_mutex_lock(&t->lock);
	t->pause = false;
	pthread_mutex_unlock(&t->lock);
}

static void tap_describe(struct port *port, const struct describer *to)
{
	struct tap *t = tap(port);
	pthread_mutex_lock(&t->lock);
	to->str(to->ctx, "device", port->config.device);
	to->str(to->ctx, "state",
		!t->file       ? "cannot be made"
		: t->elsewhere ? "in another namespace"
		: t->running   ? "up"
			       : "down");
	to->flag(to->ctx, "checksum_offload", port_load(&port->offloads) & PORT_OFFLOAD_CSUM);
	to->flag(to->ctx, "tso", port_load(&port->offloads) & PORT_OFFLOAD_TSO4);
	to->flag(to->ctx, "uso", port_load(&port->offloads) & PORT_OFFLOAD_USO4);
	pthread_mutex_unlock(&t->lock);
}

// --- operations: workers ---

static inline struct tap_file *file_get(struct port *port)
{
	// Pairs with the release in set_up().
	return __atomic_load_n(&tap(port)->file, __ATOMIC_ACQUIRE);
}

// Reads one frame. False if there is none, or it was dropped (*dropped).
static bool read_frame(struct tap_file *file, struct frame *f, uint8_t *buffer,
	struct port_stats *st, bool *dropped)
{
	struct virtio_net_hdr hdr;
	struct iovec iov[] = {
		{&hdr, sizeof(hdr)},
		{f->buf + FRAME_HEAD_OFF, FRAME_HEAD},
		{buffer, BUFFER_LEN},
	};
	*dropped = false;
	st->notified++;
	ssize_t n = readv(file->fd, iov, 3);
	if (n < 0)
		return false;
	n -= sizeof(hdr);
	if (n < (ssize_t)FRAME_LEN_MIN || n > (ssize_t)FRAME_LEN_MAX) {
		st->drop[n < (ssize_t)FRAME_LEN_MIN ? DROP_too_short : DROP_too_long]++;
		*dropped = true;
		return false;
	}
	frame_begin(f, (uint32_t)n, n < FRAME_HEAD ? (uint32_t)n : FRAME_HEAD);
	f->seg = (struct frame_seg){.base = buffer, .len = f->len - f->head_len};
	f->offload = hdr;
	// The kernel's claims are true, but not yet in the form that the switch relies on: hdr_len is
	// a hint, and the headers may go beyond what the head holds so far.
	int rc = offload_check(f);
	if (rc) {
		st->drop[rc == -E2BIG ? DROP_no_offload : DROP_malformed]++;
		*dropped = true;
		return false;
	}
	return true;
}

static uint32_t tap_rx(
	struct port *port, unsigned q, struct burst *b, uint32_t max, struct port_stats *st)
{
	struct tap_file *file = file_get(port);
	burst_begin(b);
	if (!file)
		return 0;
	if (file->skip) {
		file->skip--;
		return 0;
	}
	// Those that are dropped count too: the host may send them faster than they are read.
	unsigned reads;
	for (reads = 0; reads < max; reads++) {
		struct frame *f = &b->f[b->n];
		bool dropped;
		if (read_frame(file, f, file->buffers + (size_t)b->n * BUFFER_LEN, st, &dropped)) {
			burst_add(b);
		} else if (!dropped) {
			break;
		}
	}
	if (!reads) {
		file->skips = file->skips < SKIP_MAX / 2 ? file->skips * 2 + 1 : SKIP_MAX;
		file->skip = file->skips;
		return 0;
	}
	file->skips = 0;
	if (!b->n)
		return 0;
	st->rx_frames += b->n;
	st->rx_bytes += b->bytes;
	st->rx_bursts++;
	return b->n;
}

static void tap_rx_done(struct port *port, unsigned q, struct burst *b)
{
}

// Writes one frame. WRITTEN, or the enum drop_reason it is dropped for, or -EAGAIN.
static int write_frame(
	struct tap_file *file, uint32_t offloads, const struct frame *f, struct port_stats *st)
{
	struct virtio_net_hdr header = offload_header(f, offloads);
	struct iovec iov[2 + SEGS_MAX];
	if (f->n_segs > SEGS_MAX || offload_needs(f) & ~offloads)
		return DROP_no_offload;
	iov[0] = (struct iovec){&header, sizeof(header)};
	iov[1] = (struct iovec){(void *)frame_head_const(f), f->head_len};
	const struct frame_seg *segs = frame_segs_const(f);
	for (unsigned i = 0; i < f->n_segs; i++)
		iov[2 + i] = (struct iovec){(void *)segs[i].base, segs[i].len};
	st->notified++;
	ssize_t n = writev(file->fd, iov, 2 + f->n_segs);
	if (n >= 0)
		return WRITTEN;
	switch (errno) {
	case EAGAIN:
	case ENOBUFS:
	case ENOMEM:
		return -EAGAIN;
	case EINVAL:
		return DROP_no_offload; // the kernel disagrees with the header
	default:
		return DROP_port_down; // EIO: set down; EBADFD: deleted
	}
}

static uint32_t tap_tx(struct port *port, unsigned q, const struct frame *f, const uint8_t *list,
	uint32_t n, struct port_stats *st)
{
	struct tap_file *file = file_get(port);
	uint32_t offloads = port_load(&port->offloads), max = port_load(&port->mtu) + ETH_HDR_LEN;
	if (!file) {
		st->drop[DROP_port_down] += n;
		return n;
	}
	uint32_t i, frames = 0;
	for (i = 0; i < n; i++) {
		const struct frame *frame = &f[list[i]];
		uint32_t tag = frame->flags & FRAME_TAGGED ? ETH_TAG_LEN : 0;
		if (offload_wire_len(frame) > max + tag) {
			st->drop[DROP_too_long]++;
			continue;
		}
		int rc = write_frame(file, offloads, frame, st);
		if (rc == -EAGAIN)
			break;
		if (rc >= 0) {
			st->drop[rc]++;
			continue;
		}
		frames++;
		st->tx_bytes += frame->len;
	}
	st->tx_frames += frames;
	st->tx_bursts += frames > 0;
	return i;
}

static void tap_notify(struct port *port, unsigned q, unsigned dirs, struct port_stats *st)
{
}

static bool tap_arm(struct port *port, unsigned q)
{
	struct tap_file *file = file_get(port);
	if (!file)
		return false;
	struct pollfd p = {.fd = file->fd, .events = POLLIN};
	file->skip = 0;
	return poll(&p, 1, 0) == 1 && p.revents & POLLIN;
}

static void tap_disarm(struct port *port, unsigned q)
{
	struct tap_file *file = file_get(port);
	if (file)
		file->skip = file->skips = 0; // whatever woke us may be here
}

const struct port_ops tap_ops = {
	.type = "tap",
	.open = tap_open,
	.close = tap_close,
	.set = tap_set,
	.describe = tap_describe,
	.tick = tap_tick,
	.rx = tap_rx,
	.rx_spills = true,
	.rx_done = tap_rx_done,
	.tx = tap_tx,
	.notify = tap_notify,
	.arm = tap_arm,
	.disarm = tap_disarm,
};
