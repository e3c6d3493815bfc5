// SPDX-License-Identifier: BSD-2-Clause
// The running configuration as a whole: making what runs equal to a file, and static addresses.
#include "control/config_value.h"
#include "control/log.h"
#include "control/running_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIXED_MAX 4096

json_t *running_base(const json_t *json)
{
	json_t *base = json_deep_copy(json), *fdb = json_object_get(base, "fdb");

	json_object_del(base, "ports");
	json_object_del(fdb, "static");
	if (fdb && json_object_size(fdb) == 0)
		json_object_del(base, "fdb");
	return base;
}

static json_t *fixed_json(const struct running *r)
{
	json_t *list = json_array();
	char mac[MAC_TEXT];

	for (unsigned i = 0; i < r->n_fixed; i++) {
		const struct config_static *s = &r->fixed[i];
		json_array_append_new(
			list, json_pack("{s:s, s:i, s:s}", "mac", value_mac_text(s->mac, mac),
				      "vlan", (int)s->vid, "port", s->port));
	}
	return list;
}

json_t *running_json(const struct running *r)
{
	json_t *json = json_deep_copy(r->base), *list = json_array();

	if (r->n_fixed) {
		json_t *fdb = json_object_get(json, "fdb");
		if (!fdb) {
			fdb = json_object();
			json_object_set_new(json, "fdb", fdb);
		}
		json_object_set_new(fdb, "static", fixed_json(r));
	}
	for (unsigned i = 0; i < r->n_ports; i++)
		json_array_append(list, r->ports[i].config.json);
	json_object_set_new(json, "ports", list);
	return json;
}

static struct config_static *static_find(
	const struct running *r, const uint8_t mac[6], uint16_t vid)
{
	for (unsigned i = 0; i < r->n_fixed; i++)
		if (r->fixed[i].vid == vid && memcmp(r->fixed[i].mac, mac, 6) == 0)
			return &r->fixed[i];
	return NULL;
}

const struct config_static *running_fixed_at(const struct running *r, unsigned i)
{
	return i < r->n_fixed ? &r->fixed[i] : NULL;
}

static void static_remove(struct running *r, struct config_static *s)
{
	*s = r->fixed[--r->n_fixed];
}

void running_fixed_apply(struct running *r, const char *port)
{
	struct error err;

	for (unsigned i = 0; i < r->n_fixed; i++) {
		const struct config_static *s = &r->fixed[i];
		if (strcmp(s->port, port) == 0 &&
			switch_fdb_add(r->sw, s->mac, s->vid, port, &err) < 0)
			log_msg(LOG_ERR, port, "static address: %s", err.text);
	}
}

void running_fixed_forget(struct running *r, const char *port)
{
	for (unsigned i = 0; i < r->n_fixed;)
		if (strcmp(r->fixed[i].port, port) == 0)
			static_remove(r, &r->fixed[i]);
		else
			i++;
}

int running_fdb_add(
	struct running *r, const uint8_t mac[6], uint16_t vid, const char *port, struct error *err)
{
	const struct running_port *p = running_port_find(r, port);
	struct config_static *s = static_find(r, mac, vid);
	int rc = 0;

	if (!p)
		return running_no_port(r, port, err);
	if (!s && r->n_fixed == FIXED_MAX)
		return error_set(err, -ENOSPC, "mac",
			"there are %d static addresses, which is the most", FIXED_MAX);
	if (p->is_open)
		rc = switch_fdb_add(r->sw, mac, vid, port, err);
	if (rc < 0)
		return rc;
	if (!s)
		s = &r->fixed[r->n_fixed++];
	*s = (struct config_static){.vid = vid}; // compared with memcmp: no stale bytes
	memcpy(s->mac, mac, 6);
	strcpy(s->port, p->config.sw.port.name);
	if (r->hooks.changed)
		r->hooks.changed(r->hooks.ctx, "a static address was added");
	return 0;
}

int running_fdb_del(struct running *r, const uint8_t mac[6], uint16_t vid, struct error *err)
{
	struct config_static *s = static_find(r, mac, vid);
	int rc = switch_fdb_del(r->sw, mac, vid, err);

	if (!s)
		return rc;
	static_remove(r, s);
	if (r->hooks.changed)
		r->hooks.changed(r->hooks.ctx, "a static address was removed");
	return 0;
}

// Static addresses that the new configuration does not have, or has elsewhere, go first.
static void apply_fixed(struct running *r, const struct config *config)
{
	for (unsigned i = 0; i < r->n_fixed; i++) {
		const struct config_static *old = &r->fixed[i];
		bool stays = false;
		for (uint32_t j = 0; j < config->n_fixed; j++)
			stays |= memcmp(old, &config->fixed[j], sizeof(*old)) == 0;
		if (!stays)
			switch_fdb_del(r->sw, old->mac, old->vid, NULL);
	}
	r->n_fixed = config->n_fixed;
	if (r->n_fixed)
		memcpy(r->fixed, config->fixed, r->n_fixed * sizeof(*r->fixed));
}

static void apply_port(
	struct running *r, const struct config_port *c, struct running_report *report)
{
	struct running_port *p = running_port_lookup(r, c->sw.port.name);
	struct error err;

	bool same = p && json_equal(p->config.json, c->json);
	if (same && !p->is_pending) {
		report->unchanged++;
		return;
	}
	if (p) {
		report->unchanged += same;
		report->changed += !same;
		config_port_fini(&p->config);
		p->config = *c;
		json_incref(p->config.json);
	} else {
		report->added++;
		p = running_port_append(r, c);
	}
	if (running_port_open(r, p, &err) < 0) {
		running_port_pend(p, &err);
		report->failed++;
	}
}

// Which port still has the socket or the device that `p` shall have; it shall have another itself.
static struct running_port *holder(struct running *r, const struct running_port *p)
{
	const struct port_config *want = &p->config.sw.port;
	struct switch_port now;

	for (unsigned i = 0; i < r->n_ports; i++) {
		struct running_port *q = &r->ports[i];
		if (q == p || !q->is_pending ||
			switch_port_find(r->sw, q->config.sw.port.name, &now) < 0)
			continue;
		const struct port_config *has = &now.config->port;
		if ((*want->socket && strcmp(want->socket, has->socket) == 0) ||
			(*want->device && strcmp(want->device, has->device) == 0))
			return q;
	}
	return NULL;
}

// A port keeps what it has until it gets something else, so two that swap wait for each other: they let
// go first. What one has given up another may have waited for.
static void retry_failed(struct running *r, struct running_report *report)
{
	struct running_port *q;
	struct error err;

	for (unsigned i = 0; i < r->n_ports; i++)
		if (r->ports[i].is_pending && (q = holder(r, &r->ports[i]))) {
			switch_port_del(r->sw, q->config.sw.port.name, NULL);
			q->is_open = false;
		}
	for (unsigned i = 0; i < r->n_ports; i++)
		if (r->ports[i].is_pending && running_port_open(r, &r->ports[i], &err) == 0)
			report->failed--;
}

static void apply_ports(
	struct running *r, const struct config *config, struct running_report *report)
{
	for (unsigned i = 0; i < r->n_ports;) {
		bool stays = false;
		for (uint32_t j = 0; j < config->n_ports; j++)
			stays |= strcmp(r->ports[i].config.sw.port.name,
					 config->ports[j].sw.port.name) == 0;
		if (stays) {
			i++;
			continue;
		}
		running_port_drop(r, &r->ports[i]);
		report->removed++;
	}
	apply_fixed(r, config);
	for (uint32_t j = 0; j < config->n_ports; j++)
		apply_port(r, &config->ports[j], report);
	if (report->failed && report->changed)
		retry_failed(r, report);
	for (unsigned i = 0; i < r->n_ports; i++)
		if (r->ports[i].is_open)
			running_fixed_apply(r, r->ports[i].config.sw.port.name);
}

// Numbers of workers may mean others than before.
static void assign_all(struct running *r)
{
	struct error err;

	for (unsigned i = 0; i < r->n_ports; i++) {
		const struct running_port *p = &r->ports[i];
		if (p->is_open && running_assign(r, &p->config, &err) < 0)
			log_msg(LOG_ERR, p->config.sw.port.name, "%s", err.text);
	}
}

int running_make(struct running *r, const struct config *config, struct running_report *report,
	struct error *err)
{
	*report = (struct running_report){.needs_restart = json_array()};
	int rc = running_settings_apply(r, config, report, err);
	if (rc < 0) {
		json_decref(report->needs_restart);
		report->needs_restart = NULL;
		return rc;
	}
	json_decref(r->base);
	r->base = running_base(config->json);
	apply_ports(r, config, report);
	assign_all(r);
	return 0;
}

int running_apply(struct running *r, const struct config *config, struct running_report *report,
	struct error *err)
{
	int rc = running_make(r, config, report, err);

	if (rc == 0)
		running_changed(r, "%s", "a configuration was applied");
	return rc;
}

int running_new(struct sw *sw, const struct config *config, const struct running_hooks *hooks,
	struct running **out)
{
	struct running *r = calloc(1, sizeof(*r));
	struct running_report report = {.added = 0};

	if (r)
		r->fixed = calloc(FIXED_MAX, sizeof(*r->fixed));
	if (!r || !r->fixed) {
		free(r);
		return -ENOMEM;
	}
	r->sw = sw;
	r->hooks = *hooks;
	r->base = running_base(config->json);
	apply_ports(r, config, &report);
	*out = r;
	return 0;
}

void running_free(struct running *r)
{
	if (!r)
		return;
	while (r->n_ports)
		running_port_drop(r, &r->ports[r->n_ports - 1]);
	json_decref(r->base);
	free(r->fixed);
	free(r);
}
