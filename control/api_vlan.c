// SPDX-License-Identifier: BSD-2-Clause
// API: VLANs, as the ports' configuration makes them.
#include "control/api.h"

#include "control/daemon.h"

#include <string.h>

static void count_addresses_of(uint32_t *n, uint16_t vid)
{
	if (vid < VLAN_N)
		n[vid]++;
}

static int each_address(void *ctx, const struct switch_fdb_entry *e)
{
	count_addresses_of(ctx, e->vid);
	return 0;
}

// A VLAN that exists only because a trunk carries all of them is not listed.
static bool is_named(const struct running *r, uint16_t vid)
{
	for (unsigned i = 0; i < running_n_ports(r); i++) {
		const struct running_port *p = running_port_at(r, i);
		const char *m = running_port_carries(p, vid);
		unsigned n = 0;
		if (m && m[0] != 't')
			return true;
		for (unsigned w = 0; m && w < VLAN_N / 64; w++)
			n += __builtin_popcountll(p->config.sw.vlan.trunk[w]);
		if (m && n < VLAN_N - 2)
			return true;
	}
	return false;
}

// How each port carried a VLAN last: objects that are alike are one, as a thousand VLANs of 256 ports would
// hold up everybody else for seconds otherwise.
struct carried {
	const char *mode;
	json_t *json;
};

// The port's entry in a list; borrowed.
static json_t *carried_json(struct carried *c, const struct running_port *p, const char *mode)
{
	if (!c->json || strcmp(c->mode, mode) != 0) {
		json_decref(c->json);
		c->mode = mode;
		c->json = json_pack("{s:s, s:s}", "port", p->config.sw.port.name, "mode", mode);
	}
	return c->json;
}

static int show(struct api_call *call)
{
	const struct running *r = call->daemon->running;
	struct carried carried[PORT_MAX] = {{NULL}};
	uint32_t addresses[VLAN_N] = {0}, only = api_number(call, "vlan");

	switch_fdb_foreach(call->daemon->sw, each_address, addresses);
	call->result = json_array();
	for (uint16_t vid = 1; vid < VLAN_N - 1; vid++) {
		if (only ? vid != only : !addresses[vid] && !is_named(r, vid))
			continue;
		json_t *ports = json_array();
		for (unsigned i = 0; i < running_n_ports(r); i++) {
			const struct running_port *p = running_port_at(r, i);
			const char *m = running_port_carries(p, vid);
			if (m)
				json_array_append(ports, carried_json(&carried[i], p, m));
		}
		json_array_append_new(
			call->result, json_pack("{s:i, s:I, s:o}", "vlan", (int)vid, "addresses",
					      (json_int_t)addresses[vid], "ports", ports));
	}
	for (unsigned i = 0; i < PORT_MAX; i++)
		json_decref(carried[i].json);
	return 0;
}

static const struct api_param params[] = {{"vlan", API_VLAN, false, "only this VLAN"}, {NULL}};
static const struct api_param fields[] = {{"vlan", API_VLAN, true, "the VLAN"},
	{"addresses", API_NUMBER, true, "addresses known in it"},
	{"ports", API_LIST, true,
		"its ports: port, and mode (access, trunk: tagged, native: a trunk's untagged)"},
	{NULL}};

const struct api_method api_vlan_methods[] = {
	{.name = "vlan.show",
		.help = "Lists the VLANs in use and their ports.",
		.params = params,
		.list = true,
		.result = fields,
		.example = "{\"vlan\": 10}",
		.run = show},
	{NULL},
};
