// SPDX-License-Identifier: BSD-2-Clause
// The running configuration: ports that are wanted, and single changes to them.
#include "control/running.h"

#include "common/suggest.h"
#include "control/config_value.h"
#include "control/log.h"
#include "control/privileges.h"
#include "control/running_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static time_t monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

struct running_port *running_port_lookup(const struct running *r, const char *name)
{
	for (unsigned i = 0; i < r->n_ports; i++)
		if (strcmp(r->ports[i].config.sw.port.name, name) == 0)
			return (struct running_port *)&r->ports[i];
	return NULL;
}

const struct running_port *running_port_find(const struct running *r, const char *name)
{
	return running_port_lookup(r, name);
}

unsigned running_n_ports(const struct running *r)
{
	return r->n_ports;
}

const char *running_port_carries(const struct running_port *p, uint16_t vid)
{
	const struct vlan_config *v = &p->config.sw.vlan;

	if (!v->is_trunk)
		return v->access == vid ? "access" : NULL;
	if (v->native == vid)
		return "native";
	return v->trunk[vid / 64] >> (vid % 64) & 1 ? "trunk" : NULL;
}

const struct running_port *running_port_at(const struct running *r, unsigned i)
{
	return &r->ports[i];
}

int running_no_port(const struct running *r, const char *name, struct error *err)
{
	struct suggest s;

	suggest_init(&s, name);
	for (unsigned i = 0; i < r->n_ports; i++)
		suggest_offer(&s, r->ports[i].config.sw.port.name);
	if (s.best)
		return error_set(err, -ENOENT, "name", "unknown port '%.40s', did you mean '%s'?",
			name, s.best);
	return error_set(
		err, -ENOENT, "name", "unknown port '%.40s'; 'port show' lists them", name);
}

void running_changed(struct running *r, const char *fmt, const char *name)
{
	char text[128];

	snprintf(text, sizeof(text), fmt, name);
	if (r->hooks.changed)
		r->hooks.changed(r->hooks.ctx, text);
}

void running_port_pend(struct running_port *p, const struct error *reason)
{
	const char *name = p->config.sw.port.name;

	// Said once, not at each attempt.
	if (!p->is_pending || strcmp(p->reason.text, reason->text) != 0)
		log_msg(LOG_ERR, name, "%s; trying again every %d s", reason->text, RETRY_S);
	p->is_pending = true;
	p->reason = *reason;
	p->next_try = monotonic() + RETRY_S;
}

int running_assign(struct running *r, const struct config_port *c, struct error *err)
{
	int rc = 0;

	switch_port_unpin(r->sw, c->sw.port.name, c->n_workers);
	for (uint32_t q = 0; rc == 0 && q < c->n_workers; q++)
		rc = switch_port_assign(r->sw, c->sw.port.name, q, c->workers[q], err);
	return rc;
}

int running_port_open(struct running *r, struct running_port *p, struct error *err)
{
	const struct config_port *c = &p->config;
	int rc;

	*err = (struct error){.key = ""};
	rc = p->is_open ? switch_port_set(r->sw, &c->sw, err) : switch_port_add(r->sw, &c->sw, err);
	if (rc < 0) {
		struct switch_port now;
		p->is_open = switch_port_find(r->sw, c->sw.port.name, &now) == 0;
		privileges_explain(&c->sw.port, rc, err);
		return rc;
	}
	rc = running_assign(r, c, err);
	if (rc < 0 && !p->is_open) {
		switch_port_del(r->sw, c->sw.port.name, NULL);
		return rc;
	}
	p->is_open = true;
	if (rc < 0)
		return rc;
	if (p->is_pending)
		log_msg(LOG_NOTICE, c->sw.port.name, "opened after all");
	p->is_pending = false;
	running_fixed_apply(r, c->sw.port.name);
	return 0;
}

struct running_port *running_port_append(struct running *r, const struct config_port *c)
{
	struct running_port *p = &r->ports[r->n_ports++];

	*p = (struct running_port){.config = *c};
	json_incref(p->config.json);
	return p;
}

void running_port_drop(struct running *r, struct running_port *p)
{
	if (p->is_open)
		switch_port_del(r->sw, p->config.sw.port.name, NULL);
	running_fixed_forget(r, p->config.sw.port.name);
	config_port_fini(&p->config);
	unsigned i = p - r->ports;
	memmove(p, p + 1, (r->n_ports - i - 1) * sizeof(*p));
	r->n_ports--;
}

// Whether another port has the name, the socket or the device of `c`.
static int check_free(const struct running *r, const struct config_port *c, struct error *err)
{
	const struct port_config *a = &c->sw.port;

	for (unsigned i = 0; i < r->n_ports; i++) {
		const struct port_config *b = &r->ports[i].config.sw.port;
		if (strcmp(a->name, b->name) == 0)
			continue;
		if (*a->socket && strcmp(a->socket, b->socket) == 0)
			return error_set(err, -EEXIST, "socket", "socket: port %s has %s already",
				b->name, b->socket);
		if (*a->device && strcmp(a->device, b->device) == 0)
			return error_set(err, -EEXIST, "device", "device: port %s has %s already",
				b->name, b->device);
	}
	return 0;
}

int running_port_add(struct running *r, const json_t *keys, struct error *err)
{
	struct config_port c = {.n_workers = 0};
	json_t *given = json_object();

	running_merge(given, keys); // without what is null
	int rc = config_port_from_json(given, switch_n_workers(r->sw), &c, err);
	json_decref(given);
	if (rc < 0)
		return rc;
	const char *name = c.sw.port.name;
	if (running_port_find(r, name))
		rc = error_set(err, -EEXIST, "name",
			"there is a port '%s' already; port set changes it", name);
	else if (r->n_ports == PORT_MAX)
		rc = error_set(
			err, -ENOSPC, "name", "there are %d ports, which is the most", PORT_MAX);
	else
		rc = check_free(r, &c, err);
	if (rc == 0) {
		struct running_port *p = running_port_append(r, &c);
		rc = running_port_open(r, p, err);
		if (rc < 0)
			running_port_drop(r, p);
		else
			running_changed(r, "port %s was added", name);
	}
	config_port_fini(&c);
	return rc;
}

int running_port_del(struct running *r, const char *name, struct error *err)
{
	struct running_port *p = running_port_lookup(r, name);
	char copy[PORT_NAME_MAX];

	if (!p)
		return running_no_port(r, name, err);
	snprintf(copy, sizeof(copy), "%s", name);
	running_port_drop(r, p);
	running_changed(r, "port %s was removed", copy);
	return 0;
}

// RFC 7386: null removes, objects merge, anything else replaces.
void running_merge(json_t *to, const json_t *patch)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)patch, key, v) {
		json_t *old = json_object_get(to, key);
		if (json_is_null(v)) {
			json_object_del(to, key);
		} else if (json_is_object(v)) {
			if (!json_is_object(old)) {
				old = json_object();
				json_object_set_new(to, key, old);
			}
			running_merge(old, v);
			if (json_object_size(old) == 0)
				json_object_del(to, key);
		} else {
			json_t *copy = json_deep_copy(v);
			json_object_set_new(to, key, copy);
		}
	}
}

// An access port that gets trunk: becomes a trunk, and the other way round.
static void merge_port(json_t *to, const json_t *patch)
{
	const json_t *vlan = json_object_get(patch, "vlan");
	json_t *old = json_object_get(to, "vlan");

	if (json_is_string(json_object_get(vlan, "access")) ||
		json_is_integer(json_object_get(vlan, "access"))) {
		json_object_del(old, "trunk");
		json_object_del(old, "native");
	} else if (json_is_array(json_object_get(vlan, "trunk"))) {
		json_object_del(old, "access");
	}
	running_merge(to, patch);
}

int running_port_set(struct running *r, const char *name, const json_t *keys, struct error *err)
{
	struct running_port *p = running_port_lookup(r, name);
	struct config_port c = {.n_workers = 0}, old;

	if (!p)
		return running_no_port(r, name, err);
	json_t *merged = json_deep_copy(p->config.json);
	merge_port(merged, keys);
	json_object_set_new(merged, "name", json_string(name));
	int rc = config_port_from_json(merged, switch_n_workers(r->sw), &c, err);
	json_decref(merged);
	if (rc == 0)
		rc = check_free(r, &c, err);
	if (rc < 0) {
		config_port_fini(&c);
		return rc;
	}
	old = p->config;
	p->config = c;
	rc = running_port_open(r, p, err);
	if (rc < 0) {
		struct error again;
		p->config = old;
		config_port_fini(&c);
		// A replaced port may be gone, and of a change some may be made: back, or keep trying.
		if (running_port_open(r, p, &again) < 0)
			running_port_pend(p, &again);
		return rc;
	}
	config_port_fini(&old);
	running_changed(r, "port %s was changed", name);
	return 0;
}

int running_port_assign(
	struct running *r, const char *name, uint32_t queue, uint32_t worker, struct error *err)
{
	struct running_port *p = running_port_lookup(r, name);
	struct switch_port now;
	int rc;

	if (!p)
		return running_no_port(r, name, err);
	if (switch_port_find(r->sw, name, &now) < 0)
		return error_set(
			err, -ENODEV, "port", "port %s is not open: %s", name, p->reason.text);
	if (queue >= now.n_rxq)
		return error_set(err, -EINVAL, "queue",
			"queue: port %s has no receive queue %u; the last is %u", name, queue,
			now.n_rxq - 1);
	if (worker >= switch_n_workers(r->sw))
		return error_set(err, -EINVAL, "worker",
			"worker: there is no worker %u; the last is %u", worker,
			switch_n_workers(r->sw) - 1);
	rc = switch_port_assign(r->sw, name, queue, worker, err);
	if (rc < 0)
		return rc;
	// The file lists the worker of each queue up to the last that was chosen.
	struct config_port *c = &p->config;
	for (uint32_t q = c->n_workers; q < queue; q++)
		c->workers[q] = now.rxq_worker[q];
	c->workers[queue] = worker;
	if (queue >= c->n_workers)
		c->n_workers = queue + 1;
	json_t *list = json_array(), *copy = json_deep_copy(c->json);
	for (uint32_t q = 0; q < c->n_workers; q++)
		json_array_append_new(list, json_integer(c->workers[q]));
	json_object_set_new(copy, "workers", list);
	json_decref(c->json);
	c->json = copy;
	running_changed(r, "a queue of port %s moved to another worker", name);
	return 0;
}

void running_tick(struct running *r)
{
	struct error err;

	for (unsigned i = 0; i < r->n_ports; i++) {
		struct running_port *p = &r->ports[i];
		if (p->is_pending && monotonic() >= p->next_try &&
			running_port_open(r, p, &err) < 0)
			running_port_pend(p, &err);
	}
}
