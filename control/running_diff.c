// SPDX-License-Identifier: BSD-2-Clause
// What applying a configuration would change, by the names of ports and keys.
#include "control/running_internal.h"

#include <string.h>

// The keys of two objects whose values differ, or that one of them lacks. A new list.
static json_t *differing(const json_t *a, const json_t *b)
{
	json_t *keys = json_array(), *v;
	const char *key;

	json_object_foreach ((json_t *)a, key, v) {
		const json_t *other = json_object_get(b, key);
		if (!other || !json_equal(v, other))
			json_array_append_new(keys, json_string(key));
	}
	json_object_foreach ((json_t *)b, key, v)
		if (!json_object_get(a, key))
			json_array_append_new(keys, json_string(key));
	return keys;
}

static const struct config_port *wanted(const struct config *c, const char *name)
{
	for (uint32_t i = 0; i < c->n_ports; i++)
		if (strcmp(c->ports[i].sw.port.name, name) == 0)
			return &c->ports[i];
	return NULL;
}

static void add_port(json_t *to, const char *change, const char *name)
{
	json_array_append_new(to, json_pack("{s:s, s:s}", "change", change, "port", name));
}

// Takes over `keys`; without any there is nothing to tell.
static void add_keys(json_t *to, const char *port, json_t *keys)
{
	if (json_array_size(keys))
		json_array_append_new(to, json_pack("{s:s, s:s*, s:O}", "change", "changed", "port",
						  port, "keys", keys));
	json_decref(keys);
}

static bool same_fixed(const struct running *r, const struct config *c)
{
	if (r->n_fixed != c->n_fixed)
		return false;
	for (uint32_t i = 0; i < c->n_fixed; i++) {
		bool there = false;
		for (unsigned j = 0; j < r->n_fixed && !there; j++)
			there = memcmp(&r->fixed[j], &c->fixed[i], sizeof(r->fixed[j])) == 0;
		if (!there)
			return false;
	}
	return true;
}

json_t *running_diff(const struct running *r, const struct config *config)
{
	json_t *to = json_array(), *base = running_base(config->json);
	json_t *keys = differing(r->base, base);

	if (!same_fixed(r, config))
		json_array_append_new(keys, json_string("fdb.static"));
	for (unsigned i = 0; i < r->n_ports; i++)
		if (!wanted(config, r->ports[i].config.sw.port.name))
			add_port(to, "removed", r->ports[i].config.sw.port.name);
	for (uint32_t i = 0; i < config->n_ports; i++) {
		const struct config_port *c = &config->ports[i];
		const char *name = c->sw.port.name;
		const struct running_port *p = running_port_find(r, name);
		if (p)
			add_keys(to, name, differing(p->config.json, c->json));
		else
			add_port(to, "added", name);
	}
	add_keys(to, NULL, keys);
	json_decref(base);
	return to;
}
