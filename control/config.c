// SPDX-License-Identifier: BSD-2-Clause
// A configuration that was checked: what a file says, or a request, ready for the switch.
#include "control/config.h"

#include "control/config_value.h"
#include "control/log.h"
#include "control/wakeup.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// libcyaml speaks only if our own walk let something through that it refuses.
static void log_cyaml(cyaml_log_t level, void *ctx, const char *fmt, va_list ap)
{
	char text[256];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = 0;
	log_msg(LOG_ERR, "configuration", "%s", text);
}

static const cyaml_config_t cyaml = {
	.log_fn = log_cyaml,
	.mem_fn = cyaml_mem,
	.log_level = CYAML_LOG_ERROR,
};

// Checked text, normalised to JSON (which is YAML), becomes libcyaml's struct.
static int load_struct(
	const json_t *json, const struct cyaml_schema_value *schema, void **out, struct error *err)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
	if (!text)
		return error_set(err, -ENOMEM, "", "out of memory");
	cyaml_err_t e =
		cyaml_load_data((const uint8_t *)text, strlen(text), &cyaml, schema, out, NULL);
	free(text);
	if (e != CYAML_OK)
		return error_set(err, -EINVAL, "", "%s", cyaml_strerror(e));
	return 0;
}

static int copy_name(char *to, size_t size, const char *from, const char *key, struct error *err)
{
	if (from && strlen(from) >= size)
		return error_set(err, -EINVAL, key, "%s: at most %zu characters, not %zu", key,
			size - 1, strlen(from));
	if (from)
		snprintf(to, size, "%s", from);
	return 0;
}

static int convert_workers(const struct conf *c, struct config *out, struct error *err)
{
	char key[64];
	cpu_set_t cores;
	bool known = switch_cpus(&cores) == 0;

	out->sw.n_workers = c->n_workers;
	for (uint32_t i = 0; i < c->n_workers; i++) {
		snprintf(key, sizeof(key), "workers[%u].core", i);
		for (uint32_t j = 0; j < i; j++)
			if (c->workers[j].core == c->workers[i].core)
				return error_set(err, -EINVAL, key,
					"%s: core %u has worker %u already; give each a core of "
					"its own",
					key, c->workers[i].core, j);
		if (known && (c->workers[i].core >= CPU_SETSIZE ||
				     !CPU_ISSET(c->workers[i].core, &cores)))
			return error_set(err, -EINVAL, key,
				"%s: core %u is not there, or not for weftd; see nproc and taskset "
				"-p 1",
				key, c->workers[i].core);
		out->sw.cores[i] = (int32_t)c->workers[i].core;
	}
	return 0;
}

static int check_group(const char *name, const char *key, struct error *err)
{
	if (*name && !getgrnam(name))
		return error_set(err, -EINVAL, key,
			"%s: there is no group '%s'; make it with groupadd --system %s", key, name,
			name);
	return 0;
}

static int convert_api(const struct conf *c, struct config *out, struct error *err)
{
	int rc = 0;

	snprintf(out->api_socket, sizeof(out->api_socket), "%s", CONFIG_SOCKET_DEFAULT);
	if (!c->api)
		return 0;
	if (c->api->socket && c->api->socket[0] != '/')
		return error_set(err, -EINVAL, "api.socket",
			"api.socket: an absolute path is expected, not '%s'", c->api->socket);
	rc = copy_name(out->api_socket, sizeof(out->api_socket), c->api->socket, "api.socket", err);
	if (rc == 0)
		rc = copy_name(
			out->api_group, sizeof(out->api_group), c->api->group, "api.group", err);
	if (rc == 0)
		rc = copy_name(out->api_admin_group, sizeof(out->api_admin_group),
			c->api->admin_group, "api.admin-group", err);
	if (rc == 0)
		rc = check_group(out->api_group, "api.group", err);
	if (rc == 0)
		rc = check_group(out->api_admin_group, "api.admin-group", err);
	return rc;
}

static int convert_fixed(const struct conf_fdb *c, struct config *out, struct error *err)
{
	char key[64];

	out->fixed = calloc(c->n_fixed + 1, sizeof(*out->fixed));
	if (!out->fixed)
		return error_set(err, -ENOMEM, "", "out of memory");
	for (uint32_t i = 0; i < c->n_fixed; i++) {
		struct config_static *s = &out->fixed[i];
		const struct conf_static *from = &c->fixed[i];
		uint32_t p = 0;
		snprintf(key, sizeof(key), "fdb.static[%u].mac", i);
		if (value_mac(from->mac, s->mac) < 0 || !value_is_unicast(s->mac))
			return error_set(err, -EINVAL, key,
				"%s: the address of one machine is expected, such as "
				"52:54:00:00:00:01, not '%.40s'",
				key, from->mac);
		s->vid = from->vlan ? (uint16_t)from->vlan : 1;
		for (uint32_t j = 0; j < i; j++)
			if (out->fixed[j].vid == s->vid &&
				memcmp(out->fixed[j].mac, s->mac, 6) == 0)
				return error_set(err, -EINVAL, key,
					"%s: fdb.static[%u] is this address in VLAN %u already",
					key, j, s->vid);
		snprintf(key, sizeof(key), "fdb.static[%u].port", i);
		while (p < out->n_ports && strcmp(out->ports[p].sw.port.name, from->port) != 0)
			p++;
		if (p == out->n_ports)
			return error_set(
				err, -EINVAL, key, "%s: there is no port '%.40s'", key, from->port);
		snprintf(s->port, sizeof(s->port), "%s", from->port);
		out->n_fixed++;
	}
	return 0;
}

// Two ports cannot share a name, a socket or a device.
static int check_unique(const struct config *c, uint32_t i, struct error *err)
{
	const struct port_config *a = &c->ports[i].sw.port;
	char key[64];

	for (uint32_t j = 0; j < i; j++) {
		const struct port_config *b = &c->ports[j].sw.port;
		const char *what = NULL, *value = NULL;
		if (strcmp(a->name, b->name) == 0)
			what = "name", value = a->name;
		else if (*a->socket && strcmp(a->socket, b->socket) == 0)
			what = "socket", value = a->socket;
		else if (*a->device && strcmp(a->device, b->device) == 0)
			what = "device", value = a->device;
		if (!what)
			continue;
		snprintf(key, sizeof(key), "ports[%u].%s", i, what);
		return error_set(err, -EEXIST, key, "%s: ports[%u] has the %s %s already", key, j,
			what, value);
	}
	return 0;
}

static int convert_ports(const struct conf *c, struct config *out, struct error *err)
{
	json_t *list = json_object_get(out->json, "ports");
	char path[32];
	int rc;

	out->ports = calloc(c->n_ports + 1, sizeof(*out->ports));
	if (!out->ports)
		return error_set(err, -ENOMEM, "", "out of memory");
	for (uint32_t i = 0; i < c->n_ports; i++) {
		struct config_port *p = &out->ports[i];
		snprintf(path, sizeof(path), "ports[%u].", i);
		rc = config_port_convert(
			&c->ports[i], path, c->n_workers ? c->n_workers : 1, p, err);
		if (rc < 0)
			return rc;
		p->json = json_incref(json_array_get(list, i));
		out->n_ports++;
		rc = check_unique(out, i, err);
		if (rc == 0 && strcmp(p->sw.port.socket, out->api_socket) == 0)
			rc = error_set(err, -EEXIST, "api.socket",
				"api.socket: port %s has %s, and a socket serves one of them",
				p->sw.port.name, out->api_socket);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int convert(const struct conf *c, struct config *out, struct error *err)
{
	struct sockaddr_storage listen;
	socklen_t listen_length;
	int rc = convert_workers(c, out, err);

	if (rc == 0)
		rc = convert_api(c, out, err);
	if (rc == 0 && c->metrics)
		rc = copy_name(out->metrics_listen, sizeof(out->metrics_listen), c->metrics->listen,
			"metrics.listen", err);
	if (rc == 0 && *out->metrics_listen &&
		value_listen(out->metrics_listen, &listen, &listen_length) < 0)
		rc = error_set(err, -EINVAL, "metrics.listen",
			"metrics.listen: ADDRESS:PORT is expected, such as 127.0.0.1:9469 or "
			"[::1]:9469, not '%s'",
			out->metrics_listen);
	if (rc == 0)
		rc = convert_ports(c, out, err);
	if (rc == 0 && c->fdb)
		rc = convert_fixed(c->fdb, out, err);
	out->sw.idle_poll = c->idle == IDLE_POLL;
	out->sw.idle_us = c->idle_us;
	out->sw.patience_us =
		json_object_get(out->json, "patience-us") ? c->patience_us : PATIENCE_DEFAULT_US;
	out->wakeup_us =
		json_object_get(out->json, "wakeup-us") ? (int32_t)c->wakeup_us : WAKEUP_ANY;
	out->sw.age_s = c->fdb ? c->fdb->age : 0;
	out->sw.fdb_max = c->fdb ? c->fdb->max : 0;
	out->privileges = c->privileges;
	out->log_level = c->log && c->log->level ? c->log->level - 1 : LOG_INFO;
	return rc;
}

int config_parse(const char *text, size_t len, struct config **out, struct config_error *err)
{
	struct config *c = calloc(1, sizeof(*c));
	struct config_tree *tree = NULL;
	struct conf *loaded = NULL;
	int rc;

	*err = (struct config_error){.line = 0};
	if (!c)
		return error_set(&err->error, -ENOMEM, "", "out of memory");
	rc = config_tree_new(text, len, &conf_schema, "", &tree, err);
	if (rc == 0)
		rc = load_struct(
			config_tree_json(tree), &conf_schema, (void **)&loaded, &err->error);
	if (rc == 0) {
		c->json = json_incref(config_tree_json(tree));
		rc = convert(loaded, c, &err->error);
		if (rc < 0)
			config_tree_locate(tree, err);
	}
	cyaml_free(&cyaml, &conf_schema, loaded, 0);
	config_tree_free(tree);
	if (rc < 0)
		config_free(c);
	else
		*out = c;
	return rc;
}

// weftd is a user of its own where systemd runs it, and gives up root's right to read any file.
static int unreadable(int error, struct error *err)
{
	const struct passwd *user = getpwuid(geteuid());
	const struct group *group = getgrgid(getegid());

	if (error != EACCES || !user || !group)
		return error_set(err, -error, "", "cannot read it: %s", strerror(error));
	return error_set(err, -error, "",
		"cannot read it: %s; weftd runs as %s, who needs the right: chgrp %s FILE && chmod "
		"g+r FILE (and g+x for its directory)",
		strerror(error), user->pw_name, group->gr_name);
}

int config_load(const char *path, struct config **out, struct config_error *err)
{
	struct stat st;
	char *text = NULL;
	ssize_t n;
	int rc = 0;

	*err = (struct config_error){.line = 0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		rc = unreadable(errno, &err->error);
		goto out;
	}
	if (S_ISDIR(st.st_mode)) {
		rc = error_set(&err->error, -EISDIR, "", "it is a directory, not a file");
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > CONFIG_TEXT_MAX) {
		rc = error_set(&err->error, -EINVAL, "", "a file of at most %d bytes is expected",
			CONFIG_TEXT_MAX);
		goto out;
	}
	text = malloc(CONFIG_TEXT_MAX + 1);
	if (!text) {
		rc = error_set(&err->error, -ENOMEM, "", "out of memory");
		goto out;
	}
	n = read(fd, text, CONFIG_TEXT_MAX);
	if (n < 0)
		rc = error_set(&err->error, -errno, "", "cannot read it: %s", strerror(errno));
	else
		rc = config_parse(text, n, out, err);
out:
	free(text);
	if (fd >= 0)
		close(fd);
	return rc;
}

int config_from_json(const json_t *json, struct config **out, struct config_error *err)
{
	char *text = json_dumps(json, JSON_COMPACT);
	if (!text)
		return error_set(&err->error, -ENOMEM, "", "out of memory");
	int rc = config_parse(text, strlen(text), out, err);
	err->line = err->column = 0;
	free(text);
	return rc;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < c->n_ports; i++)
		config_port_fini(&c->ports[i]);
	free(c->ports);
	free(c->fixed);
	json_decref(c->json);
	free(c);
}

int config_port_from_json(
	const json_t *json, uint32_t n_workers, struct config_port *out, struct error *err)
{
	struct config_tree *tree = NULL;
	struct conf_port *loaded = NULL;
	struct config_error e;
	char *text = json_dumps(json, JSON_COMPACT);
	int rc;

	if (!text)
		return error_set(err, -ENOMEM, "", "out of memory");
	rc = config_tree_new(text, strlen(text), &conf_port_schema, "ports", &tree, &e);
	free(text);
	if (rc == 0)
		rc = load_struct(
			config_tree_json(tree), &conf_port_schema, (void **)&loaded, &e.error);
	if (rc == 0)
		rc = config_port_convert(loaded, "", n_workers, out, &e.error);
	if (rc == 0)
		out->json = json_incref(config_tree_json(tree));
	else
		*err = e.error;
	cyaml_free(&cyaml, &conf_port_schema, loaded, 0);
	config_tree_free(tree);
	return rc;
}

void config_port_fini(struct config_port *p)
{
	json_decref(p->json);
	p->json = NULL;
}

void config_error_text(const struct config_error *err, const char *file, char *buf, size_t size)
{
	if (err->line)
		snprintf(buf, size, "%s:%u:%u: %s", file, err->line, err->column, err->error.text);
	else
		snprintf(buf, size, "%s: %s", file, err->error.text);
}
