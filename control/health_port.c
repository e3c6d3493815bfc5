// SPDX-License-Identifier: BSD-2-Clause
// What may be wrong with a port, and what to do about it.
#include "control/health.h"

#include <string.h>

// A guest that took nothing for so long while frames came is not just slow.
#define STALLED_S 2

static uint64_t number(const json_t *json, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(json, key));
}

static const char *text(const json_t *json, const char *key)
{
	const char *value = json_string_value(json_object_get(json, key));

	return value ? value : "";
}

static bool flag(const json_t *json, const char *key)
{
	return json_is_true(json_object_get(json, key));
}

static void look_at_state(const struct health_view *v, json_t *to)
{
	const bool is_guest = strcmp(v->type, "vhost-user") == 0;

	if (!v->open)
		health_find(to, v->name, "port-failed", "error",
			"put right what it names: it is tried again every 5 seconds, and at once "
			"by config reload",
			"it could not be opened: %s", v->why);
	else if (v->pending)
		health_find(to, v->name, "port-pending", "error",
			"port show names its configuration; port set changes it",
			"its configuration could not be applied: %s", v->why);
	else if (!v->up && is_guest && !flag(v->details, "connected"))
		health_find(to, v->name, "no-guest", "note",
			"if its VM runs: compare the VM's socket with 'socket' of the port, and "
			"whether its user may open it",
			"%s", v->why);
	else if (!v->up && is_guest && strstr(v->why, "driver has not started"))
		health_find(to, v->name, "no-driver", "note",
			"the guest boots, or lacks a driver for its card (modprobe virtio_net)",
			"%s", v->why);
	else if (!v->up)
		health_find(to, v->name, "port-down", "warning",
			is_guest ? "change the VM as it says and start it again"
				 : "ip link show names the device's state; ip link set DEVICE up",
			"%s", v->why);
}

// Rings to the guest that are in use: how many, how many of them are without a single buffer, and the
// smallest size.
struct rings {
	unsigned n, n_empty, n_pairs;
	uint64_t size;
};

static struct rings rings_of(const json_t *details)
{
	const json_t *q;
	struct rings r = {.size = UINT64_MAX};
	size_t i;

	json_array_foreach ((json_t *)json_object_get(details, "queues"), i, q) {
		if (strcmp(text(q, "direction"), "to-guest") != 0)
			continue;
		r.n_pairs++;
		if (!flag(q, "enabled"))
			continue;
		r.n++;
		r.n_empty += number(q, "available") == number(q, "taken");
		if (number(q, "size") < r.size)
			r.size = number(q, "size");
	}
	return r;
}

static void look_at_rings(const struct health_view *v, json_t *to)
{
	const struct rings r = rings_of(v->details);
	const uint64_t queues = number(v->config, "queues");
	const json_t *q;
	size_t i;

	json_array_foreach ((json_t *)json_object_get(v->details, "queues"), i, q)
		if (flag(q, "broken"))
			health_find(to, v->name, "ring-broken", "error",
				"restart the guest's driver, or the guest; if it comes back, the "
				"driver is broken",
				"queue %u %s carries nothing any more: the guest broke its rules",
				(unsigned)number(q, "queue"), text(q, "direction"));
	if (v->up && r.n && r.n < queues)
		health_find(to, v->name, "queues-unused", "note",
			"in the guest: ethtool -L eth0 combined N; QEMU needs queues=N, mq=on and "
			"as many CPUs",
			"the guest uses %u of %u queues", r.n, (unsigned)queues);
}

// Reasons that are how a switch works, not trouble.
static bool is_harmless(enum drop_reason r)
{
	return r == DROP_hairpin || r == DROP_reserved;
}

// What somebody configured: it may be meant.
static bool is_policy(enum drop_reason r)
{
	return r == DROP_vlan || r == DROP_spoofed || r == DROP_isolated || r == DROP_rate ||
	       r == DROP_storm;
}

// A ring that is full may be a guest that is slow, or one that takes nothing at all.
static bool look_at_full_ring(const struct health_view *v, json_t *to)
{
	const struct rings r = rings_of(v->details);
	const double dropped = (double)v->gained.drop[DROP_ring_full];

	if (strcmp(v->type, "vhost-user") != 0 || !r.n)
		return false;
	if (r.n_empty == r.n && v->silent_s >= STALLED_S)
		health_find(to, v->name, "guest-stalled", "warning",
			"is its interface up (ip link in the guest), is the VM paused or hanging?",
			"the guest takes no frames: it gave no receive buffers for %.0f s; %.1f "
			"frames a second are dropped",
			v->silent_s, dropped / v->seconds);
	else if (r.size < 1024)
		health_find(to, v->name, "drops", "warning",
			"larger rings (QEMU: rx_queue_size=1024), more queues, or rate limits for "
			"those who send",
			"ring_full, %.1f frames a second: the guest is slower than its senders, "
			"and its ring has %u buffers",
			dropped / v->seconds, (unsigned)r.size);
	else
		return false;
	return true;
}

static void look_at_drops(const struct health_view *v, json_t *to)
{
	for (unsigned r = 0; r < N_DROP_REASONS; r++) {
		const uint64_t n = v->gained.drop[r];
		// To nobody: a port without guest says so itself.
		if (!n || v->seconds <= 0 || is_harmless(r) || (r == DROP_port_down && !v->up))
			continue;
		if (r == DROP_ring_full && look_at_full_ring(v, to))
			continue;
		health_find(to, v->name, "drops", is_policy(r) ? "note" : "warning",
			drop_reason_remedy(r), "%s, %.1f frames a second: %s", drop_reason_name(r),
			(double)n / v->seconds, drop_reason_text(r));
	}
}

static void look_at_nic(const struct health_view *v, json_t *to)
{
	const char *why = text(v->details, "why_not_zerocopy");

	if (*why && strncmp(why, "not tried", 9) != 0)
		health_find(to, v->name, "not-zerocopy", "note", why,
			"the NIC works in mode '%s', which copies each frame",
			text(v->details, "mode"));
}

void health_look_at_port(const struct health_view *v, json_t *to)
{
	look_at_state(v, to);
	if (!v->open)
		return;
	look_at_rings(v, to);
	look_at_drops(v, to);
	look_at_nic(v, to);
}
