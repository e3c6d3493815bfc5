// SPDX-License-Identifier: BSD-2-Clause
// One port of the configuration: from the keys that were given to what the switch takes.
#include "control/config.h"

#include "common/suggest.h"
#include "control/config_value.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

// What conversions share: where errors go, and how keys are named in them.
struct convert {
	const struct conf_port *c;
	const char *path;
	struct error *err;
};

__attribute__((format(printf, 3, 4))) static int wrong(
	const struct convert *v, const char *key, const char *fmt, ...)
{
	char full[64], text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(full, sizeof(full), "%s%s", v->path, key);
	return error_set(v->err, -EINVAL, full, "%s: %s", full, text);
}

bool config_is_port_name(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t n = strlen(name);

	return n >= 1 && n < PORT_NAME_MAX && strspn(name, allowed) == n && name[0] != '-';
}

static int check_path(const struct convert *v, const char *key, const char *text, size_t size)
{
	if (text[0] != '/')
		return wrong(v, key,
			"an absolute path is expected, such as /run/weft/vm1.sock, not '%s'", text);
	if (strlen(text) >= size)
		return wrong(v, key, "a socket's path has at most %zu characters, this has %zu",
			size - 1, strlen(text));
	return 0;
}

static int convert_owner(const struct convert *v, struct port_config *p)
{
	const char *text = v->c->socket_owner, *colon;
	char user[32] = "";

	if (!text)
		return 0;
	colon = strchr(text, ':');
	if (strlen(text) >= sizeof(p->socket_owner))
		return wrong(
			v, "socket-owner", "at most %zu characters", sizeof(p->socket_owner) - 1);
	snprintf(
		user, sizeof(user), "%.*s", (int)(colon ? colon - text : (long)strlen(text)), text);
	if (*user && !getpwnam(user))
		return wrong(v, "socket-owner", "there is no user '%s'", user);
	if (colon && colon[1] && !getgrnam(colon + 1))
		return wrong(v, "socket-owner", "there is no group '%s'", colon + 1);
	snprintf(p->socket_owner, sizeof(p->socket_owner), "%s", text);
	return 0;
}

static int convert_vhost(const struct convert *v, struct port_config *p)
{
	const struct conf_port *c = v->c;
	int rc;

	if (!c->socket)
		return wrong(v, "socket",
			"the key is missing: a vhost-user port needs the path of its socket");
	rc = check_path(v, "socket", c->socket, sizeof(p->socket));
	if (rc < 0)
		return rc;
	snprintf(p->socket, sizeof(p->socket), "%s", c->socket);
	p->client = c->mode == MODE_CLIENT;
	p->features_off = c->features ? c->features->off : 0;
	if (c->socket_mode && value_mode(c->socket_mode, &p->socket_mode) < 0)
		return wrong(v, "socket-mode",
			"octal permissions are expected, such as 0660, not '%.20s'",
			c->socket_mode);
	if (p->client && (c->socket_mode || c->socket_owner))
		return wrong(v, c->socket_mode ? "socket-mode" : "socket-owner",
			"only for mode: server, as the VMM makes the socket in mode: client");
	return convert_owner(v, p);
}

static int convert_device(const struct convert *v, struct port_config *p)
{
	const struct conf_port *c = v->c;

	if (!c->device)
		return wrong(v, "device",
			"the key is missing: a port of type %s needs a network interface", c->type);
	if (strlen(c->device) >= sizeof(p->device) || strpbrk(c->device, "/ \t\n") ||
		strcmp(c->device, ".") == 0 || strcmp(c->device, "..") == 0 || !*c->device)
		return wrong(v, "device",
			"a name of at most %zu characters without spaces is expected, not '%.40s'",
			sizeof(p->device) - 1, c->device);
	snprintf(p->device, sizeof(p->device), "%s", c->device);
	if (strcmp(c->type, "tap") == 0 && c->queues > 1)
		return wrong(v, "queues", "a tap port has one, not %u", c->queues);
	static const int modes[] = {[XDP_AUTO] = XDP_MODE_AUTO,
		[XDP_ZEROCOPY] = XDP_MODE_ZEROCOPY,
		[XDP_COPY] = XDP_MODE_COPY,
		[XDP_GENERIC] = XDP_MODE_GENERIC};
	p->xdp_mode = c->xdp_mode ? modes[c->xdp_mode] : XDP_MODE_AUTO;
	p->share_host = c->share == SHARE_HOST;
	p->busy_poll = c->busy_poll;
	p->rx_ring = c->rx_ring;
	if (c->rx_ring & (c->rx_ring - 1))
		return wrong(v, "rx-ring", "a power of two is expected, such as 8192, not %u",
			c->rx_ring);
	return 0;
}

// A key that belongs to other types would be ignored silently: refused instead.
static int check_keys_of_type(const struct convert *v)
{
	const struct conf_port *c = v->c;
	const struct {
		const char *key;
		bool given;
	} given[] = {
		{"socket", c->socket},
		{"mode", c->mode},
		{"device", c->device},
		{"queues", c->queues},
		{"features", c->features},
		{"socket-owner", c->socket_owner},
		{"socket-mode", c->socket_mode},
		{"share", c->share},
		{"xdp-mode", c->xdp_mode},
		{"busy-poll", c->busy_poll},
		{"rx-ring", c->rx_ring},
	};
	for (unsigned i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
		char path[64];
		snprintf(path, sizeof(path), "ports.%s", given[i].key);
		const struct conf_key *k = conf_key_find(path);
		if (given[i].given && k && k->types && !strstr(k->types, c->type))
			return wrong(v, given[i].key,
				"not a key of a port of type %s, but of type %s", c->type,
				strcmp(k->types, "af-xdp tap") == 0       ? "af-xdp or tap"
				: strcmp(k->types, "vhost-user tap") == 0 ? "vhost-user or tap"
									  : k->types);
	}
	return 0;
}

static int check_type(const struct convert *v)
{
	static const char *const types[] = {"vhost-user", "af-xdp", "tap"};
	struct suggest s;

	suggest_init(&s, v->c->type);
	for (unsigned i = 0; i < 3; i++) {
		if (strcmp(types[i], v->c->type) == 0)
			return 0;
		suggest_offer(&s, types[i]);
	}
	return wrong(v, "type", "one of vhost-user, af-xdp, tap is expected, not '%.40s'%s%s%s",
		v->c->type, s.best ? "; did you mean '" : "", s.best ? s.best : "",
		s.best ? "'?" : "");
}

static int convert_vlan(const struct convert *v, struct vlan_config *out)
{
	const struct conf_vlan *c = v->c->vlan;

	out->access = 1;
	if (!c)
		return 0;
	if (c->access && (c->trunk || c->native))
		return wrong(v, "vlan.access",
			"a port is either an access port (access:) or a trunk (trunk: and "
			"native:)");
	if (c->native && !c->n_trunk)
		return wrong(v, "vlan.native", "only for a trunk: give trunk: too");
	if (c->access)
		out->access = (uint16_t)c->access;
	if (!c->n_trunk)
		return 0;
	out->is_trunk = true;
	out->access = 0;
	out->native = (uint16_t)c->native;
	for (uint32_t i = 0; i < c->n_trunk; i++)
		if (value_vlans(c->trunk[i], out->trunk) < 0)
			return wrong(v, "vlan.trunk",
				"a VLAN from 1 to 4094, a range such as 20-30 or all is expected, "
				"not '%.40s'",
				c->trunk[i]);
	return 0;
}

static int convert_rate(const struct convert *v, const char *key, const char *text, uint64_t *out)
{
	if (text && value_rate(text, out) < 0)
		return wrong(v, key,
			"a number is expected, with k, M or G for thousands, such as 100M, not "
			"'%.40s'",
			text);
	// To the switch 0 is no limit: who writes it, or 0.5, means the opposite.
	if (text && *out == 0)
		return wrong(v, key,
			"at least 1 is expected, not '%.40s'; without the key there "
			"is no limit",
			text);
	return 0;
}

static int convert_policy(const struct convert *v, struct policy_config *out)
{
	const struct conf_policy *c = v->c->policy;
	int rc;

	if (!c)
		return 0;
	for (uint32_t i = 0; i < c->n_macs; i++)
		if (value_mac(c->macs[i], out->macs[i]) < 0 || !value_is_unicast(out->macs[i]))
			return wrong(v, "policy.macs",
				"the address of one machine is expected, such as "
				"52:54:00:00:00:01, not '%.40s'",
				c->macs[i]);
	for (uint32_t i = 0; i < c->n_ips; i++)
		if (value_ip(c->ips[i], &out->ips[i]) < 0)
			return wrong(v, "policy.ips",
				"an IP address or network is expected, such as 192.0.2.0/24, not "
				"'%.50s'",
				c->ips[i]);
	out->n_macs = c->n_macs;
	out->n_ips = c->n_ips;
	out->isolated = c->isolated;
	rc = convert_rate(v, "policy.rate", c->rate, &out->rate_bps);
	if (rc == 0)
		rc = convert_rate(v, "policy.rate-pps", c->rate_pps, &out->rate_pps);
	if (rc == 0)
		rc = convert_rate(v, "policy.storm", c->storm, &out->storm_pps);
	return rc;
}

static int convert_workers(const struct convert *v, uint32_t n_workers, struct config_port *out)
{
	const uint32_t queues = v->c->queues ? v->c->queues : 1;

	// How many a device has is not known here.
	if (strcmp(v->c->type, "af-xdp") != 0 && v->c->n_workers > queues)
		return wrong(v, "workers",
			"at most one for each receive queue (queues: %u), not %u", queues,
			v->c->n_workers);
	for (uint32_t i = 0; i < v->c->n_workers; i++) {
		if (n_workers && v->c->workers[i] >= n_workers)
			return wrong(v, "workers", "there is no worker %u; the last is %u",
				v->c->workers[i], n_workers - 1);
		out->workers[i] = v->c->workers[i];
	}
	out->n_workers = v->c->n_workers;
	return 0;
}

int config_port_convert(const struct conf_port *c, const char *path, uint32_t n_workers,
	struct config_port *out, struct error *err)
{
	const struct convert v = {c, path, err};
	struct config_port port = {.n_workers = 0};
	struct port_config *p = &port.sw.port;
	int rc;

	if (!config_is_port_name(c->name))
		return wrong(&v, "name",
			"1 to %d letters, digits, _ . - are expected (no - at the start), not "
			"'%.40s'",
			PORT_NAME_MAX - 1, c->name);
	rc = check_type(&v);
	if (rc == 0)
		rc = check_keys_of_type(&v);
	if (rc < 0)
		return rc;
	snprintf(p->name, sizeof(p->name), "%s", c->name);
	snprintf(p->type, sizeof(p->type), "%s", c->type);
	p->queues = c->queues;
	p->mtu = c->mtu;
	rc = strcmp(c->type, "vhost-user") == 0 ? convert_vhost(&v, p) : convert_device(&v, p);
	if (rc == 0)
		rc = convert_vlan(&v, &port.sw.vlan);
	if (rc == 0)
		rc = convert_policy(&v, &port.sw.policy);
	if (rc == 0)
		rc = convert_workers(&v, n_workers, &port);
	if (rc == 0)
		*out = port;
	return rc;
}
