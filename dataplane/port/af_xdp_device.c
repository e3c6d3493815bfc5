// SPDX-License-Identifier: BSD-2-Clause
// Sets an af-xdp port up on its device in the best mode there is, and follows the device's fate.
#include "dataplane/port/af_xdp_device.h"

#include "dataplane/frame/eth.h"
#include "dataplane/port/cycles.h"
#include "dataplane/port/netdev_wish.h"
#include "dataplane/port/rcu.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

// L3 bytes that fit one chunk: larger MTUs need frames of several.
#define MTU_ONE_CHUNK (XDP_CHUNK_LARGE - XDP_RX_HEADROOM - ETH_HDR_LEN - 2 * ETH_TAG_LEN)
// Between attempts to set a device up, and between looks at what changes without a message: a little less than
// four rounds of the watch. By the clock, as there is a round for each message of any interface, and an attempt
// resets many a card.
#define LOOK_NS 900000000ull

// Best first.
static const struct af_xdp_mode {
	const char *name, *key;
	bool native, zerocopy;
} modes[] = {
	[AF_XDP_ZEROCOPY] = {"native, zero-copy", "zerocopy", true, true},
	[AF_XDP_COPY] = {"native, copy", "copy", true, false},
	[AF_XDP_GENERIC] = {"generic", "generic", false, false},
};

const char *af_xdp_mode_name(unsigned mode)
{
	return modes[mode].name;
}

const char *af_xdp_mode_key(unsigned mode)
{
	return modes[mode].key;
}

static void free_queues(struct xdp_queue **queues)
{
	for (unsigned q = 0; q < PORT_QUEUES_MAX; q++) {
		xdp_queue_free(queues[q]);
		queues[q] = NULL;
	}
}

static int open_queues(const struct netdev *dev, struct xsk_config *c, struct xdp_queue **queues,
	struct error *err)
{
	int rc = 0;
	for (c->queue = 0; c->queue < dev->n_rx && !rc; c->queue++)
		rc = xdp_queue_new(c, dev->mtu, &queues[c->queue], err);
	if (rc)
		free_queues(queues);
	return rc;
}

// Opens all sockets and attaches the program in one mode. On failure nothing is left.
static int try_mode(struct af_xdp *ax, const struct netdev *dev, const struct af_xdp_mode *mode,
	struct xdp_queue **queues, struct error *err)
{
	bool jumbo = dev->mtu > MTU_ONE_CHUNK;
	struct xsk_config c = {
		.ifindex = dev->ifindex,
		.zerocopy = mode->zerocopy,
		// Generic XDP runs behind GRO: frames are as long as that makes them.
		.frags = jumbo || !mode->native,
		// In copy mode the kernel completes what the device cannot; a zero-copy driver is
		// on its own, and none can be asked by this interface alone.
		.tx_csum = !mode->zerocopy,
		.rx_ring = ax->port.config.rx_ring,
		.busy_poll = ax->port.config.busy_poll,
	};
	int rc = open_queues(dev, &c, queues, err);
	if (rc && c.frags && !jumbo && (rc == -EINVAL || rc == -EOPNOTSUPP)) {
		c.frags = false; // Linux before 6.6
		rc = open_queues(dev, &c, queues, err);
	}
	if (!rc)
		rc = af_xdp_program_attach(
			&ax->program, dev->ifindex, mode->native, ax->port.config.share_host, err);
	if (!rc && jumbo && !ax->program.frags) {
		rc = error_set(err, -EOPNOTSUPP, "mtu",
			"the driver gives XDP no frames of several buffers: with this mode the MTU "
			"may be at most %u, not %u",
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

// A native program of a bond runs on its members, and the kernel drops what they redirect to sockets of the bond
// (xsk_rcv_check: the device is another). All calls succeed, and nothing ever arrives.
static int check_mode(const struct netdev *dev, const struct af_xdp_mode *mode, struct error *err)
{
	if (!mode->native || strcmp(dev->driver, "bonding"))
		return 0;
	return error_set(err, -EOPNOTSUPP, "mode",
		"it is a bond, and the kernel drops what its members' native XDP redirects to "
		"it: only the generic mode receives");
}

// The best mode that works, or the one that is configured.
static int try_modes(
	struct af_xdp *ax, const struct netdev *dev, struct xdp_queue **queues, struct error *err)
{
	static const unsigned forced[] = {
		[XDP_MODE_AUTO] = AF_XDP_N_MODES,
		[XDP_MODE_ZEROCOPY] = AF_XDP_ZEROCOPY,
		[XDP_MODE_COPY] = AF_XDP_COPY,
		[XDP_MODE_GENERIC] = AF_XDP_GENERIC,
	};
	unsigned only = forced[ax->port.config.xdp_mode];
	int rc = -EINVAL;
	memset(ax->why_not, 0, sizeof(ax->why_not));
	for (unsigned m = 0; m < AF_XDP_N_MODES; m++) {
		if (only != AF_XDP_N_MODES && only != m) {
			snprintf(ax->why_not[m], sizeof(ax->why_not[m]),
				"not tried: mode is configured");
			continue;
		}
		rc = check_mode(dev, &modes[m], err);
		if (!rc)
			rc = try_mode(ax, dev, &modes[m], queues, err);
		if (!rc) {
			ax->mode = m;
			return 0;
		}
		snprintf(ax->why_not[m], sizeof(ax->why_not[m]), "%.255s", err->text);
		// These are the same in every mode.
		if (rc == -EPERM || rc == -EBUSY || rc == -ENODEV || rc == -ENOBUFS)
			return rc;
	}
	return rc;
}

static int check_device(struct af_xdp *ax, const struct netdev *dev, struct error *err)
{
	uint32_t want = ax->port.config.queues, max = af_xdp_queues_max(ax);
	const char *kind = dev->separate ? "rx" : "combined";
	if (!dev->is_ethernet)
		return error_set(err, -EINVAL, "device",
			"it is no Ethernet interface (ip -d link shows its kind), and weft "
			"switches "
			"Ethernet frames: a NIC, a veth, a bridge or a tap is one");
	if (dev->n_rx > max)
		return error_set(err, -E2BIG, "queues",
			"it receives on %u queues, this port serves at most %u: ethtool -L %s "
			"%s %u; or, if the device was exchanged for another, add the port "
			"anew",
			dev->n_rx, max, ax->port.config.device, kind, max);
	if (want && dev->n_rx != want)
		return error_set(err, -EINVAL, "queues",
			"it receives on %u queues, and queues: says %u; what came in on the "
			"others would not be seen: ethtool -L %s %s %u, or leave queues: out "
			"to use all",
			dev->n_rx, want, ax->port.config.device, kind, want);
	return 0;
}

// Those that have a socket and, on the device's side, a queue to leave by.
static void use_tx_queues(struct af_xdp *ax, const struct netdev *dev)
{
	__atomic_store_n(
		&ax->port.n_txq, dev->n_tx < dev->n_rx ? dev->n_tx : dev->n_rx, __ATOMIC_RELAXED);
}

static void own_address(struct af_xdp *ax, const struct netdev *dev)
{
	memcpy(ax->dev.mac, dev->mac, sizeof(ax->dev.mac));
	if (ax->port.config.share_host)
		af_xdp_steer_own(&ax->steer, dev->mac);
}

// Makes sockets and program usable by workers.
static int publish(struct af_xdp *ax, const struct netdev *dev, struct xdp_queue **queues,
	struct host_copy *copy, struct error *err)
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
	if (copy) {
		// Likewise.
		__atomic_store_n(&ax->copy, copy, __ATOMIC_RELEASE);
		port_watch(&ax->port, af_xdp_queues_max(ax), host_copy_fd(copy));
	}
	uint32_t live = (1u << dev->n_rx) - 1;
	if (copy)
		live |= 1u << af_xdp_queues_max(ax);
	__atomic_store_n(&ax->port.rxq_live, live, __ATOMIC_RELAXED);
	use_tx_queues(ax, dev);
	__atomic_store_n(&ax->port.mtu, dev->mtu, __ATOMIC_RELAXED);
	__atomic_store_n(&ax->port.offloads, ax->tx_csum ? PORT_OFFLOAD_CSUM : 0, __ATOMIC_RELAXED);
	return 0;
}

// XDP sees no tag that the card has stripped: a frame of a VLAN would be taken for one without.
static void keep_tags(struct af_xdp *ax)
{
	const char *name = ax->port.config.device;
	if (!netdev_has_rx_vlan_offload(name))
		return;
	if (netdev_set_rx_vlan_offload(name, false)) {
		if (ax->ready)
			news_log(&ax->news, LOG_NOTICE,
				"%s: somebody switched rx-vlan-offload on; off again, or frames "
				"would lose their VLAN tags",
				name);
		ax->program.note.vlan_offload_off = true;
	} else if (!ax->told_tags) {
		news_log(&ax->news, LOG_WARNING,
			"%s: its rx-vlan-offload cannot be switched off (ethtool -k): frames of "
			"all VLANs arrive without their tags, as if they had none; use it in no "
			"VLAN, or another card",
			name);
		ax->told_tags = true;
	}
}

// All that is needed but the state of the device itself. On failure nothing is left.
static int open_all(struct af_xdp *ax, const struct netdev *dev, struct error *err)
{
	struct xdp_queue *queues[PORT_QUEUES_MAX] = {0};
	struct host_copy *copy = NULL;
	int rc = 0;
	if (ax->port.config.share_host)
		rc = host_copy_new(dev->ifindex, dev->mtu, &copy, err);
	if (!rc)
		rc = try_modes(ax, dev, queues, err);
	if (rc) {
		host_copy_free(copy);
		return rc;
	}
	// Not before the program is there, which says that it was on.
	keep_tags(ax);
	rc = publish(ax, dev, queues, copy, err);
	if (rc) {
		af_xdp_program_detach(&ax->program, false);
		free_queues(queues);
		host_copy_free(copy);
	}
	return rc;
}

// The state of the device, with the MTU that is configured if this one is new to us and was not given it
// before: on one that we knew somebody may have chosen another since.
static int know_device(const struct af_xdp *ax, struct netdev *dev, struct error *err)
{
	const char *name = ax->port.config.device;
	uint32_t mtu = ax->port.config.mtu;
	int rc = netdev_get(name, dev, err);
	if (rc || !mtu || mtu == dev->mtu || dev->ifindex == ax->dev.ifindex)
		return rc;
	return netdev_wish_mtu(name, mtu, dev, err);
}

// Whatever the device is called now. One that is out of reach may come back, and still has it off then.
static void give_back_vlan_offload(struct af_xdp *ax, int ifindex)
{
	char name[IF_NAMESIZE];
	if (ax->program.note.vlan_offload_off && if_indextoname((unsigned)ifindex, name)) {
		netdev_set_rx_vlan_offload(name, true);
		ax->program.note.vlan_offload_off = false;
	}
}

int af_xdp_set_up(struct af_xdp *ax, struct error *err)
{
	const char *name = ax->port.config.device;
	struct netdev dev;
	int rc = know_device(ax, &dev, err);
	if (!rc)
		rc = check_device(ax, &dev, err);
	if (!rc && !dev.up && dev.ifindex != ax->up_ifindex)
		rc = netdev_wish_up(name, &dev, err);
	if (rc)
		return rc;
	ax->up_ifindex = dev.ifindex;
	ax->promisc_fd = netdev_promiscuous(dev.ifindex, err);
	if (ax->promisc_fd < 0)
		return ax->promisc_fd;
	// If it is off already, it may be from us, before the device was away. Or from a daemon that was
	// killed: its program tells.
	if (dev.ifindex != ax->dev.ifindex)
		ax->program.note.vlan_offload_off = false;
	ax->program.note.vlan_offload_off |= netdev_has_rx_vlan_offload(name);
	rc = open_all(ax, &dev, err);
	if (rc) {
		give_back_vlan_offload(ax, dev.ifindex);
		close(ax->promisc_fd);
		return rc;
	}
	ax->told_long = false;
	own_address(ax, &dev);
	ax->dev = dev;
	netdev_wish_met(dev.ifindex);
	ax->dev.running = false; // the watch tells when it is
	ax->ready = true;
	return 0;
}

void af_xdp_take_down(struct af_xdp *ax, bool gone)
{
	struct xdp_queue *queues[PORT_QUEUES_MAX] = {0};
	if (!ax->ready)
		return;
	af_xdp_program_detach(&ax->program, gone);
	__atomic_store_n(&ax->port.rxq_live, 0, __ATOMIC_RELAXED);
	for (unsigned q = 0; q < PORT_QUEUES_MAX; q++) {
		queues[q] = ax->queue[q];
		__atomic_store_n(&ax->queue[q], NULL, __ATOMIC_RELEASE);
	}
	struct host_copy *copy = ax->copy;
	__atomic_store_n(&ax->copy, NULL, __ATOMIC_RELEASE);
	rcu_grace(); // no worker is in a queue, or has frames of it on loan, after this
	for (unsigned q = 0; q < PORT_QUEUES_MAX; q++)
		port_watch(&ax->port, q, -1); // not before: until then workers wait for it again
	free_queues(queues);
	if (copy)
		ax->copy_lost += host_copy_lost(copy);
	host_copy_free(copy);
	close(ax->promisc_fd);
	give_back_vlan_offload(ax, ax->dev.ifindex);
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

// Descriptors that the kernel has not taken. Nobody adds any while the link is down.
static uint32_t unsent(const struct af_xdp *ax)
{
	uint32_t n = 0;
	for (unsigned q = 0; q < PORT_QUEUES_MAX; q++)
		if (ax->queue[q]) {
			const struct xsk_ring *r = &ax->queue[q]->xsk.tx;
			n += __atomic_load_n(r->producer, __ATOMIC_RELAXED) -
			     __atomic_load_n(r->consumer, __ATOMIC_RELAXED);
		}
	return n;
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
	// From a device that is down the kernel takes nothing, and all of it once it is up, however old.
	uint32_t old = dev->up && !ax->dev.up ? unsent(ax) : 0;
	if (old) {
		news_log(&ax->news, LOG_NOTICE,
			"%s: %u frames from before it was set down are not sent", name, old);
		return false;
	}
	if (dev->n_tx != ax->dev.n_tx) {
		news_log(&ax->news, LOG_NOTICE, "%s: sends on %u queues now, %u before", name,
			dev->n_tx, ax->dev.n_tx);
		use_tx_queues(ax, dev);
		ax->dev.n_tx = dev->n_tx;
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
	own_address(ax, dev);
	return true;
}

static void try_again(struct af_xdp *ax)
{
	struct error err = {0};
	if (clock_ns(CLOCK_MONOTONIC) < ax->retry_at)
		return;
	if (!af_xdp_set_up(ax, &err)) {
		news_log(&ax->news, LOG_NOTICE, "%s: set up again, %s", ax->port.config.device,
			modes[ax->mode].name);
		ax->last_error[0] = 0;
		struct netdev dev;
		if (!netdev_get(ax->port.config.device, &dev, &err))
			follow_device(ax, &dev);
		return;
	}
	ax->retry_at = clock_ns(CLOCK_MONOTONIC) + LOOK_NS;
	if (strcmp(ax->last_error, err.text)) {
		memcpy(ax->last_error, err.text, sizeof(ax->last_error));
		news_log(&ax->news, LOG_WARNING, "%s: %s", ax->port.config.device, err.text);
		// Nobody has said so if it was an MTU or more queues that it does not work with.
		news_link(&ax->news, &ax->port, PORT_LINK_DOWN, "%s: %.230s",
			ax->port.config.device, err.text);
	}
}

// There may be no message when a program is taken off.
static bool program_is_ours(struct af_xdp *ax)
{
	if (af_xdp_program_is_attached(&ax->program))
		return true;
	news_link(&ax->news, &ax->port, PORT_LINK_DOWN,
		"the XDP program of weft was removed from %s by somebody", ax->port.config.device);
	return false;
}

void af_xdp_device_changed(void *ctx)
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
			af_xdp_take_down(ax, true);
		}
		ax->told_tags = false;
		ax->retry_at = 0; // at once when it comes back
		ax->last_error[0] = 0;
		netdev_wish_met(ax->up_ifindex); // it comes back as one that is new
		ax->up_ifindex = 0;
	} else if (!rc && !ax->ready) {
		try_again(ax);
	} else if (!rc) {
		// Sockets do not move to a device of the same name, and stay with one that was renamed.
		bool same = dev.ifindex == ax->dev.ifindex && sockets_are_bound(ax);
		if (!same) {
			ax->up_ifindex = 0;
			news_link(&ax->news, &ax->port, PORT_LINK_DOWN,
				"%s was removed and came back, or is another device now", name);
		}
		bool look = clock_ns(CLOCK_MONOTONIC) >= ax->look_at;
		if (look)
			ax->look_at = clock_ns(CLOCK_MONOTONIC) + LOOK_NS;
		if (look && same)
			keep_tags(ax);
		if (!same || (look && !program_is_ours(ax)) || !follow_device(ax, &dev)) {
			af_xdp_take_down(ax, !same);
			ax->retry_at = 0;
			try_again(ax);
		}
	}
	news_unlock_and_tell(&ax->news, &ax->port, &ax->lock);
}
