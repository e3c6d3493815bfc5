// SPDX-License-Identifier: BSD-2-Clause
// Addresses as control sees them: shown, set, flushed, aged, and told to ports that steer.
#include "dataplane/switch/sw.h"

#include "dataplane/frame/eth.h"
#include "dataplane/port/cycles.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

static void key_addr(uint64_t key, uint8_t mac[6])
{
	memcpy(mac, &key, 6);
}

// --- Steering ---

// Tells one port of each form in which it takes frames of the VLAN (vlan_ingress): without a tag, VLAN 0,
// and on a trunk with it, the native VLAN's too.
static void steer(const struct sw_port *p, uint64_t key, bool add)
{
	const uint16_t vid = fdb_key_vid(key);
	const struct vlan_port vlan = vlan_port(&p->config.vlan);
	uint8_t mac[6];

	if (!vlan_is_member(&p->config.vlan, vid))
		return;
	key_addr(key, mac);
	if (vid == vlan.untagged)
		p->port->ops->steer(p->port, mac, 0, add);
	if (vlan.is_trunk)
		p->port->ops->steer(p->port, mac, vid, add);
}

static bool is_elsewhere(const struct sw_port *p, uint32_t where)
{
	return where != FDB_NONE && FDB_PORT(where) != p->id;
}

void sw_steer(struct sw *sw, uint64_t key)
{
	uint32_t where;

	// What the table says now counts, not the event: events of several workers may come in
	// another order than they happened.
	fdb_find(sw->common.fdb, key, &where);
	for (const struct sw_port *p = sw->ports; p; p = p->next)
		if (p->port->ops->steer)
			steer(p, key, is_elsewhere(p, where));
}

static int steer_each(void *ctx, uint64_t key, uint32_t where, uint32_t seen)
{
	const struct sw_port *p = ctx;

	steer(p, key, is_elsewhere(p, where));
	return 0;
}

// Whether what is on the port's wire in `vid`, 0 without a tag, for this address lives elsewhere.
static bool counts(void *ctx, const uint8_t *mac, uint16_t vid)
{
	const struct sw_port *p = ctx;
	const struct vlan_port vlan = vlan_port(&p->config.vlan);
	const uint16_t in = vid ? vid : vlan.untagged;
	uint32_t where;

	if ((vid && !vlan.is_trunk) || !vlan_is_member(&p->config.vlan, in))
		return false;
	fdb_find(p->sw->common.fdb, fdb_key(eth_addr(mac), in), &where);
	return is_elsewhere(p, where);
}

void sw_steer_port(struct sw *sw, struct sw_port *p)
{
	if (p->port->ops->steer_check)
		p->port->ops->steer_check(p->port, counts, p);
	if (p->port->ops->steer)
		fdb_foreach(sw->common.fdb, steer_each, p);
}

// --- Events ---

static void say(struct sw *sw, enum switch_event_kind kind, uint64_t key, uint32_t port)
{
	struct switch_event ev = {.kind = kind, .level = LOG_DEBUG, .vid = fdb_key_vid(key)};

	key_addr(key, ev.mac);
	snprintf(ev.port, sizeof(ev.port), "%s", sw_port_name(sw, port));
	event_queue_push(&sw->events, &ev);
}

void sw_fdb_event(struct sw *sw, const struct fdb_event *from, struct switch_event *to)
{
	*to = (struct switch_event){
		.kind = from->kind,
		.level = LOG_DEBUG,
		.time_ns = clock_ns(CLOCK_REALTIME),
		.vid = fdb_key_vid(from->key),
	};
	key_addr(from->key, to->mac);
	snprintf(to->port, sizeof(to->port), "%s", sw_port_name(sw, from->port));
	if (from->kind == EVENT_FDB_MOVED)
		snprintf(
			to->old_port, sizeof(to->old_port), "%s", sw_port_name(sw, from->old_port));
}

// --- Forgetting ---

#define GONE_MAX 512u

// What is to go, and a batch of what went: ports are told after the table's lock is released.
struct forget {
	struct sw *sw;
	const struct sw_port *lost_vlans; // only in VLANs that it carries no more
	uint32_t id;                      // PORT_MAX: of any port
	uint16_t vid;                     // 0: in any VLAN
	bool also_static;
	bool aged;
	uint32_t now, age_s;
	uint32_t n;
	uint64_t gone[GONE_MAX];
	uint16_t gone_port[GONE_MAX];
};

static bool forget_want(void *ctx, uint64_t key, uint32_t where, uint32_t seen)
{
	struct forget *f = ctx;

	if (f->n == GONE_MAX)
		return false; // the next round takes it
	if (where & FDB_STATIC && !f->also_static)
		return false;
	if (f->id != PORT_MAX && FDB_PORT(where) != f->id)
		return false;
	if (f->vid && fdb_key_vid(key) != f->vid)
		return false;
	if (f->lost_vlans && vlan_is_member(&f->lost_vlans->config.vlan, fdb_key_vid(key)))
		return false;
	// A worker's stamp may be a second ahead of ours.
	if (f->aged && (int32_t)(f->now - seen) < (int32_t)f->age_s)
		return false;
	f->gone[f->n] = key;
	f->gone_port[f->n++] = (uint16_t)FDB_PORT(where);
	return true;
}

void sw_say_forgotten(struct sw *sw, uint64_t key, uint32_t port)
{
	say(sw, EVENT_FDB_AGED, key, port);
	sw_steer(sw, key);
}

static uint32_t forget(struct sw *sw, struct forget *f)
{
	uint32_t total = 0;

	do {
		f->n = 0;
		total += fdb_sweep(sw->common.fdb, forget_want, f);
		for (uint32_t i = 0; i < f->n; i++)
			sw_say_forgotten(sw, f->gone[i], f->gone_port[i]);
	} while (f->n == GONE_MAX);
	return total;
}

uint32_t sw_forget(struct sw *sw, uint32_t id, uint16_t vid, bool also_static)
{
	struct forget f = {.sw = sw, .id = id, .vid = vid, .also_static = also_static};

	return forget(sw, &f);
}

void sw_forget_lost_vlans(struct sw *sw, const struct sw_port *p)
{
	struct forget f = {.sw = sw, .id = p->id, .lost_vlans = p, .also_static = true};

	forget(sw, &f);
}

void sw_age(struct sw *sw)
{
	struct forget f = {
		.sw = sw, .id = PORT_MAX, .aged = true, .now = clock_s(), .age_s = sw->age_s};

	forget(sw, &f);
}

int switch_set_age(struct sw *sw, uint32_t age_s)
{
	if (age_s == 0 || age_s > 1000000)
		return -EINVAL;
	sw->age_s = age_s;
	return 0;
}

// --- The face ---

struct show {
	struct sw *sw;
	int (*each)(void *ctx, const struct switch_fdb_entry *e);
	void *ctx;
	uint32_t now;
};

static int show_each(void *ctx, uint64_t key, uint32_t where, uint32_t seen)
{
	const struct show *show = ctx;
	struct switch_fdb_entry e = {
		.vid = fdb_key_vid(key),
		.port = sw_port_name(show->sw, FDB_PORT(where)),
		.is_static = where & FDB_STATIC,
		.age_s = (int32_t)(show->now - seen) > 0 ? show->now - seen : 0,
	};

	key_addr(key, e.mac);
	return show->each(show->ctx, &e);
}

int switch_fdb_foreach(
	struct sw *sw, int (*each)(void *ctx, const struct switch_fdb_entry *e), void *ctx)
{
	struct show show = {.sw = sw, .each = each, .ctx = ctx, .now = clock_s()};

	return fdb_foreach(sw->common.fdb, show_each, &show);
}

int switch_fdb_add(
	struct sw *sw, const uint8_t mac[6], uint16_t vid, const char *name, struct error *err)
{
	const struct sw_port *p = sw_port_find(sw, name);

	if (!p)
		return sw_port_unknown(name, err);
	if (!eth_is_station(mac))
		return error_set(err, -EINVAL, "mac",
			"mac: a group or zero address does not live on a port");
	if (!vlan_vid_ok(vid))
		return error_set(
			err, -EINVAL, "vlan", "vlan: %u is not a VLAN; 1 to 4094 are", vid);
	if (!vlan_is_member(&p->config.vlan, vid))
		return error_set(
			err, -EINVAL, "vlan", "vlan: port '%s' does not carry VLAN %u", name, vid);
	const uint64_t key = fdb_key(eth_addr(mac), vid);
	int rc = fdb_set(sw->common.fdb, key, (uint16_t)p->id, clock_s());
	if (rc < 0) { // all slots that it may have are taken
		sw_grow_fdb(sw);
		rc = fdb_set(sw->common.fdb, key, (uint16_t)p->id, clock_s());
	}
	if (rc < 0)
		return error_set(err, -ENOSPC, "mac",
			"the table of addresses is full; raise fdb.max or delete some");
	sw_steer(sw, key);
	return 0;
}

int switch_fdb_del(struct sw *sw, const uint8_t mac[6], uint16_t vid, struct error *err)
{
	const uint64_t key = fdb_key(eth_addr(mac), vid);

	if (!vlan_vid_ok(vid) || fdb_del(sw->common.fdb, key) < 0)
		return error_set(err, -ENOENT, "mac",
			"%02x:%02x:%02x:%02x:%02x:%02x is not known in VLAN %u", mac[0], mac[1],
			mac[2], mac[3], mac[4], mac[5], vid);
	sw_steer(sw, key);
	return 0;
}

uint32_t switch_fdb_flush(struct sw *sw, const char *name, uint16_t vid)
{
	uint32_t id = PORT_MAX;

	if (name) {
		const struct sw_port *p = sw_port_find(sw, name);
		if (!p)
			return 0;
		id = p->id;
	}
	return sw_forget(sw, id, vid, false);
}

void switch_fdb_size(struct sw *sw, uint32_t *n, uint32_t *max)
{
	*n = fdb_count(sw->common.fdb);
	*max = sw->common.fdb->max;
}
