// SPDX-License-Identifier: BSD-2-Clause
// Ports of the switch: adding, changing, removing, showing, capturing, and what they report.
#include "dataplane/switch/sw.h"

#include "dataplane/port/rcu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

struct sw_port *sw_port_find(const struct sw *sw, const char *name)
{
	for (struct sw_port *p = sw->ports; p; p = p->next)
		if (strcmp(p->config.port.name, name) == 0)
			return p;
	return NULL;
}

int sw_port_unknown(const char *name, struct error *err)
{
	return error_set(err, -ENOENT, "port", "there is no port '%s'", name);
}

static bool name_ok(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t n = strnlen(name, PORT_NAME_MAX);

	return n >= 1 && n < PORT_NAME_MAX && strspn(name, allowed) == n;
}

static int config_check(const struct switch_port_config *config, struct error *err)
{
	int rc;

	if (!name_ok(config->port.name))
		return error_set(err, -EINVAL, "name",
			"name: 1 to %u letters, digits, '_', '.' or '-'", PORT_NAME_MAX - 1);
	rc = vlan_check(&config->vlan, err);
	return rc < 0 ? rc : policy_check(&config->policy, err);
}

// --- What ports report; from control or a thread of the port's ---

static void on_link(void *ctx, struct port *port, enum port_link link, const char *why)
{
	struct sw_port *p = ctx;
	const bool up = link == PORT_LINK_UP;

	pthread_mutex_lock(&p->lock);
	bool changed = p->link_up != up;
	p->link_up = up;
	// What was learnt is forgotten by the next tick. A guest that is back before then (its VMM
	// or we were started anew) has its addresses still, and those it had will be all it has.
	if (changed)
		p->flush = !up;
	snprintf(p->why, sizeof(p->why), "%s", why ? why : "");
	pthread_mutex_unlock(&p->lock);
	__atomic_store_n(&port->link, link, __ATOMIC_RELAXED);
	event_queue_say(
		&p->sw->events, up ? EVENT_LINK_UP : EVENT_LINK_DOWN, LOG_NOTICE, p->name, why);
}

static void on_log(void *ctx, struct port *port, int level, const char *text)
{
	struct sw_port *p = ctx;

	event_queue_say(&p->sw->events, EVENT_LOG, level, p->name, text);
}

static void on_announce(void *ctx, struct port *port, const uint8_t *mac)
{
	struct sw_port *p = ctx;

	announce_add(&p->sw->shared.announce, p->id, mac);
}

// --- Life ---

static void list_append(struct sw *sw, struct sw_port *p)
{
	struct sw_port **at = &sw->ports;

	while (*at)
		at = &(*at)->next;
	*at = p;
	sw->by_id[p->id] = p;
}

static void list_remove(struct sw *sw, struct sw_port *p)
{
	struct sw_port **at = &sw->ports;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
}

static void sw_port_free(struct sw_port *p)
{
	port_free(p->port);
	tape_free(p->tape);
	policy_free(p->policy);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static struct sw_port *sw_port_new(struct sw *sw, const struct switch_port_config *config)
{
	struct sw_port *p = aligned_alloc(64, (sizeof(*p) + 63) / 64 * 64);

	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	p->sw = sw;
	p->config = *config;
	memcpy(p->name, config->port.name, sizeof(p->name));
	pthread_mutex_init(&p->lock, NULL);
	snprintf(p->why, sizeof(p->why), "not connected yet");
	while (p->id < PORT_MAX && sw->by_id[p->id])
		p->id++;
	return p;
}

static int make_policy(const struct sw *sw, const struct policy_config *config, struct policy **out)
{
	*out = NULL;
	return policy_is_any(config) ? policy_new(config, sw->shared.cycles_hz, out) : 0;
}

// Makes the port and lets workers poll it.
static int port_start(struct sw *sw, struct sw_port *p, struct error *err)
{
	const struct port_upcalls up = {.ctx = p,
		.link = on_link,
		.log = on_log,
		.announce = on_announce,
		.keeper = sw->keeper};
	int rc = make_policy(sw, &p->config.policy, &p->policy);

	if (rc < 0)
		return error_set(err, rc, NULL, "out of memory");
	rc = port_new(&p->config.port, &up, &p->port, err);
	if (rc < 0)
		return rc;
	p->port->id = p->id;
	p->port->cycles_hz = sw->shared.cycles_hz;
	list_append(sw, p);
	for (uint32_t q = 0; q < p->port->n_rxq; q++)
		p->port->rxq[q].worker = UNPOLLED;
	sw_spread_queues(sw);
	rc = sw_publish(sw);
	if (rc < 0) {
		list_remove(sw, p);
		sw->by_id[p->id] = NULL;
		return error_set(err, rc, NULL, "out of memory");
	}
	sw_steer_port(sw, p);
	return 0;
}

int switch_port_add(struct sw *sw, const struct switch_port_config *config, struct error *err)
{
	int rc = config_check(config, err);

	if (rc < 0)
		return rc;
	if (sw_port_find(sw, config->port.name))
		return error_set(err, -EEXIST, "name", "name: there is a port '%s' already",
			config->port.name);
	struct sw_port *p = sw_port_new(sw, config);
	if (!p)
		return error_set(err, -ENOMEM, NULL, "out of memory");
	if (p->id == PORT_MAX)
		rc = error_set(err, -ENOSPC, "name", "there are %u ports already", PORT_MAX);
	else
		rc = port_start(sw, p, err);
	if (rc < 0) {
		sw_port_free(p);
		return rc;
	}
	event_queue_say(&sw->events, EVENT_PORT_ADDED, LOG_INFO, config->port.name, NULL);
	return 0;
}

void sw_port_del(struct sw *sw, struct sw_port *p)
{
	list_remove(sw, p);
	sw_publish_surely(sw);
	announce_del(&sw->shared.announce, p->id);
	sw_forget(sw, p->id, 0, true);
	sw_take_events(sw);
	sw->by_id[p->id] = NULL; // another port may have the number from here on
	sw_port_free(p);
}

int switch_port_del(struct sw *sw, const char *name, struct error *err)
{
	struct sw_port *p = sw_port_find(sw, name);

	if (!p)
		return sw_port_unknown(name, err);
	event_queue_say(&sw->events, EVENT_PORT_REMOVED, LOG_INFO, name, NULL);
	sw_port_del(sw, p);
	return 0;
}

// Closes the port and opens it anew; if that fails, opens it as it was.
static int port_replace(struct sw *sw, struct sw_port *p, const struct switch_port_config *config,
	struct error *err)
{
	const struct switch_port_config old = p->config;
	int rc;

	sw_port_del(sw, p);
	rc = switch_port_add(sw, config, err);
	if (rc < 0) {
		struct error again;
		if (switch_port_add(sw, &old, &again) < 0)
			event_queue_say(&sw->events, EVENT_LOG, LOG_ERR, old.port.name, again.text);
	}
	return rc;
}

int switch_port_set(struct sw *sw, const struct switch_port_config *config, struct error *err)
{
	struct sw_port *p = sw_port_find(sw, config->port.name);
	struct policy *policy, *old_policy;
	int rc;

	if (!p)
		return sw_port_unknown(config->port.name, err);
	rc = config_check(config, err);
	if (rc < 0)
		return rc;
	if (strcmp(config->port.type, p->config.port.type) != 0)
		return port_replace(sw, p, config, err);
	rc = make_policy(sw, &config->policy, &policy);
	if (rc < 0)
		return error_set(err, rc, NULL, "out of memory");
	if (memcmp(&config->port, &p->config.port, sizeof(config->port)) != 0)
		rc = p->port->ops->set(p->port, &config->port, err);
	if (rc < 0) {
		policy_free(policy);
		return rc == -ENOTSUP ? port_replace(sw, p, config, err) : rc;
	}
	const struct switch_port_config old = p->config;
	const bool other_vlans = memcmp(&config->vlan, &old.vlan, sizeof(old.vlan)) != 0;
	old_policy = p->policy;
	p->config = *config;
	p->policy = policy;
	rc = sw_publish(sw);
	if (rc < 0) {
		p->config.vlan = old.vlan;
		p->config.policy = old.policy;
		p->policy = old_policy;
		policy_free(policy);
		return error_set(err, rc, NULL, "out of memory");
	}
	policy_free(old_policy);
	if (other_vlans) {
		sw_forget_lost_vlans(sw, p);
		sw_steer_port(sw, p);
	}
	event_queue_say(&sw->events, EVENT_PORT_CHANGED, LOG_INFO, config->port.name, NULL);
	return 0;
}

// --- Showing ---

static void port_show(struct sw_port *p, struct switch_port *out)
{
	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&p->lock);
	out->link_up = p->link_up;
	memcpy(p->why_shown, p->why, sizeof(p->why));
	pthread_mutex_unlock(&p->lock);
	out->config = &p->config;
	out->id = p->id;
	out->link_why = p->why_shown;
	out->mtu = port_load(&p->port->mtu);
	out->n_rxq = p->port->n_rxq;
	out->rxq_live = port_load(&p->port->rxq_live);
	for (uint32_t q = 0; q < out->n_rxq; q++)
		out->rxq_worker[q] = sw_worker_number(p->sw, p->port->rxq[q].worker);
	port_stats_sum(p->port, &out->stats);
}

int switch_port_foreach(
	struct sw *sw, int (*each)(void *ctx, const struct switch_port *port), void *ctx)
{
	struct switch_port show;

	for (struct sw_port *p = sw->ports, *next; p; p = next) {
		next = p->next;
		port_show(p, &show);
		int rc = each(ctx, &show);
		if (rc)
			return rc;
	}
	return 0;
}

int switch_port_find(struct sw *sw, const char *name, struct switch_port *out)
{
	struct sw_port *p = sw_port_find(sw, name);

	if (!p)
		return -ENOENT;
	port_show(p, out);
	return 0;
}

int switch_port_describe(struct sw *sw, const char *name, const struct describer *to)
{
	struct sw_port *p = sw_port_find(sw, name);

	if (!p)
		return -ENOENT;
	if (p->port->ops->describe)
		p->port->ops->describe(p->port, to);
	return 0;
}

// --- Capture ---

int switch_capture_start(
	struct sw *sw, const char *name, unsigned dirs, uint32_t snaplen, struct error *err)
{
	struct sw_port *p = sw_port_find(sw, name);
	int rc;

	if (!p)
		return sw_port_unknown(name, err);
	if (!dirs || dirs & ~(unsigned)(CAPTURE_RX | CAPTURE_TX))
		return error_set(err, -EINVAL, "dir", "dir: rx, tx or both");
	if (p->tape)
		return error_set(err, -EBUSY, "port", "port '%s' is being captured already", name);
	rc = tape_new(dirs, snaplen, WORKERS_MAX, &p->tape);
	if (rc == 0) {
		rc = sw_publish(sw);
		if (rc < 0) {
			tape_free(p->tape);
			p->tape = NULL;
		}
	}
	return rc < 0 ? error_set(err, rc, NULL, "out of memory") : 0;
}

int switch_capture_stop(struct sw *sw, const char *name, uint64_t *lost)
{
	struct sw_port *p = sw_port_find(sw, name);

	if (!p || !p->tape)
		return -ENOENT;
	struct tape *c = p->tape;
	p->tape = NULL;
	int rc = sw_publish(sw);
	if (rc < 0) {
		p->tape = c;
		return rc;
	}
	if (lost)
		*lost = tape_lost(c);
	tape_free(c);
	return 0;
}

uint32_t switch_capture_read(struct sw *sw, const char *name, uint32_t max,
	void (*each)(void *ctx, const struct capture_frame *f), void *ctx, uint64_t *lost)
{
	struct sw_port *p = sw_port_find(sw, name);

	if (!p || !p->tape)
		return 0;
	uint32_t n = tape_read(p->tape, max, each, ctx);
	if (lost)
		*lost = tape_lost(p->tape);
	return n;
}
