// SPDX-License-Identifier: BSD-2-Clause
// weftctl port: the ports, and everything about one of them.
#include "cli/command.h"
#include "cli/describe_text.h"
#include "cli/output.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *state_colour(const json_t *port)
{
	const char *state = get_text(port, "state");

	if (strcmp(state, "up") == 0)
		return json_is_true(json_object_get(port, "pending")) ? WARN : GOOD;
	return strcmp(state, "down") == 0 ? WARN : BAD;
}

static bool is_fine(const json_t *port)
{
	return strcmp(get_text(port, "state"), "up") == 0 &&
	       !json_is_true(json_object_get(port, "pending"));
}

// Why the port is in its state, in short: port show PORT lists the features of a guest.
static void why_text(const json_t *port, char *buf, size_t size)
{
	snprintf(buf, size, "%s", get_text(port, "why"));
	if (is_fine(port))
		buf[strcspn(buf, ":")] = 0;
}

// Where the table has no room for it: why ports are not up, each reason once.
static void list_reasons(const struct cli *cli, const json_t *list)
{
	char why[1000], other[1000];
	const json_t *p, *q;
	unsigned n_said = 0;
	size_t i, j;

	json_array_foreach ((json_t *)list, i, p) {
		char *names = NULL;
		why_text(p, why, sizeof(why));
		json_array_foreach ((json_t *)list, j, q) {
			why_text(q, other, sizeof(other));
			if (strcmp(why, other) != 0)
				continue;
			if (j < i)
				break; // said already
			text_add(&names, "%s%s", names ? ", " : "", get_text(q, "name"));
		}
		if (j == json_array_size(list) && !is_fine(p)) {
			if (n_said++ == 0)
				puts("");
			paragraph(4, "%s%s%s: %s", paint(cli, STRONG), names, unpaint(cli), why);
		}
		free(names);
	}
}

static void list_ports(const struct cli *cli, const json_t *list)
{
	static const struct column columns[] = {{"PORT"}, {"TYPE", COL_SPARE}, {"STATE"},
		{"VLAN", COL_WRAP}, {"MTU", COL_RIGHT | COL_SPARE}, {"RX", COL_RIGHT},
		{"TX", COL_RIGHT}, {"DROPS", COL_RIGHT}, {"WHY", COL_WRAP}};
	struct table *t = table_new(cli, columns, 9);
	char text[1000], number[SHORT_NUMBER];
	const json_t *p;
	size_t i;

	json_array_foreach ((json_t *)list, i, p) {
		bool open = json_object_get(p, "id");
		uint64_t drops = get_number(p, "dropped");
		table_row(t);
		table_cell(t, 0, STRONG, "%s", get_text(p, "name"));
		table_cell(t, 1, NULL, "%s", get_text(p, "type"));
		table_cell(t, 2, state_colour(p), "%s", get_text(p, "state"));
		char *vlan = vlan_text(json_object_get(p, "config"));
		table_cell(t, 3, NULL, "%s", vlan);
		free(vlan);
		why_text(p, text, sizeof(text));
		table_cell(t, 8, NULL, "%s", text);
		if (!open)
			continue;
		table_cell(t, 4, NULL, "%d", (int)get_number(p, "mtu"));
		table_cell(
			t, 5, NULL, "%s", short_number((double)get_number(p, "rx_frames"), number));
		table_cell(
			t, 6, NULL, "%s", short_number((double)get_number(p, "tx_frames"), number));
		table_cell(t, 7, drops ? WARN : NULL, "%s", short_number((double)drops, number));
	}
	bool is_narrow = table_hide_if_narrow(t, 8, 24);
	table_print(t, "no ports yet; add one: weftctl help port add");
	if (is_narrow)
		list_reasons(cli, list);
}

// What is wrong with it: the first thing to know.
static void show_health(const struct cli *cli, const json_t *p)
{
	const json_t *f;
	size_t i;

	if (json_array_size(json_object_get(p, "health")) == 0)
		field(cli, 0, "health", "%snothing is wrong%s", paint(cli, GOOD), unpaint(cli));
	json_array_foreach (json_object_get(p, "health"), i, f) {
		const char *level = get_text(f, "level"), *text = get_text(f, "text");
		// The line above has said why.
		bool is_said = *get_text(p, "why") && strstr(text, get_text(p, "why"));
		field(cli, 0, "health", "%s%s%s: %s%s%s",
			paint(cli, strcmp(level, "error") == 0  ? BAD
				   : strcmp(level, "note") == 0 ? FAINT
								: WARN),
			level, unpaint(cli), is_said ? "" : text, is_said ? "" : "; ",
			get_text(f, "remedy"));
	}
}

// "1570 bytes", "123456789 bytes (123M)": exact, and what can be read.
static void field_counters(const struct cli *cli, const char *name, const json_t *p,
	const char *frames, const char *bytes, const char *bursts)
{
	const uint64_t n = get_number(p, bytes);
	char number[SHORT_NUMBER];

	short_number((double)n, number);
	field(cli, 0, name, "%llu frames, %llu bytes%s%s%s, %llu bursts",
		(unsigned long long)get_number(p, frames), (unsigned long long)n,
		n < 100000 ? "" : " (", n < 100000 ? "" : number, n < 100000 ? "" : ")",
		(unsigned long long)get_number(p, bursts));
}

static void show_counters(const struct cli *cli, const json_t *p)
{
	field_counters(cli, "received", p, "rx_frames", "rx_bytes", "rx_bursts");
	field_counters(cli, "sent", p, "tx_frames", "tx_bytes", "tx_bursts");
	const bool is_guest = strcmp(get_text(p, "type"), "vhost-user") == 0;
	field(cli, 0, is_guest ? "notifications" : "system calls",
		is_guest ? "%llu sent, %llu not needed, %llu kicks received"
			 : "%llu made, %llu not needed, %llu wake-ups received",
		(unsigned long long)get_number(p, "notified"),
		(unsigned long long)get_number(p, "suppressed"),
		(unsigned long long)get_number(p, "kicks"));
}

// Drops with what they mean and what to do.
static void show_drops(struct cli *cli, const json_t *p)
{
	json_t *reasons, *error, *r;
	size_t i;

	if (get_number(p, "dropped") == 0) {
		field(cli, 0, "drops", "none");
		return;
	}
	field(cli, 0, "drops", "%s%llu frames%s", paint(cli, WARN),
		(unsigned long long)get_number(p, "dropped"), unpaint(cli));
	if (cli_try(cli, "stats.reasons", NULL, &reasons, &error) != CLI_OK)
		return;
	json_array_foreach (reasons, i, r) {
		uint64_t n = get_number(json_object_get(p, "drops"), get_text(r, "reason"));
		if (!n)
			continue;
		field(cli, 2, get_text(r, "reason"), "%llu: %s; %s", (unsigned long long)n,
			get_text(r, "text"), get_text(r, "remedy"));
	}
	json_decref(reasons);
}

static void show_queues(const struct cli *cli, const json_t *p)
{
	const json_t *q, *list = json_object_get(p, "rx_queues");
	char *text = NULL;
	size_t i;

	json_array_foreach ((json_t *)list, i, q)
		text_add(&text, "%squeue %d on worker %d", i ? ", " : "",
			(int)get_number(q, "queue"), (int)get_number(q, "worker"));
	if (text)
		field(cli, 0, "receives", "%s", text);
	free(text);
}

static void show_one(struct cli *cli, const json_t *p)
{
	const json_t *config = json_object_get(p, "config");
	json_t *details = json_object_get(p, "details"), *v;
	const char *key;
	char why[1000], *vlan = vlan_text(config);

	printf("%s%s%s  %s  %s%s%s\n", paint(cli, STRONG), get_text(p, "name"), unpaint(cli),
		get_text(p, "type"), paint(cli, state_colour(p)), get_text(p, "state"),
		unpaint(cli));
	why_text(p, why, sizeof(why));
	field(cli, 0, "why", "%s", why);
	show_health(cli, p);
	field(cli, 0, "vlan", "%s", vlan);
	free(vlan);
	json_object_foreach ((json_t *)config, key, v)
		if (strcmp(key, "name") != 0 && strcmp(key, "type") != 0 &&
			strcmp(key, "vlan") != 0 && !json_object_get(details, key))
			describe_value(cli, 0, key, v);
	if (!json_object_get(p, "id"))
		return;
	if (!json_object_get(config, "mtu") && !json_object_get(details, "mtu"))
		field(cli, 0, "mtu", "%d", (int)get_number(p, "mtu"));
	show_queues(cli, p);
	show_counters(cli, p);
	show_drops(cli, p);
	json_object_foreach (details, key, v)
		if (strcmp(key, "why") != 0 ||
			strcmp(get_text(p, "why"), get_text(details, "why")) != 0)
			describe_value(cli, 0, key, v);
}

static int show(struct cli *cli, const json_t *result, const json_t *params)
{
	if (json_object_get(params, "name"))
		show_one(cli, json_array_get(result, 0));
	else
		list_ports(cli, result);
	return CLI_OK;
}

static const struct arg one[] = {{"name", ARG_PORT, true, false}, {NULL}};
static const struct arg named[] = {{"name", ARG_PORT, true, true}, {NULL}};

#define KEYS_HELP                                                                           \
	"Keys are those of a port in the configuration file, see weft.yaml(5). Lists are\n" \
	"written with commas; keys of vlan and policy follow that word."

const struct command cmd_port[] = {
	{.noun = "port",
		.verb = "show",
		.method = "port.show",
		.args = one,
		.help = "list ports, or show all about one",
		.details = "With a name: the guest and its features, queues, counters, and drops "
			   "with what\n"
			   "to do about them.",
		.example = "port show vm1",
		.show = show},
	{.noun = "port",
		.verb = "add",
		.method = "port.add",
		.args = named,
		.keys = "ports",
		.help = "add a port",
		.details = KEYS_HELP,
		.example = "port add vm2 type vhost-user socket /run/weft/vm2.sock vlan access 10"},
	{.noun = "port",
		.verb = "set",
		.method = "port.set",
		.args = named,
		.keys = "ports",
		.help = "change a port",
		.details = KEYS_HELP
		"\nThe value 'default' takes a key back. What is not named stays.",
		.example = "port set vm2 vlan trunk 10,20-30 policy rate 1G mtu default"},
	{.noun = "port",
		.verb = "del",
		.method = "port.del",
		.args = named,
		.help = "remove a port",
		.example = "port del vm2"},
	{NULL},
};
