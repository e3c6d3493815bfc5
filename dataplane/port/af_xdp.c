// SPDX-License-Identifier: BSD-2-Clause
// The port behind which a NIC is: an AF_XDP socket on each of its queues, and our XDP program.
//
// Control opens and closes; from then on a thread of the port's own watches the device and sets
// everything up again when it has gone and come, or changed its queues. Both hold `lock` for that,
// and never while they call up. Workers take no lock: they find their queue through queue[], which
// is published by one store and freed only after a grace period.
#include "dataplane/port/af_xdp.h"

#include "dataplane/port/af_xdp_queue.h"
#include "dataplane/port/af_xdp_program.h"
#include "dataplane/port/netdev.h"
#include "dataplane/port/news.h"
#include "dataplane/port/rcu.h"
#include "dataplane/frame/eth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

// L3 bytes that fit one chunk: larger MTUs need frames of several.
#define MTU_ONE_CHUNK (XDP_CHUNK_LARGE - XDP_RX_HEADROOM - ETH_HDR_LEN - 2 * ETH_TAG_LEN)
#define RETRY_ROUNDS  4 // of the watch, between attempts to set a device up

struct af_xdp_mode {
	enum { MODE_ZEROCOPY, MODE_COPY, MODE_GENERIC, MODE_NONE } mode;
	const char *name;
	bool native, zerocopy;
};

// Best first.
static const struct af_xdp_mode modes[] = {
	{MODE_ZEROCOPY, "native, zero-copy", true, true},
	{MODE_COPY, "native, copy", true, false},
	{MODE_GENERIC, "generic", false, false},
};

struct af_xdp {
	struct port port;
	pthread_mutex_t lock; // guards what follows up to `queue`, between control and the watch
	struct netdev_watch watch;
	struct netdev dev;   // as it was when we set up
	bool ready;          // sockets and program are in place
	unsigned mode;       // index into modes
	bool frags, tx_csum; // in use
	int promisc_fd;
	bool vlan_offload_off; // we turned it off and owe it back
	struct af_xdp_program program;
	char why_not[MODE_NONE][200]; // why each better mode is not in use
	uint32_t retry_in;            // watch rounds until the next attempt
	char last_error[512];         // of the last attempt, so that it is logged once
	uint64_t reported_long, reported_bad;

	struct news news;

	// Written under lock, read by workers; a queue lives until the grace period after it left.
	struct xdp_queue *queue[PORT_QUEUES_MAX];
	// The queue whose frames are lent: the worker of the receive queue alone.
	struct xdp_queue *lent[PORT_QUEUES_MAX];
};

static struct af_xdp *af_xdp(struct port *port)
{
	return (struct af_xdp *)port;
}

// --- setting up and taking down, under the lock ---

static void free_queues(struct xdp_queue **queues)
{
	for (unsigned q = 0; q < PORT_QUEUES_MAX; q++) {
		xdp_queue_free(queues[q]);
		queues[q] = NULL;
	}
}

// Opens all sockets and attaches the program in one mode. On failure nothing is left.
static int try_mode(struct af_xdp *ax, const struct netdev *dev, const struct af_xdp_mode *mode,
	struct xdp_queue **queues, struct error *err)
{
	struct xsk_config c = {
		.ifindex = dev->ifindex,
		.zerocopy = mode->zerocopy,
		.frags = dev->mtu > MTU_ONE_CHUNK,
		// In copy mode the kernel completes what the device cannot; a zero-copy driver is
		// on its own, and none can be asked by this interface alone.
		.tx_csum = !mode->zerocopy,
		.busy_poll = ax->port.config.busy_poll,
	};
	int rc = 0;
	for (c.queue = 0; c.queue < dev->n_rx && !rc; c.queue++)
		rc = xdp_queue_new(&c, dev->mtu, &queues[c.queue], err);
	if (!rc)
		rc = af_xdp_program_attach(
			&ax->program, dev->ifindex, mode->native, ax->port.config.share_host, err);
	if (!rc && c.frags && !ax->program.frags) {
		rc = error_set(err, -EOPNOTSUPP, "mtu",
			"the driver gives XDP no frames of several buffers: with this mode the MTU "
			"may be "
			"at most %u, not %u",
			MTU_ONE_CHUNK, dev->mtu);
		af_xdp_program_detach(&ax->program, false);
	}
	if (rc) {
		free_queues(queues);
		return rc;
	}
	bool claims = !mode->native || !strcmp(dev->driver, "veth") ||
		      !strcmp(dev->driver, "tun") || !strcmp(dev->driver, "virtio_net");
	for (unsigned q = 0; q < dev->n_rx; q++)
		queues[q]->claims = claims;
	ax->tx_csum = queues[0]->xsk.tx_csum;
	ax->frags = c.frags;
	return 0;
}

// The best mode that works, or the one that is configured.
static int try_modes(
	struct af_xdp *ax, const struct netdev *dev, struct xdp_queue **queues, struct error *err)
{
	static const unsigned forced[] = {
		[XDP_MODE_AUTO] = MODE_NONE,
		[XDP_MODE_ZEROCOPY] = MODE_ZEROCOPY,
		[XDP_MODE_COPY] = MODE_COPY,
		[XDP_MODE_GENERIC] = MODE_GENERIC,
	};
	unsigned only = forced[ax->port.config.xdp_mode];
	int rc = -EINVAL;
	memset(ax->why_not, 0, sizeof(ax->why_not));
	for (unsigned m = 0; m < MODE_NONE; m++) {
		if (only != MODE_NONE && only != m) {
			snprintf(ax->why_not[m], sizeof(ax->why_not[m]),
				"not tried: mode is configured");
			continue;
		}
		rc = try_mode(ax, dev, &modes[m], queues, err);
		if (!rc) {
			ax->mode = m;
			return 0;
		}
		snprintf(ax->why_not[m], sizeof(ax->why_not[m]), "%.199s", err->text);
		// These are the same in every mode.
		if (rc == -EPERM || rc == -EBUSY || rc == -ENODEV || rc == -ENOBUFS)
			return rc;
	}
	return rc;
}

static int check_device(struct af_xdp *ax, const struct netdev *dev, struct error *err)
{
	uint32_t want = ax->port.config.queues;
	if (dev->n_rx > PORT_QUEUES_MAX)
		return error_set(err, -E2BIG, "queues",
			"it receives on %u queues, weft serves at most %u: ethtool -L %s combined "
			"%u",
			dev->n_rx, PORT_QUEUES_MAX, ax->port.config.device, PORT_QUEUES_MAX);
	if (want && dev->n_rx != want)
		return error_set(err, -EINVAL, "queues",
			"it receives on %u queues, and queues: says %u; what came in on the others "
			"would "
			"not be seen: ethtool -L %s combined %u, or leave queues: out to use all",
			dev->n_rx, want, ax->port.config.device, want);
	return 0;
}

// Makes sockets and program usable by workers.
static int publish(
	struct af_xdp *ax, const struct netdev *dev, struct xdp_queue **queues, struct error *err)
{
	for (unsigned q = 0; q < dev->n_rx; q++) {
		int rc = af_xdp_program_bind(&ax->program, q, queues[q]->xsk.fd);
		if (rc)
			return error_set(err, rc, "device",
				"cannot direct queue %u to its socket: %s", q, strerror(-rc));
	}
	for (unsigned q = 0; q < dev->n_rx; q++) {
		// Pairs with the acquire in the worker's operations.
		__atomic_store_n(&ax->queue[q], queues[q], __ATOMIC_RELEASE);
		port_watch(&ax->port, q, queues[q]->xsk.fd);
	}
	__atomic_store_n(
		&ax->port.n_txq, dev->n_tx < dev->n_rx ? dev->n_tx : dev->n_rx, __ATOMIC_RELAXED);
	__atomic_store_n(&ax->port.mtu, dev->mtu, __ATOMIC_RELAXED);
	__atomic_store_n(&ax->port.offloads, ax->tx_csum ? PORT_OFFLOAD_CSUM : 0, __ATOMIC_RELAXED);
	return 0;
}

static int set_up(struct af_xdp *ax, struct error *err)
{
	const char *name = ax->port.config.device;
	struct xdp_queue *queues[PORT_QUEUES_MAX] = {0};
	struct netdev dev;
	int rc = netdev_get(name, &dev, err);
	if (!rc && !dev.up)
		rc = netdev_set_up(name, err);
	if (!rc)
		rc = check_device(ax, &dev, err);
	if (rc)
		return rc;
	ax->promisc_fd = netdev_promiscuous(dev.ifindex, err);
	if (ax->promisc_fd < 0)
		return ax->promisc_fd;
	ax->vlan_offload_off = netdev_set_rx_vlan_offload(name, false);
	rc = try_modes(ax, &dev, queues, err);
	if (rc)
		goto fail;
	rc = publish(ax, &dev, queues, err);
	if (rc) {
		af_xdp_program_detach(&ax->program, false);
		free_queues(queues);
		goto fail;
	}
	ax->dev = dev;
	ax->dev.running = false; // the watch tells when it is
	ax->ready = true;
	return 0;
fail:
	if (ax->vlan_offload_off)
		netdev_set_rx_vlan_offload(name, true);
	close(ax->promisc_fd);
	return rc;
}

static void take_down(struct af_xdp *ax, bool gone)
{
	struct xdp_queue *queues[PORT_QUEUES_MAX] = {0};
	if (!ax->ready)
		return;
	af_xdp_program_detach(&ax->program, gone);
	for (unsigned q = 0; q < PORT_QUEUES_MAX; q++) {
		queues[q] = ax->queue[q];
		port_watch(&ax->port, q, -1);
		__atomic_store_n(&ax->queue[q], NULL, __ATOMIC_RELEASE);
	}
	rcu_grace(); // no worker is in a queue, or has frames of it on loan, after this
	free_queues(queues);
	close(ax->promisc_fd);
	if (ax->vlan_offload_off && !gone)
		netdev_set_rx_vlan_offload(ax->port.config.device, true);
	ax->ready = false;
}

// --- the watch ---

static bool sockets_are_bound(const struct af_xdp *ax)
{
	for (unsigned q = 0; q < PORT_QUEUES_MAX; q++)
		if (ax->queue[q] && !xsk_is_bound(&ax->queue[q]->xsk))
			return false;
	return true;
}

// Same device, still ours: takes over what changed in place. False if it must be set up again.
static bool follow_device(struct af_xdp *ax, const struct netdev *dev)
{
	const char *name = ax->port.config.device;
	if (dev->n_rx != ax->dev.n_rx) {
		news_log(&ax->news, LOG_NOTICE, "%s: receives on %u queues now, %u before", name,
			dev->n_rx, ax->dev.n_rx);
		return false;
	}
	if (dev->mtu != ax->dev.mtu) {
		news_log(&ax->news, LOG_NOTICE, "%s: its MTU is %u now, %u before", name, dev->mtu,
			ax->dev.mtu);
		return false;
	}
	if (dev->running != ax->dev.running) {
		if (dev->running)
			news_link(&ax->news, &ax->port, PORT_LINK_UP,
				"%s has carrier (%s, %u queue%s)", name, modes[ax->mode].name,
				dev->n_rx, dev->n_rx == 1 ? "" : "s");
		else
			news_link(&ax->news, &ax->port, PORT_LINK_DOWN, "%s %s", name,
				dev->up ? "has no carrier" : "is set down");
		ax->dev.running = dev->running;
	}
	ax->dev.up = dev->up;
	return true;
}

static void try_again(struct af_xdp *ax)
{
	struct error err = {0};
	if (ax->retry_in > 0 && ax->retry_in--)
		return;
	if (!set_up(ax, &err)) {
		news_log(&ax->news, LOG_NOTICE, "%s: set up again, %s", ax->port.config.device,
			modes[ax->mode].name);
		ax->last_error[0] = 0;
		struct netdev dev;
		if (!netdev_get(ax->port.config.device, &dev, &err))
			follow_device(ax, &dev);
		return;
	}
	ax->retry_in = RETRY_ROUNDS;
	if (strcmp(ax->last_error, err.text)) {
		memcpy(ax->last_error, err.text, sizeof(ax->last_error));
		news_log(&ax->news, LOG_WARNING, "%s: %s", ax->port.config.device, err.text);
	}
}

static void device_changed(void *ctx)
{
	struct af_xdp *ax = ctx;
	const char *name = ax->port.config.device;
	struct netdev dev;
	pthread_mutex_lock(&ax->lock);
	int rc = netdev_get(name, &dev, NULL);
	if (rc == -ENODEV) {
		if (ax->ready) {
			news_link(&ax->news, &ax->port, PORT_LINK_DOWN,
				"%s was removed, or moved to another namespace", name);
			take_down(ax, true);
		}
		ax->retry_in = 0; // at once when it comes back
	} else if (!rc && !ax->ready) {
		try_again(ax);
	} else if (!rc) {
		bool same = dev.ifindex == ax->dev.ifindex && sockets_are_bound(ax);
		if (!same)
			news_link(&ax->news, &ax->port, PORT_LINK_DOWN,
				"%s was removed and came back", name);
		if (!same || !follow_device(ax, &dev)) {
			take_down(ax, !same);
			ax->retry_in = 0;
			try_again(ax);
		}
	}
	news_unlock_and_tell(&ax->news, &ax->port, &ax->lock);
}

// --- operations: control ---

static void af_xdp_close(struct port *port)
{
	struct af_xdp *ax = af_xdp(port);
	netdev_watch_stop(&ax->watch);
	take_down(ax, false);
	af_xdp_program_fini(&ax->program);
	port_fini(port);
	pthread_mutex_destroy(&ax->lock);
	free(ax);
}

static int af_xdp_check_config(const struct port_config *config, struct error *err)
{
	if (!config->device[0])
		return error_set(err, -EINVAL, "device",
			"device: an af-xdp port needs the name of a network interface");
	if (config->queues > PORT_QUEUES_MAX)
		return error_set(err, -EINVAL, "queues", "queues: at most %u, not %u",
			PORT_QUEUES_MAX, config->queues);
	return 0;
}

static int af_xdp_open(const struct port_config *config, const struct port_upcalls *upcalls,
	struct port **out, struct error *err);

static int af_xdp_set(struct port *port, const struct port_config *config, struct error *err)
{
	struct af_xdp *ax = af_xdp(port);
	const struct port_config *now = &port->config;
	if (strcmp(config->device, now->device) || config->xdp_mode != now->xdp_mode ||
		config->share_host != now->share_host || config->queues != now->queues ||
		config->busy_poll != now->busy_poll)
		return error_set(
			err, -ENOTSUP, "", "an af-xdp port changes nothing but mtu in place");
	int rc = 0;
	pthread_mutex_lock(&ax->lock);
	if (config->mtu && config->mtu != now->mtu)
		rc = netdev_set_mtu(config->device, config->mtu, err);
	if (!rc)
		port->config.mtu = config->mtu;
	news_unlock_and_tell(&ax->news, &ax->port, &ax->lock);
	return rc;
}

static void describe_queue(const struct xdp_queue *q, const struct describer *to)
{
	struct xdp_statistics kernel;
	struct xdp_census c;
	xdp_queue_census(q, &c);
	xsk_statistics(&q->xsk, &kernel);
	to->open(to->ctx, NULL);
	to->num(to->ctx, "queue", q->index);
	to->num(to->ctx, "rx_fill", c.rx_fill);
	to->num(to->ctx, "rx_ring", c.rx_ring);
	to->num(to->ctx, "rx_lent", c.rx_lent);
	to->num(to->ctx, "rx_kernel", c.rx_kernel);
	to->num(to->ctx, "tx_free", c.tx_free);
	to->num(to->ctx, "tx_ring", c.tx_ring);
	to->num(to->ctx, "tx_completion", c.tx_done);
	to->num(to->ctx, "tx_kernel", c.tx_kernel);
	to->num(to->ctx, "bad_entries", c.bad);
	to->num(to->ctx, "kernel_rx_dropped", kernel.rx_dropped);
	to->num(to->ctx, "kernel_rx_ring_full", kernel.rx_ring_full);
	to->num(to->ctx, "kernel_rx_fill_empty", kernel.rx_fill_ring_empty_descs);
	to->num(to->ctx, "kernel_rx_invalid", kernel.rx_invalid_descs);
	to->num(to->ctx, "kernel_tx_invalid", kernel.tx_invalid_descs);
	to->close(to->ctx);
}

static void describe_program(const struct af_xdp *ax, const struct describer *to)
{
	uint64_t counters[WEFT_XDP_N_COUNTERS];
	af_xdp_program_counters(&ax->program, counters);
	to->open(to->ctx, "program");
	to->num(to->ctx, "id", ax->program.id);
	to->str(to->ctx, "attached", ax->program.dispatcher ? "in libxdp's dispatcher" : "alone");
	for (unsigned i = 0; i < WEFT_XDP_N_COUNTERS; i++)
		to->num(to->ctx, af_xdp_counter_name(i), counters[i]);
	to->close(to->ctx);
}

static void af_xdp_describe(struct port *port, const struct describer *to)
{
	struct af_xdp *ax = af_xdp(port);
	pthread_mutex_lock(&ax->lock);
	to->str(to->ctx, "device", port->config.device);
	to->str(to->ctx, "share", port->config.share_host ? "host" : "exclusive");
	to->str(to->ctx, "mode", ax->ready ? modes[ax->mode].name : "none");
	for (unsigned m = 0; m < (ax->ready ? ax->mode : MODE_NONE); m++)
		if (ax->why_not[m][0]) {
			char key[32];
			snprintf(key, sizeof(key), "why_not_%s",
				m == MODE_ZEROCOPY ? "zerocopy"
				: m == MODE_COPY   ? "copy"
						   : "generic");
			to->str(to->ctx, key, ax->why_not[m]);
		}
	if (ax->ready) {
		const struct xdp_queue *first = ax->queue[0];
		to->str(to->ctx, "driver", ax->dev.driver);
		to->num(to->ctx, "device_mtu", ax->dev.mtu);
		to->num(to->ctx, "queues", ax->dev.n_rx);
		to->num(to->ctx, "buffer_size", first->chunk_size);
		to->flag(to->ctx, "huge_pages", first->xsk.huge);
		to->flag(to->ctx, "busy_poll", first->xsk.busy_poll);
		to->flag(to->ctx, "multi_buffer", ax->frags);
		to->flag(to->ctx, "tx_checksum_offload", ax->tx_csum);
		describe_program(ax, to);
		to->open_list(to->ctx, "rings");
		for (unsigned q = 0; q < PORT_QUEUES_MAX; q++)
			if (ax->queue[q])
				describe_queue(ax->queue[q], to);
		to->close(to->ctx);
	}
	pthread_mutex_unlock(&ax->lock);
}

static void af_xdp_tick(struct port *port)
{
	struct af_xdp *ax = af_xdp(port);
	struct port_stats sum;
	uint64_t bad = 0;
	uint32_t longest = 0;
	port_stats_sum(port, &sum);
	pthread_mutex_lock(&ax->lock);
	for (unsigned q = 0; q < PORT_QUEUES_MAX; q++)
		if (ax->queue[q]) {
			bad += ax->queue[q]->rx.bad + ax->queue[q]->tx.bad;
			if (port_load(&ax->queue[q]->tx.longest) > longest)
				longest = port_load(&ax->queue[q]->tx.longest);
		}
	if (longest > ax->reported_long) {
		news_log(&ax->news, LOG_WARNING,
			"%s: frames of up to %u bytes do not fit its MTU of %u and are dropped "
			"(too_long): set the MTU of the device to at least %u, or that of the "
			"senders to %u",
			port->config.device, longest, ax->dev.mtu, longest - ETH_HDR_LEN,
			ax->dev.mtu);
		ax->reported_long = longest;
	}
	if (bad > ax->reported_bad) {
		news_log(&ax->news, LOG_ERR,
			"%s: %llu ring entries named buffers that the kernel does not have; "
			"refused",
			port->config.device, (unsigned long long)(bad - ax->reported_bad));
		ax->reported_bad = bad;
	}
	news_unlock_and_tell(&ax->news, &ax->port, &ax->lock);
}

static void af_xdp_steer(struct port *port, const uint8_t *mac, uint16_t vid, bool add)
{
	struct af_xdp *ax = af_xdp(port);
	struct weft_steer_key key = {.vid = vid};
	memcpy(key.mac, mac, sizeof(key.mac));
	pthread_mutex_lock(&ax->lock);
	int rc = port->config.share_host ? af_xdp_program_steer(&ax->program, &key, add) : 0;
	if (rc == -E2BIG || rc == -ENOMEM)
		news_log(&ax->news, LOG_WARNING, "%s: no room to steer one more address",
			port->config.device);
	news_unlock_and_tell(&ax->news, &ax->port, &ax->lock);
}

// --- operations: workers ---

static inline struct xdp_queue *queue_get(const struct af_xdp *ax, unsigned q)
{
	// Pairs with the release in publish().
	return __atomic_load_n(&ax->queue[q], __ATOMIC_ACQUIRE);
}

static uint32_t af_xdp_rx(struct port *port, unsigned q, struct burst *b, struct port_stats *st)
{
	struct af_xdp *ax = af_xdp(port);
	struct xdp_queue *xq = queue_get(ax, q);
	ax->lent[q] = xq;
	if (xq)
		return xdp_queue_rx(xq, b, st);
	b->n = b->flags = b->bytes = 0;
	return 0;
}

static void af_xdp_rx_done(struct port *port, unsigned q, struct burst *b)
{
	struct af_xdp *ax = af_xdp(port);
	if (ax->lent[q])
		xdp_queue_rx_done(ax->lent[q]);
	ax->lent[q] = NULL;
}

static uint32_t af_xdp_tx(struct port *port, unsigned q, const struct frame *f, const uint8_t *list,
	uint32_t n, struct port_stats *st)
{
	struct xdp_queue *xq = queue_get(af_xdp(port), q);
	if (xq)
		return xdp_queue_tx(xq, port_load(&port->mtu) + ETH_HDR_LEN, f, list, n, st);
	st->drop[DROP_port_down] += n;
	return n;
}

static void af_xdp_notify(struct port *port, unsigned q, unsigned dirs, struct port_stats *st)
{
	struct xdp_queue *xq = queue_get(af_xdp(port), q);
	if (xq && dirs & PORT_RX)
		xdp_queue_wake_rx(xq, st);
	if (xq && dirs & PORT_TX)
		xdp_queue_wake_tx(xq, st);
}

static bool af_xdp_arm(struct port *port, unsigned q)
{
	struct xdp_queue *xq = queue_get(af_xdp(port), q);
	return xq && xdp_queue_arm(xq);
}

static void af_xdp_disarm(struct port *port, unsigned q)
{
}

const struct port_ops af_xdp_ops = {
	.type = "af-xdp",
	.open = af_xdp_open,
	.close = af_xdp_close,
	.set = af_xdp_set,
	.describe = af_xdp_describe,
	.tick = af_xdp_tick,
	.steer = af_xdp_steer,
	.rx = af_xdp_rx,
	.rx_done = af_xdp_rx_done,
	.tx = af_xdp_tx,
	.notify = af_xdp_notify,
	.arm = af_xdp_arm,
	.disarm = af_xdp_disarm,
};

static int af_xdp_open(const struct port_config *config, const struct port_upcalls *upcalls,
	struct port **out, struct error *err)
{
	struct error why = {0};
	struct netdev dev;
	struct af_xdp *ax = NULL;
	int rc = af_xdp_check_config(config, err);
	if (rc)
		return rc;
	if (posix_memalign((void **)&ax, 64, sizeof(*ax)))
		return error_set(err, -ENOMEM, "", "out of memory");
	memset(ax, 0, sizeof(*ax));
	rc = port_init(&ax->port, &af_xdp_ops, config, upcalls);
	if (rc) {
		free(ax);
		return error_set(err, rc, "", "out of memory");
	}
	pthread_mutex_init(&ax->lock, NULL);
	rc = netdev_get(config->device, &dev, &why);
	if (!rc && config->mtu && config->mtu != dev.mtu)
		rc = netdev_set_mtu(config->device, config->mtu, &why);
	if (!rc)
		rc = set_up(ax, &why);
	if (!rc) {
		ax->port.n_rxq =
			ax->dev.max_queues < PORT_QUEUES_MAX ? ax->dev.max_queues : PORT_QUEUES_MAX;
		rc = netdev_watch_start(&ax->watch, device_changed, ax, &why);
	}
	if (rc) {
		error_set(err, rc, why.key, "%.15s: %.480s", config->device, why.text);
		af_xdp_close(&ax->port);
		return rc;
	}
	*out = &ax->port;
	return 0;
}
