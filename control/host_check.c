// SPDX-License-Identifier: BSD-2-Clause
// What a good configuration will lack on this host.
#include "control/host_check.h"

#include "control/wakeup.h"

#include <cap-ng.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct check {
	void (*say)(void *ctx, const char *text);
	void *ctx;
	unsigned n;
	bool said_xdp, said_tap; // once, not for each port
};

__attribute__((format(printf, 2, 3))) static void tell(struct check *c, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->say(c->ctx, text);
	c->n++;
}

static bool may(unsigned capability)
{
	return capng_have_capability(CAPNG_EFFECTIVE, capability);
}

static void check_xdp(struct check *c)
{
	if (c->said_xdp)
		return;
	c->said_xdp = true;
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		close(fd);
	else if (errno == EAFNOSUPPORT)
		tell(c, "af-xdp ports: this kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS)");
	if (!may(CAP_NET_ADMIN) || !may(CAP_NET_RAW) || !may(CAP_BPF) || !may(CAP_PERFMON))
		tell(c, "af-xdp ports: they take CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and "
			"CAP_PERFMON, which this user lacks; the systemd unit gives them");
}

static void check_tap(struct check *c)
{
	if (c->said_tap)
		return;
	c->said_tap = true;
	if (access("/dev/net/tun", F_OK) < 0)
		tell(c, "tap ports: there is no /dev/net/tun: modprobe tun");
	if (!may(CAP_NET_ADMIN))
		tell(c, "tap ports: they take CAP_NET_ADMIN, which this user lacks; the systemd "
			"unit "
			"gives it");
}

static void check_socket(struct check *c, const struct port_config *p)
{
	char dir[sizeof(p->socket)];
	struct stat st;

	snprintf(dir, sizeof(dir), "%s", p->socket);
	char *slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return;
	*slash = 0;
	if (stat(dir, &st) < 0)
		tell(c, "port %s: %s: %s; the directory of its socket must be there", p->name, dir,
			strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		tell(c, "port %s: %s is no directory", p->name, dir);
	else if (!p->client && access(dir, W_OK) < 0)
		tell(c, "port %s: this user may not make its socket in %s", p->name, dir);
}

// Two workers on one physical core share its arithmetic and its caches.
static void check_sibling(struct check *c, const struct switch_config *sw, uint32_t i)
{
	char path[100], list[64] = "";
	unsigned first, second;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
		sw->cores[i]);
	FILE *f = fopen(path, "re");
	if (!f)
		return;
	bool is_pair = fgets(list, sizeof(list), f) &&
		       (sscanf(list, "%u,%u", &first, &second) == 2 ||
			       sscanf(list, "%u-%u", &first, &second) == 2);
	fclose(f);
	for (uint32_t j = 0; is_pair && j < i; j++)
		if (sw->cores[j] == (int32_t)first || sw->cores[j] == (int32_t)second)
			tell(c,
				"workers on cores %d and %d: these are two threads of one physical "
				"core, which they share",
				sw->cores[j], sw->cores[i]);
}

static void check_wakeup(struct check *c)
{
	if (access(WAKEUP_FILE, W_OK) < 0)
		tell(c,
			"wakeup-us: %s: %s; weftd asks the kernel there: as root, or as the user "
			"that systemd-tmpfiles lets write it",
			WAKEUP_FILE, strerror(errno));
}

unsigned host_check(
	const struct config *config, void (*say)(void *ctx, const char *text), void *ctx)
{
	struct check c = {.say = say, .ctx = ctx};

	capng_get_caps_process();
	for (uint32_t i = 0; i < config->n_ports; i++) {
		const struct port_config *p = &config->ports[i].sw.port;
		if (strcmp(p->type, "vhost-user") == 0)
			check_socket(&c, p);
		else if (strcmp(p->type, "tap") == 0)
			check_tap(&c);
		else if (strcmp(p->type, "af-xdp") == 0) {
			check_xdp(&c);
			if (!if_nametoindex(p->device))
				tell(&c, "port %s: there is no device %s; ip link lists them",
					p->name, p->device);
		}
	}
	if (config->wakeup_us != WAKEUP_ANY)
		check_wakeup(&c);
	for (uint32_t i = 0; i < config->sw.n_workers; i++)
		if (config->sw.cores[i] >= 0)
			check_sibling(&c, &config->sw, i);
	return c.n;
}
