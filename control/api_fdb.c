// SPDX-License-Identifier: BSD-2-Clause
// API: the forwarding database.
#include "control/api.h"

#include "control/config_value.h"
#include "control/daemon.h"

#include <errno.h>
#include <string.h>

struct show {
	json_t *list;
	const char *port;
	uint32_t vid;
	bool has_mac;
	uint8_t mac[6];
};

static int each(void *ctx, const struct switch_fdb_entry *e)
{
	struct show *s = ctx;
	char mac[MAC_TEXT];

	if ((s->port && strcmp(s->port, e->port) != 0) || (s->vid && s->vid != e->vid) ||
		(s->has_mac && memcmp(s->mac, e->mac, 6) != 0))
		return 0;
	json_array_append_new(
		s->list, json_pack("{s:s, s:i, s:s, s:b, s:I}", "mac", value_mac_text(e->mac, mac),
				 "vlan", (int)e->vid, "port", e->port, "static", (int)e->is_static,
				 "age", (json_int_t)e->age_s));
	return 0;
}

static int check_port(struct api_call *call, const char *port)
{
	if (!port || running_port_find(call->daemon->running, port))
		return 0;
	return api_fail_rc(call, running_no_port(call->daemon->running, port, &call->error));
}

static int show(struct api_call *call)
{
	struct show s = {.port = api_text(call, "port"), .vid = api_number(call, "vlan")};

	if (check_port(call, s.port) < 0)
		return -1;
	s.has_mac = api_mac(call, "mac", s.mac);
	s.list = json_array();
	switch_fdb_foreach(call->daemon->sw, each, &s);
	call->result = s.list;
	return 0;
}

static int unicast(struct api_call *call, uint8_t mac[6])
{
	api_mac(call, "mac", mac);
	if (value_is_unicast(mac))
		return 0;
	return api_fail(call, API_E_PARAMS, "mac",
		"mac: %s is no machine's address: the first byte must be even, and not all zero",
		api_text(call, "mac"));
}

static uint16_t vlan_or_default(const struct api_call *call)
{
	uint32_t vid = api_number(call, "vlan");

	return vid ? (uint16_t)vid : 1;
}

static int add(struct api_call *call)
{
	uint8_t mac[6];
	int rc;

	if (unicast(call, mac) < 0)
		return -1;
	rc = running_fdb_add(call->daemon->running, mac, vlan_or_default(call),
		api_text(call, "port"), &call->error);
	return rc < 0 ? api_fail_rc(call, rc) : 0;
}

static int del(struct api_call *call)
{
	uint8_t mac[6];
	int rc;

	if (unicast(call, mac) < 0)
		return -1;
	rc = running_fdb_del(call->daemon->running, mac, vlan_or_default(call), &call->error);
	return rc < 0 ? api_fail_rc(call, rc) : 0;
}

static int flush(struct api_call *call)
{
	const char *port = api_text(call, "port");

	if (check_port(call, port) < 0)
		return -1;
	uint32_t n = switch_fdb_flush(call->daemon->sw, port, (uint16_t)api_number(call, "vlan"));
	call->result = json_pack("{s:I}", "flushed", (json_int_t)n);
	return 0;
}

static int size(struct api_call *call)
{
	uint32_t n, max;

	switch_fdb_size(call->daemon->sw, &n, &max);
	call->result = json_pack("{s:I, s:I}", "addresses", (json_int_t)n, "max", (json_int_t)max);
	return 0;
}

static const struct api_param show_params[] = {{"port", API_PORT, false, "only on this port"},
	{"vlan", API_VLAN, false, "only in this VLAN"},
	{"mac", API_MAC, false, "only this address"}, {NULL}};
static const struct api_param show_fields[] = {{"mac", API_MAC, true, "the address"},
	{"vlan", API_VLAN, true, "its VLAN"}, {"port", API_PORT, true, "where it lives"},
	{"static", API_FLAG, true, "true: added by fdb.add or the configuration"},
	{"age", API_NUMBER, true, "seconds since it was last seen"}, {NULL}};
static const struct api_param add_params[] = {{"mac", API_MAC, true, "the address"},
	{"port", API_PORT, true, "where it lives"},
	{"vlan", API_VLAN, false, "its VLAN; default 1"}, {NULL}};
static const struct api_param del_params[] = {{"mac", API_MAC, true, "the address"},
	{"vlan", API_VLAN, false, "its VLAN; default 1"}, {NULL}};
static const struct api_param flush_params[] = {{"port", API_PORT, false, "only on this port"},
	{"vlan", API_VLAN, false, "only in this VLAN"}, {NULL}};
static const struct api_param flush_fields[] = {
	{"flushed", API_NUMBER, true, "how many addresses were forgotten"}, {NULL}};

static const struct api_param size_fields[] = {
	{"addresses", API_NUMBER, true, "how many are known, in all VLANs"},
	{"max", API_NUMBER, true, "how many there is room for: fdb.max"}, {NULL}};

const struct api_method api_fdb_methods[] = {
	{.name = "fdb.show",
		.help = "Lists the addresses that the switch knows.",
		.params = show_params,
		.list = true,
		.result = show_fields,
		.errors = "1 no such port",
		.example = "{\"vlan\": 10}",
		.run = show},
	{.name = "fdb.size",
		.help = "How many addresses the switch knows; costs nothing, however many.",
		.result = size_fields,
		.example = "{}",
		.run = size},
	{.name = "fdb.add",
		.help = "Adds a static address, which never ages and never moves.",
		.changes = true,
		.params = add_params,
		.errors = "1 no such port; 4 the database is full",
		.example = "{\"mac\": \"52:54:00:00:00:01\", \"port\": \"vm1\", \"vlan\": 10}",
		.run = add},
	{.name = "fdb.del",
		.help = "Forgets one address, static or learnt.",
		.changes = true,
		.params = del_params,
		.errors = "1 no such address",
		.example = "{\"mac\": \"52:54:00:00:00:01\", \"vlan\": 10}",
		.run = del},
	{.name = "fdb.flush",
		.help = "Forgets what was learnt; static addresses stay.",
		.changes = true,
		.params = flush_params,
		.result = flush_fields,
		.errors = "1 no such port",
		.example = "{\"port\": \"vm1\"}",
		.run = flush},
	{NULL},
};
