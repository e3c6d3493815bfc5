// SPDX-License-Identifier: BSD-2-Clause
// Makes network namespaces, veth pairs and packet sockets for unit tests.
#include "tests/lib/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_S 20

bool netns_enter(int *status)
{
	const char *all = getenv("WEFT_REQUIRE_ALL");
	*status = all && !strcmp(all, "1") ? 1 : 77;
	if (unshare(CLONE_NEWNET)) {
		printf("SKIP: a network namespace of its own (%s): run as root\n", strerror(errno));
		return false;
	}
	if (netns_try("ip link set lo up")) {
		printf("SKIP: the command ip\n");
		return false;
	}
	netns_run("sysctl -eqw net.ipv6.conf.default.disable_ipv6=1");
	return true;
}

static int run(const char *fmt, va_list ap)
{
	char command[512];
	vsnprintf(command, sizeof(command), fmt, ap);
	return system(command);
}

void netns_run(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int rc = run(fmt, ap);
	va_end(ap);
	if (rc) {
		fprintf(stderr, "command failed: %s\n", fmt);
		abort();
	}
}

int netns_try(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int rc = run(fmt, ap);
	va_end(ap);
	return rc;
}

void netns_veth(const char *a, uint8_t mac_a, const char *b, uint8_t mac_b, const char *options)
{
	netns_run("ip link add %s address 02:00:00:00:00:%02x %s type veth peer name %s address "
		  "02:00:00:00:00:%02x %s",
		a, mac_a, options, b, mac_b, options);
	netns_run("ip link set %s up && ip link set %s up", a, b);
}

int netns_packet(const char *dev)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(dev),
	};
	int one = 1, size = 64 << 20;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		perror("packet socket");
		abort();
	}
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return fd;
}

bool netns_wait(bool (*done)(void *ctx), void *ctx)
{
	struct timespec nap = {.tv_nsec = 1000000};
	time_t end = time(NULL) + DEADLINE_S;
	while (!done(ctx)) {
		if (time(NULL) > end)
			return false;
		nanosleep(&nap, NULL);
	}
	return true;
}
