// SPDX-License-Identifier: BSD-2-Clause
// Reads and watches network interfaces: rtnetlink through libnl, queues through ethtool.
#include "dataplane/port/netdev.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int ethtool(const char *name, void *command)
{
	struct ifreq ifr = {.ifr_data = command};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	int rc = ioctl(fd, SIOCETHTOOL, &ifr) ? -errno : 0;
	close(fd);
	return rc;
}

static void read_queues(const char *name, struct netdev *dev, struct rtnl_link *link)
{
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};
	if (!ethtool(name, &ch)) {
		dev->n_rx = ch.combined_count + ch.rx_count;
		dev->n_tx = ch.combined_count + ch.tx_count;
		dev->max_queues = ch.max_combined + ch.max_rx;
		dev->separate = !ch.max_combined;
	} else { // drivers without channels have fixed queues
		dev->n_rx = rtnl_link_get_num_rx_queues(link);
		dev->n_tx = rtnl_link_get_num_tx_queues(link);
	}
	if (!dev->n_rx)
		dev->n_rx = 1;
	if (!dev->n_tx)
		dev->n_tx = 1;
	if (dev->max_queues < dev->n_rx)
		dev->max_queues = dev->n_rx;
}

static void read_driver(const char *name, struct netdev *dev)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	if (!ethtool(name, &info))
		snprintf(dev->driver, sizeof(dev->driver), "%.31s", info.driver);
}

static int netlink_error(int nl, const char *name, struct error *err)
{
	if (nl == -NLE_NODEV || nl == -NLE_OBJ_NOTFOUND)
		return error_set(err, -ENODEV, "device",
			"there is no device %s: see ip link; a device in another network namespace "
			"is "
			"out of weft's reach",
			name);
	return error_set(err, nl == -NLE_PERM ? -EPERM : -EIO, "device",
		"cannot read the state of device %s: %s", name, nl_geterror(nl));
}

// A connected rtnetlink socket, or NULL with *err.
static struct nl_sock *route_socket(struct error *err)
{
	struct nl_sock *sock = nl_socket_alloc();
	int nl = sock ? nl_connect(sock, NETLINK_ROUTE) : -NLE_NOMEM;
	if (nl == 0)
		return sock;
	nl_socket_free(sock);
	error_set(err, -EIO, "device", "cannot open an rtnetlink socket: %s", nl_geterror(nl));
	return NULL;
}

int netdev_get(const char *name, struct netdev *out, struct error *err)
{
	struct rtnl_link *link = NULL;
	struct nl_sock *sock = route_socket(err);
	if (!sock)
		return -EIO;
	int nl = rtnl_link_get_kernel(sock, 0, name, &link);
	nl_socket_free(sock);
	if (nl < 0)
		return netlink_error(nl, name, err);

	struct netdev dev = {
		.ifindex = rtnl_link_get_ifindex(link),
		.mtu = rtnl_link_get_mtu(link),
		.is_ethernet = rtnl_link_get_arptype(link) == ARPHRD_ETHER,
		.up = rtnl_link_get_flags(link) & IFF_UP,
	};
	dev.running = dev.up && rtnl_link_get_carrier(link);
	struct nl_addr *addr = rtnl_link_get_addr(link);
	if (addr && nl_addr_get_len(addr) == sizeof(dev.mac))
		memcpy(dev.mac, nl_addr_get_binary_addr(addr), sizeof(dev.mac));
	read_queues(name, &dev, link);
	read_driver(name, &dev);
	rtnl_link_put(link);
	*out = dev;
	return 0;
}

static int change_errno(int nl)
{
	if (nl == -NLE_PERM)
		return -EPERM;
	return nl == -NLE_BUSY || nl == -NLE_AGAIN || nl == -NLE_NOMEM ? -EAGAIN : -EINVAL;
}

static int link_change(const char *name, uint32_t mtu, bool up, struct error *err)
{
	struct rtnl_link *link = NULL, *change = rtnl_link_alloc();
	struct nl_sock *sock = route_socket(err);
	int rc = -EIO;
	if (!sock || !change)
		goto out;
	int nl = rtnl_link_get_kernel(sock, 0, name, &link);
	if (nl < 0) {
		rc = netlink_error(nl, name, err);
		goto out;
	}
	if (mtu)
		rtnl_link_set_mtu(change, mtu);
	if (up)
		rtnl_link_set_flags(change, IFF_UP);
	nl = rtnl_link_change(sock, link, change, 0);
	rc = nl < 0 ? error_set(err, change_errno(nl), mtu ? "mtu" : "device",
			      "device %s: %s refused: %s%s", name, mtu ? "this MTU is" : "up is",
			      nl_geterror(nl), nl == -NLE_PERM ? "; weftd needs CAP_NET_ADMIN" : "")
		    : 0;
out:
	rtnl_link_put(link);
	rtnl_link_put(change);
	nl_socket_free(sock);
	return rc;
}

int netdev_set_mtu(const char *name, uint32_t mtu, struct error *err)
{
	return link_change(name, mtu, false, err);
}

int netdev_set_up(const char *name, struct error *err)
{
	return link_change(name, 0, true, err);
}

bool netdev_has_rx_vlan_offload(const char *name)
{
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	return !ethtool(name, &flags) && flags.data & ETH_FLAG_RXVLAN;
}

bool netdev_set_rx_vlan_offload(const char *name, bool on)
{
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	if (ethtool(name, &flags) || !!(flags.data & ETH_FLAG_RXVLAN) == on)
		return false;
	flags.cmd = ETHTOOL_SFLAGS;
	flags.data ^= ETH_FLAG_RXVLAN;
	return !ethtool(name, &flags) && netdev_has_rx_vlan_offload(name) == on;
}

int netdev_promiscuous(int ifindex, struct error *err)
{
	struct packet_mreq wish = {.mr_ifindex = ifindex, .mr_type = PACKET_MR_PROMISC};
	// Protocol 0: this socket receives nothing, it only holds the membership.
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set(err, -errno, "device",
			"cannot open a packet socket (%s): weftd needs CAP_NET_RAW",
			strerror(errno));
	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &wish, sizeof(wish))) {
		int rc = -errno;
		close(fd);
		return error_set(err, rc, "device",
			"the device does not become promiscuous (%s): it must receive the "
			"addresses of "
			"the VMs",
			strerror(-rc));
	}
	return fd;
}

static void *watch_main(void *arg)
{
	struct netdev_watch *w = arg;
	struct pollfd fds[2] = {
		{.fd = nl_socket_get_fd(w->sock), .events = POLLIN},
		{.fd = w->stop_fd, .events = POLLIN},
	};
	char drain[16384];
	for (;;) {
		poll(fds, 2, NETDEV_WATCH_MS);
		if (fds[1].revents)
			return NULL;
		// The messages only say that it is time to look; an overrun says so too.
		while (recv(fds[0].fd, drain, sizeof(drain), MSG_DONTWAIT) > 0 || errno == ENOBUFS)
			errno = 0;
		w->changed(w->ctx);
	}
}

int netdev_watch_start(
	struct netdev_watch *w, void (*changed)(void *ctx), void *ctx, struct error *err)
{
	*w = (struct netdev_watch){.changed = changed, .ctx = ctx, .stop_fd = -1};
	w->sock = route_socket(err);
	if (!w->sock)
		return -EIO;
	nl_socket_disable_seq_check(w->sock);
	int nl = nl_socket_add_membership(w->sock, RTNLGRP_LINK);
	w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int rc = nl < 0 || w->stop_fd < 0 ? -EIO : 0;
	if (!rc) {
		// Signals are for the control thread.
		sigset_t all, before;
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		rc = -pthread_create(&w->thread, NULL, watch_main, w);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (rc) {
		netdev_watch_stop(w);
		return error_set(err, rc, "device", "cannot watch network interfaces");
	}
	pthread_setname_np(w->thread, "weft-netdev");
	w->running = true;
	return 0;
}

void netdev_watch_stop(struct netdev_watch *w)
{
	if (w->running) {
		eventfd_write(w->stop_fd, 1);
		pthread_join(w->thread, NULL);
	}
	if (w->sock) {
		if (w->stop_fd >= 0)
			close(w->stop_fd);
		nl_socket_free(w->sock);
	}
	memset(w, 0, sizeof(*w));
}
