// SPDX-License-Identifier: BSD-2-Clause
// The port behind which a NIC is: an AF_XDP socket on each of its queues, and our XDP program.
#include "dataplane/port/af_xdp.h"

#include "dataplane/frame/eth.h"
#include "dataplane/port/af_xdp_census.h"
#include "dataplane/port/af_xdp_device.h"
#include "dataplane/port/cycles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

static struct af_xdp *af_xdp(struct port *port)
{
	return (struct af_xdp *)port;
}

// --- operations: control ---

static void af_xdp_close(struct port *port)
{
	struct af_xdp *ax = af_xdp(port);
	netdev_watch_stop(&ax->watch);
	af_xdp_take_down(ax, false);
	af_xdp_steer_fini(&ax->steer);
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

static int af_xdp_set(struct port *port, const struct port_config *config, struct error *err)
{
	struct af_xdp *ax = af_xdp(port);
	const struct port_config *now = &port->config;
	if (strcmp(config->device, now->device) || config->xdp_mode != now->xdp_mode ||
		config->share_host != now->share_host || config->queues != now->queues ||
		config->busy_poll != now->busy_poll || config->rx_ring != now->rx_ring)
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
	xdp_census_take(q, &c);
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
	to->flag(to->ctx, "conserved", c.conserved);
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
	to->str(to->ctx, "mode", ax->ready ? af_xdp_mode_name(ax->mode) : "none");
	for (unsigned m = 0; m < (ax->ready ? ax->mode : AF_XDP_N_MODES); m++)
		if (ax->why_not[m][0]) {
			char key[32];
			snprintf(key, sizeof(key), "why_not_%s", af_xdp_mode_key(m));
			to->str(to->ctx, key, ax->why_not[m]);
		}
	if (ax->ready) {
		const struct xdp_queue *first = ax->queue[0];
		to->str(to->ctx, "driver", ax->dev.driver);
		to->num(to->ctx, "device_mtu", ax->dev.mtu);
		to->num(to->ctx, "queues", ax->dev.n_rx);
		to->num(to->ctx, "rx_ring_size", first->n_rx);
		to->num(to->ctx, "buffer_size", first->chunk_size);
		to->flag(to->ctx, "huge_pages", first->xsk.huge);
		to->flag(to->ctx, "busy_poll", first->xsk.busy_poll);
		to->flag(to->ctx, "multi_buffer", ax->frags);
		to->flag(to->ctx, "tx_checksum_offload", ax->tx_csum);
		if (ax->copy) {
			ax->copy_lost += host_copy_lost(ax->copy);
			to->num(to->ctx, "multicast_copies_lost", ax->copy_lost);
			to->num(to->ctx, "addresses_not_steered", ax->steer.n_waiting);
		}
		describe_program(ax, to);
		to->open_list(to->ctx, "rings");
		for (unsigned q = 0; q < PORT_QUEUES_MAX; q++)
			if (ax->queue[q])
				describe_queue(ax->queue[q], to);
		to->close(to->ctx);
	}
	pthread_mutex_unlock(&ax->lock);
}

// What the kernel dropped before weft saw it. Told when it begins, and again each time it doubled.
static void tell_kernel_drops(struct af_xdp *ax)
{
	struct xdp_statistics st;
	uint64_t drops = 0;
	for (unsigned q = 0; q < PORT_QUEUES_MAX; q++)
		if (ax->queue[q] && !xsk_statistics(&ax->queue[q]->xsk, &st))
			drops += st.rx_dropped + st.rx_ring_full;
	if (drops < ax->reported_drops)
		ax->reported_drops = 0; // new sockets count from 0
	if (drops <= 2 * ax->reported_drops)
		return;
	news_log(&ax->news, LOG_WARNING,
		"%s: the kernel dropped %llu received frames because weft was slower than the "
		"device: more queues (ethtool -L) and workers, or fewer frames; if only for "
		"moments, a larger rx-ring",
		ax->port.config.device, (unsigned long long)drops);
	ax->reported_drops = drops;
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
	// Dropped here, or before it came here by the switch, which knows the MTU too. Once each time
	// that the device was set up.
	if (sum.drop[DROP_too_long] > ax->known_long && !ax->told_long) {
		char up_to[32] = "";
		if (longest)
			snprintf(up_to, sizeof(up_to), " of up to %u bytes", longest);
		news_log(&ax->news, LOG_WARNING,
			"%s: frames%s do not fit its MTU of %u and are dropped (too_long): set the "
			"MTU "
			"of the device to that of the senders (ip link set dev %s mtu ...), or "
			"that of "
			"the senders to %u",
			port->config.device, up_to, ax->dev.mtu, port->config.device, ax->dev.mtu);
		ax->told_long = true;
	}
	ax->known_long = sum.drop[DROP_too_long];
	if (bad > ax->reported_bad) {
		news_log(&ax->news, LOG_ERR,
			"%s: %llu ring entries named buffers that the kernel does not have; "
			"refused",
			port->config.device, (unsigned long long)(bad - ax->reported_bad));
		ax->reported_bad = bad;
	}
	tell_kernel_drops(ax);
	af_xdp_steer_tick(&ax->steer);
	news_unlock_and_tell(&ax->news, &ax->port, &ax->lock);
}

static void af_xdp_steer(struct port *port, const uint8_t *mac, uint16_t vid, bool add)
{
	struct af_xdp *ax = af_xdp(port);
	struct weft_steer_key key = {.vid = vid};
	memcpy(key.mac, mac, sizeof(key.mac));
	pthread_mutex_lock(&ax->lock);
	if (port->config.share_host)
		af_xdp_steer_set(&ax->steer, &key, add);
	news_unlock_and_tell(&ax->news, &ax->port, &ax->lock);
}

static void af_xdp_steer_check(
	struct port *port, bool (*counts)(void *ctx, const uint8_t *mac, uint16_t vid), void *ctx)
{
	struct af_xdp *ax = af_xdp(port);
	pthread_mutex_lock(&ax->lock);
	af_xdp_steer_review(&ax->steer, counts, ctx);
	news_unlock_and_tell(&ax->news, &ax->port, &ax->lock);
}

// --- operations: workers ---

static inline struct xdp_queue *queue_get(const struct af_xdp *ax, unsigned q)
{
	// Pairs with the release in publish().
	return __atomic_load_n(&ax->queue[q], __ATOMIC_ACQUIRE);
}

// The copy of broadcasts if that is what receive queue `q` is for.
static inline struct host_copy *copy_get(const struct af_xdp *ax, unsigned q)
{
	return q == af_xdp_queues_max(ax) ? __atomic_load_n(&ax->copy, __ATOMIC_ACQUIRE) : NULL;
}

// Who waits for a socket is told of each frame that it has sent, which costs as much as 6 % of the
// whole sending: a worker that stays awake leaves the set of those who wait, and comes back before
// it sleeps. The worker of the receive queue does both, so it cannot miss what it sleeps for.
static void stay_awake(struct port *port, unsigned q, struct xdp_queue *xq)
{
	xq->rx.awake++;
	if (xq->rx.awake == XDP_QUEUE_AWAKE)
		port_watch(port, q, -1);
}

static void wait_again(struct port *port, unsigned q, struct xdp_queue *xq)
{
	if (xq->rx.awake == XDP_QUEUE_AWAKE)
		port_watch(port, q, xq->xsk.fd);
	xq->rx.awake = 0;
}

// Whether it is better to let frames gather first.
static inline bool is_paused(const struct xdp_queue *xq)
{
	const struct xdp_pause *pause = &xq->rx.pause;
	return xdp_pause_is_likely(pause) && xdp_pause_is_on(pause, cycles());
}

// Receives, unless frames are to gather first.
static inline uint32_t look(struct port *port, struct xdp_queue *xq, struct burst *b, uint32_t max,
	struct port_stats *st)
{
	struct xdp_pause *pause = &xq->rx.pause;
	if (is_paused(xq)) {
		b->n = b->flags = b->bytes = 0;
		return 0;
	}
	uint32_t n = xdp_queue_rx(xq, b, max, st);
	// A driver that is driven by looks must be looked at.
	if (n && !xq->xsk.busy_poll)
		xdp_pause_found(pause, cycles(), n, xdp_pause_ticks(port->cycles_hz),
			port_load(xq->xsk.tx.producer));
	return n;
}

static uint32_t af_xdp_rx(
	struct port *port, unsigned q, struct burst *b, uint32_t max, struct port_stats *st)
{
	struct af_xdp *ax = af_xdp(port);
	struct xdp_queue *xq = queue_get(ax, q);
	ax->lent[q] = xq;
	if (xq) {
		if (xq->rx.awake < XDP_QUEUE_AWAKE)
			stay_awake(port, q, xq);
		return look(port, xq, b, max, st);
	}
	struct host_copy *copy = copy_get(ax, q);
	if (q + 1 == port->n_rxq)
		ax->lent_copy = copy;
	if (copy)
		return host_copy_rx(copy, b, max, st);
	burst_begin(b);
	return 0;
}

// While the kernel has buffers left for what comes, nothing is lost by waiting. If there is nothing, rx is
// to look: it may have to wake the kernel.
static uint32_t af_xdp_rx_backlog(
	struct port *port, unsigned q, uint32_t want, struct port_stats *st)
{
	struct xdp_queue *xq = queue_get(af_xdp(port), q);

	if (!xq)
		return PORT_BACKLOG_UNKNOWN;
	if (is_paused(xq))
		return 0;
	uint32_t n = xdp_queue_backlog(xq, st);
	if (!n || n > xq->n_rx / 4 * 3)
		return PORT_BACKLOG_UNKNOWN;
	return n < want ? n : want;
}

static void af_xdp_rx_done(struct port *port, unsigned q, struct burst *b)
{
	struct af_xdp *ax = af_xdp(port);
	if (ax->lent[q])
		xdp_queue_rx_done(ax->lent[q]);
	else if (q + 1 == port->n_rxq && ax->lent_copy)
		host_copy_rx_done(ax->lent_copy);
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

static uint32_t af_xdp_tx_room(struct port *port, unsigned q, uint32_t want, struct port_stats *st)
{
	struct xdp_queue *xq = queue_get(af_xdp(port), q);

	return xq ? xdp_queue_room(xq, want, st) : want;
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
	struct host_copy *copy = copy_get(af_xdp(port), q);
	if (xq)
		wait_again(port, q, xq);
	return (xq && xdp_queue_arm(xq)) || (copy && host_copy_has_work(copy));
}

static void af_xdp_disarm(struct port *port, unsigned q)
{
}

// --- operations: opening ---

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
	af_xdp_steer_init(&ax->steer, &ax->program, ax->port.config.device, &ax->news);
	rc = netdev_get(config->device, &dev, &why);
	if (!rc) {
		uint32_t max = PORT_QUEUES_MAX - config->share_host;
		ax->port.n_rxq = (dev.max_queues < max ? dev.max_queues : max) + config->share_host;
		rc = af_xdp_set_up(ax, &why);
	}
	if (!rc)
		rc = netdev_watch_start(&ax->watch, af_xdp_device_changed, ax, &why);
	if (rc) {
		error_set(err, rc, why.key, "%.15s: %.480s", config->device, why.text);
		af_xdp_close(&ax->port);
		return rc;
	}
	*out = &ax->port;
	return 0;
}

const struct port_ops af_xdp_ops = {
	.type = "af-xdp",
	.open = af_xdp_open,
	.close = af_xdp_close,
	.set = af_xdp_set,
	.describe = af_xdp_describe,
	.tick = af_xdp_tick,
	.steer = af_xdp_steer,
	.steer_check = af_xdp_steer_check,
	.rx = af_xdp_rx,
	.rx_spills = true,
	.rx_backlog = af_xdp_rx_backlog,
	.rx_done = af_xdp_rx_done,
	.tx = af_xdp_tx,
	.tx_room = af_xdp_tx_room,
	.notify = af_xdp_notify,
	.arm = af_xdp_arm,
	.disarm = af_xdp_disarm,
};
