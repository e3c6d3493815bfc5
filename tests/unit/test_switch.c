// SPDX-License-Identifier: BSD-2-Clause
// The switch from outside, with running workers: ports, events, addresses, capture.
#include "dataplane/switch/switch.h"

#include "tests/lib/fake_port.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

const struct port_ops *const port_types[] = {&fake_port_ops, &fake_steered_ops, NULL};

static struct sw *new_switch(uint32_t n_workers)
{
	struct switch_config config = {.n_workers = n_workers};
	struct error err = {0};
	struct sw *sw = NULL;

	for (uint32_t i = 0; i < n_workers; i++)
		config.cores[i] = -1;
	assert_int_equal(switch_new(&config, &sw, &err), 0);
	return sw;
}

static struct switch_port_config port_config(const char *name)
{
	struct switch_port_config c = {.port.type = "fake", .vlan.access = 1};

	snprintf(c.port.name, sizeof(c.port.name), "%s", name);
	return c;
}

static struct port *add(struct sw *sw, const struct switch_port_config *config)
{
	struct error err = {0};

	assert_int_equal(switch_port_add(sw, config, &err), 0);
	return fake_find(config->port.name);
}

static struct port *add_named(struct sw *sw, const char *name)
{
	struct switch_port_config c = port_config(name);

	return add(sw, &c);
}

// A frame of 60 bytes from 02::from to 02::to.
static void send(struct port *port, unsigned from, unsigned to)
{
	uint8_t f[60] = {2, 0, 0, 0, (uint8_t)(to >> 8), (uint8_t)to, 2, 0, 0, 0,
		(uint8_t)(from >> 8), (uint8_t)from, 0x88, 0xb5};

	fake_send(port, 0, f, sizeof(f));
}

// Waits until `cond` holds; fails after ten seconds.
#define WAIT_FOR(cond)                                                           \
	do {                                                                     \
		for (unsigned tries = 0; !(cond); tries++) {                     \
			assert_true(tries < 10000);                              \
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); \
		}                                                                \
	} while (0)

static void frames_find_their_way(void **state)
{
	struct sw *sw = new_switch(1);
	struct port *a = add_named(sw, "a"), *b = add_named(sw, "b"), *c = add_named(sw, "c");
	uint32_t n, max;

	send(a, 1, 2); // unknown: flooded
	assert_true(fake_wait(b, 1));
	assert_true(fake_wait(c, 1));
	send(b, 2, 1); // known
	assert_true(fake_wait(a, 1));
	send(a, 1, 2);
	assert_true(fake_wait(b, 2));
	assert_int_equal(fake_n_received(c), 1);
	switch_fdb_size(sw, &n, &max);
	assert_int_equal(n, 2);
	assert_int_equal(max, 65536);
	switch_free(sw);
}

// --- Configuration ---

static void bad_workers_are_refused(void **state)
{
	const struct {
		struct switch_config c;
		const char *key;
	} cases[] = {
		{{.n_workers = 1, .cores = {1023}}, "workers.core"},
		{{.n_workers = 1, .cores = {-2}}, "workers.core"},
		{{.n_workers = 2, .cores = {0, 0}}, "workers.core"},
		{{.n_workers = WORKERS_MAX + 1}, "workers"},
		{{.n_workers = 1, .cores = {-1}, .fdb_max = 1u << 25}, "fdb.max"},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err = {0};
		struct sw *sw = NULL;
		assert_int_equal(switch_new(&cases[i].c, &sw, &err), -EINVAL);
		assert_null(sw);
		assert_string_equal(err.key, cases[i].key);
		assert_true(strlen(err.text) > 10);
	}
	switch_free(NULL);
}

static void the_default_is_one_pinned_worker(void **state)
{
	const struct switch_config config = {0};
	struct switch_worker w;
	struct sw *sw;

	assert_int_equal(switch_new(&config, &sw, NULL), 0);
	assert_int_equal(switch_n_workers(sw), 1);
	assert_int_equal(switch_worker_get(sw, 0, &w), 0);
	assert_true(w.core >= 0);
	assert_true(w.cycles_hz > 1000000);
	assert_int_equal(switch_worker_get(sw, 1, &w), -ENOENT);
	switch_free(sw);
}

static void bad_ports_are_refused(void **state)
{
	struct sw *sw = new_switch(1);
	struct switch_port_config c;
	struct error err;

	static const char *const names[] = {"", "a b", "a/b", "\303\244"};
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		c = port_config(names[i]);
		assert_int_equal(switch_port_add(sw, &c, &err), -EINVAL);
		assert_string_equal(err.key, "name");
	}
	c = port_config("a");
	memset(c.port.name, 'a', sizeof(c.port.name)); // no end
	assert_int_equal(switch_port_add(sw, &c, &err), -EINVAL);
	c = port_config("a");
	c.vlan.access = 4095;
	assert_int_equal(switch_port_add(sw, &c, &err), -EINVAL);
	assert_string_equal(err.key, "vlan.access");
	c = port_config("a");
	c.policy.n_ips = 1;
	assert_int_equal(switch_port_add(sw, &c, &err), -EINVAL);
	assert_string_equal(err.key, "policy.ips");
	c = port_config("a");
	snprintf(c.port.device, sizeof(c.port.device), "broken");
	assert_int_equal(switch_port_add(sw, &c, &err), -EINVAL);
	assert_string_equal(err.key, "device");
	c = port_config("a");
	snprintf(c.port.type, sizeof(c.port.type), "nonsense");
	assert_int_equal(switch_port_add(sw, &c, &err), -EINVAL);
	assert_string_equal(err.key, "type");
	add_named(sw, "a");
	c = port_config("a");
	assert_int_equal(switch_port_add(sw, &c, &err), -EEXIST);
	assert_int_equal(switch_port_del(sw, "b", &err), -ENOENT);
	assert_int_equal(
		switch_port_set(sw, &(struct switch_port_config){.port.name = "b"}, &err), -ENOENT);
	switch_free(sw);
}

static int append_name(void *ctx, const struct switch_port *p)
{
	strcat(ctx, p->config->port.name);
	return strcmp(p->config->port.name, "stop") == 0 ? 7 : 0;
}

static void ports_come_and_go_in_order(void **state)
{
	struct sw *sw = new_switch(1);
	char names[256] = "";
	struct switch_port p;

	add_named(sw, "x");
	add_named(sw, "a");
	add_named(sw, "stop");
	add_named(sw, "z");
	assert_int_equal(switch_port_foreach(sw, append_name, names), 7);
	assert_string_equal(names, "xastop");
	assert_int_equal(switch_port_del(sw, "a", NULL), 0);
	assert_int_equal(switch_port_del(sw, "stop", NULL), 0);
	assert_null(fake_find("a"));
	add_named(sw, "b"); // takes the first free place, but is last in the list
	names[0] = 0;
	assert_int_equal(switch_port_foreach(sw, append_name, names), 0);
	assert_string_equal(names, "xzb");
	assert_int_equal(switch_port_find(sw, "b", &p), 0);
	assert_int_equal(p.id, 1);
	assert_true(p.link_up);
	assert_string_equal(p.link_why, "it is a fake");
	assert_int_equal(p.mtu, 1500);
	assert_int_equal(p.n_rxq, 1);
	assert_int_equal(switch_port_find(sw, "a", &p), -ENOENT);
	switch_free(sw);
}

static void there_are_256_ports_and_no_more(void **state)
{
	struct sw *sw = new_switch(1);
	struct error err;
	char name[32];

	for (unsigned i = 0; i < PORT_MAX; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		add_named(sw, name);
	}
	struct switch_port_config c = port_config("one-more");
	assert_int_equal(switch_port_add(sw, &c, &err), -ENOSPC);
	send(fake_find("p0"), 1, 2);
	for (unsigned i = 1; i < PORT_MAX; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		assert_true(fake_wait(fake_find(name), 1));
	}
	switch_free(sw);
}

static void a_removed_port_is_forgotten(void **state)
{
	struct sw *sw = new_switch(1);
	struct port *a = add_named(sw, "a"), *b;
	const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	struct error err;
	uint32_t n, max;

	add_named(sw, "b");
	send(fake_find("b"), 2, 1);
	assert_true(fake_wait(a, 1));
	assert_int_equal(switch_fdb_add(sw, mac, 1, "b", &err), 0);
	assert_int_equal(switch_port_del(sw, "b", NULL), 0);
	switch_fdb_size(sw, &n, &max);
	assert_int_equal(n, 0);
	// Another port takes its place and its number, not its addresses.
	b = add_named(sw, "c");
	struct port *d = add_named(sw, "d");
	send(a, 1, 2);
	assert_true(fake_wait(b, 1));
	assert_true(fake_wait(d, 1));
	switch_free(sw);
}

// --- Changes ---

static void a_port_changes_in_place(void **state)
{
	struct sw *sw = new_switch(1);
	struct switch_port_config c = port_config("b");
	struct port *a = add_named(sw, "a"), *b = add(sw, &c);
	struct switch_port p;
	struct error err;
	uint32_t n, max;

	send(b, 2, 1);
	assert_true(fake_wait(a, 1));
	c.vlan.access = 20;
	c.port.mtu = 9000;
	assert_int_equal(switch_port_set(sw, &c, &err), 0);
	assert_ptr_equal(fake_find("b"), b);
	assert_int_equal(switch_port_find(sw, "b", &p), 0);
	assert_int_equal(p.mtu, 9000);
	assert_int_equal(p.config->vlan.access, 20);
	switch_fdb_size(sw, &n, &max); // what was learnt in the VLAN it left is gone
	assert_int_equal(n, 0);
	send(a, 1, 2);
	struct port *other = add_named(sw, "other");
	send(a, 1, 2);
	assert_true(fake_wait(other, 1));
	assert_int_equal(fake_n_received(b), 0);
	switch_free(sw);
}

// Frames flow while the policy of both ports changes a hundred times: none is lost.
static void changes_lose_no_frame(void **state)
{
	struct sw *sw = new_switch(1);
	struct switch_port_config a = port_config("a"), b = port_config("b");
	struct port *pa = add(sw, &a), *pb = add(sw, &b);
	struct error err;
	uint32_t sent = 0;

	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < 200; i++, sent++)
			send(pa, 1, 2);
		a.policy.n_macs = round % 2;
		memcpy(a.policy.macs[0], (uint8_t[]){2, 0, 0, 0, 0, 1}, 6);
		b.policy.isolated = round % 3 == 0;
		assert_int_equal(switch_port_set(sw, &a, &err), 0);
		assert_int_equal(switch_port_set(sw, &b, &err), 0);
	}
	assert_true(fake_wait(pb, sent));
	assert_int_equal(fake_n_received(pb), sent);
	switch_free(sw);
}

static void a_port_that_cannot_change_is_replaced(void **state)
{
	struct sw *sw = new_switch(1);
	struct switch_port_config c = port_config("a");
	struct switch_port p;
	struct error err;

	add(sw, &c);
	snprintf(c.port.device, sizeof(c.port.device), "eth9");
	assert_int_equal(switch_port_set(sw, &c, &err), 0);
	assert_string_equal(fake_find("a")->config.device, "eth9");
	snprintf(c.port.type, sizeof(c.port.type), "fake-nic");
	assert_int_equal(switch_port_set(sw, &c, &err), 0);
	assert_ptr_equal(fake_find("a")->ops, &fake_steered_ops);
	// A new form that does not work leaves the old one.
	snprintf(c.port.device, sizeof(c.port.device), "broken");
	assert_int_equal(switch_port_set(sw, &c, &err), -EINVAL);
	assert_string_equal(err.key, "device");
	assert_string_equal(fake_find("a")->config.device, "eth9");
	assert_int_equal(switch_port_find(sw, "a", &p), 0);
	assert_string_equal(p.config->port.device, "eth9");
	// So does a refused change in place.
	snprintf(c.port.device, sizeof(c.port.device), "eth9");
	c.port.mtu = 9000;
	fake_set_fails(-EIO);
	assert_int_equal(switch_port_set(sw, &c, &err), -EIO);
	fake_set_fails(0);
	assert_int_equal(switch_port_find(sw, "a", &p), 0);
	assert_int_equal(p.config->port.mtu, 0);
	switch_free(sw);
}

static void queues_move_between_workers(void **state)
{
	struct sw *sw = new_switch(2);
	struct switch_port_config c = port_config("a");
	struct switch_worker w0, w1;
	struct switch_port p;
	struct error err;

	c.port.queues = 4;
	struct port *a = add(sw, &c), *b = add_named(sw, "b");
	switch_worker_get(sw, 0, &w0);
	switch_worker_get(sw, 1, &w1);
	assert_int_equal(w0.n_rxq + w1.n_rxq, 5);
	assert_in_range(w0.n_rxq, 2, 3);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned q = 0; q < 4; q++) {
			uint8_t f[60] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};
			fake_send(a, q, f, sizeof(f));
			assert_int_equal(switch_port_assign(sw, "a", q, (round + q) % 2, &err), 0);
		}
		assert_true(fake_wait(b, 4 * (round + 1)));
	}
	assert_int_equal(switch_port_find(sw, "a", &p), 0);
	assert_int_equal(p.rxq_worker[0], 1);
	assert_int_equal(p.rxq_worker[1], 0);
	assert_int_equal(fake_n_received(b), 200);
	assert_int_equal(switch_port_assign(sw, "a", 4, 0, &err), -EINVAL);
	assert_string_equal(err.key, "queue");
	assert_int_equal(switch_port_assign(sw, "a", 0, 2, &err), -EINVAL);
	assert_string_equal(err.key, "worker");
	assert_int_equal(switch_port_assign(sw, "no", 0, 0, &err), -ENOENT);
	switch_free(sw);
}

// --- Addresses ---

static int find_entry(void *ctx, const struct switch_fdb_entry *e)
{
	struct switch_fdb_entry *want = ctx;

	if (memcmp(want->mac, e->mac, 6) != 0 || want->vid != e->vid)
		return 0;
	*want = *e;
	return 1;
}

static bool entry(struct sw *sw, uint8_t last, uint16_t vid, struct switch_fdb_entry *e)
{
	*e = (struct switch_fdb_entry){.mac = {2, 0, 0, 0, 0, last}, .vid = vid};
	return switch_fdb_foreach(sw, find_entry, e) == 1;
}

static void addresses_are_shown_set_and_flushed(void **state)
{
	struct sw *sw = new_switch(1);
	struct switch_fdb_entry e;
	struct error err;
	const uint8_t group[6] = {3}, nine[6] = {2, 0, 0, 0, 0, 9};

	struct port *a = add_named(sw, "a"), *b = add_named(sw, "b");
	send(a, 1, 2);
	send(b, 2, 3);
	WAIT_FOR(entry(sw, 1, 1, &e) && entry(sw, 2, 1, &e));
	assert_string_equal(e.port, "b");
	assert_false(e.is_static);
	assert_in_range(e.age_s, 0, 20);
	assert_false(entry(sw, 1, 2, &e));

	assert_int_equal(switch_fdb_add(sw, nine, 1, "a", &err), 0);
	assert_true(entry(sw, 9, 1, &e));
	assert_true(e.is_static);
	send(b, 2, 9);
	assert_true(fake_wait(a, 2));
	assert_int_equal(switch_fdb_add(sw, nine, 2, "a", &err), -EINVAL);
	assert_string_equal(err.key, "vlan");
	assert_int_equal(switch_fdb_add(sw, nine, 0, "a", &err), -EINVAL);
	assert_int_equal(switch_fdb_add(sw, group, 1, "a", &err), -EINVAL);
	assert_string_equal(err.key, "mac");
	assert_int_equal(switch_fdb_add(sw, nine, 1, "no", &err), -ENOENT);

	assert_int_equal(switch_fdb_flush(sw, "no", 0), 0);
	assert_int_equal(switch_fdb_flush(sw, NULL, 2), 0);
	assert_int_equal(switch_fdb_flush(sw, "a", 0), 1);
	assert_int_equal(switch_fdb_flush(sw, NULL, 1), 1);
	assert_true(entry(sw, 9, 1, &e)); // by hand: stays
	assert_int_equal(switch_fdb_del(sw, nine, 1, &err), 0);
	assert_int_equal(switch_fdb_del(sw, nine, 1, &err), -ENOENT);
	switch_free(sw);
}

static void silent_addresses_age(void **state)
{
	struct sw *sw = new_switch(1);
	struct port *a = add_named(sw, "a"), *b = add_named(sw, "b");
	const uint8_t nine[6] = {2, 0, 0, 0, 0, 9};
	struct switch_fdb_entry e;
	struct error err;

	assert_int_equal(switch_set_age(sw, 0), -EINVAL);
	send(a, 1, 2);
	assert_true(fake_wait(b, 1));
	assert_int_equal(switch_fdb_add(sw, nine, 1, "a", &err), 0);
	switch_tick(sw);
	assert_true(entry(sw, 1, 1, &e)); // 300 s by default
	assert_int_equal(switch_set_age(sw, 1), 0);
	WAIT_FOR((switch_tick(sw), !entry(sw, 1, 1, &e)));
	assert_true(entry(sw, 9, 1, &e));
	switch_free(sw);
}

// Two thousand at once: more than a sweep tells in one go.
static void all_of_many_addresses_age(void **state)
{
	struct sw *sw = new_switch(1);
	struct port *a = add_named(sw, "a"), *b = add_named(sw, "b");
	uint32_t n, max;

	for (unsigned i = 0; i < 2000; i++) {
		send(a, i, 0x5000);
		if (i % 8 == 7) // no more than a burst learns
			assert_true(fake_wait(b, i + 1));
	}
	switch_fdb_size(sw, &n, &max);
	assert_in_range(n, 1900, 2000);
	assert_int_equal(switch_fdb_flush(sw, "a", 1), n);
	switch_fdb_size(sw, &n, &max);
	assert_int_equal(n, 0);
	switch_free(sw);
}

static void a_nic_is_told_where_addresses_live(void **state)
{
	struct sw *sw = new_switch(1);
	struct switch_port_config c = port_config("nic"), late = port_config("late");
	const uint8_t seven[6] = {2, 0, 0, 0, 0, 7};
	struct switch_event ev;
	struct error err;

	snprintf(c.port.type, sizeof(c.port.type), "fake-nic");
	late.port = c.port;
	snprintf(late.port.name, sizeof(late.port.name), "late");
	struct port *nic = add(sw, &c), *a = add_named(sw, "a");
	send(a, 1, 2);
	assert_true(fake_wait(nic, 1));
	WAIT_FOR((switch_event_next(sw, &ev), strstr(fake_steered(nic), "+02:00:00:00:00:01 0")));
	assert_int_equal(switch_fdb_add(sw, seven, 1, "a", &err), 0);
	assert_non_null(strstr(fake_steered(nic), "+02:00:00:00:00:07 0"));
	assert_int_equal(switch_fdb_del(sw, seven, 1, &err), 0);
	assert_non_null(strstr(fake_steered(nic), "-02:00:00:00:00:07 0"));
	// It moves behind the NIC.
	send(nic, 1, 9);
	WAIT_FOR((switch_event_next(sw, &ev), strstr(fake_steered(nic), "-02:00:00:00:00:01 0")));
	send(a, 3, 9);
	WAIT_FOR((switch_event_next(sw, &ev), strstr(fake_steered(nic), "+02:00:00:00:00:03 0")));
	// Who comes late hears of what is known.
	struct port *second = add(sw, &late);
	assert_non_null(strstr(fake_steered(second), "+02:00:00:00:00:03 0"));
	assert_non_null(strstr(fake_steered(second), "+02:00:00:00:00:01 0"));
	// And of what goes with its port.
	assert_int_equal(switch_port_del(sw, "a", NULL), 0);
	assert_non_null(strstr(fake_steered(nic), "-02:00:00:00:00:03 0"));
	switch_free(sw);
}

// What the NIC steers by is what stands on its wire: with its VLANs the tags change.
static void a_nic_whose_vlans_change_is_told_anew(void **state)
{
	struct sw *sw = new_switch(1);
	struct switch_port_config c = port_config("nic");
	const uint8_t seven[6] = {2, 0, 0, 0, 0, 7};
	struct error err;

	snprintf(c.port.type, sizeof(c.port.type), "fake-nic");
	struct port *nic = add(sw, &c);
	add_named(sw, "a");
	assert_int_equal(switch_fdb_add(sw, seven, 1, "a", &err), 0);
	assert_string_equal(fake_steered(nic), "+02:00:00:00:00:07 0\n");
	c.vlan = (struct vlan_config){.is_trunk = true, .trunk = {1u << 1}};
	assert_int_equal(switch_port_set(sw, &c, &err), 0);
	assert_string_equal(fake_steered(nic), "+02:00:00:00:00:07 0\n"
					       "-02:00:00:00:00:07 0\n"
					       "+02:00:00:00:00:07 1\n");
	switch_free(sw);
}

// --- Events ---

// The next event of this kind, within ten seconds.
static struct switch_event wait_event(struct sw *sw, enum switch_event_kind kind)
{
	struct pollfd fd = {.fd = switch_event_fd(sw), .events = POLLIN};
	struct switch_event ev;

	for (;;) {
		while (switch_event_next(sw, &ev))
			if (ev.kind == kind)
				return ev;
		assert_int_equal(poll(&fd, 1, 10000), 1);
	}
}

static void events_tell_what_happens(void **state)
{
	struct sw *sw = new_switch(1);
	struct port *a = add_named(sw, "a"), *b = add_named(sw, "b");
	struct switch_event ev;

	ev = wait_event(sw, EVENT_LINK_UP);
	assert_string_equal(ev.port, "a");
	assert_string_equal(ev.text, "it is a fake");
	assert_true(ev.time_ns > 1600000000ull * 1000000000ull);
	ev = wait_event(sw, EVENT_PORT_ADDED);
	assert_string_equal(ev.port, "a");
	send(a, 1, 2);
	ev = wait_event(sw, EVENT_FDB_LEARNT);
	assert_string_equal(ev.port, "a");
	assert_int_equal(ev.mac[5], 1);
	assert_int_equal(ev.vid, 1);
	send(b, 1, 2);
	ev = wait_event(sw, EVENT_FDB_MOVED);
	assert_string_equal(ev.port, "b");
	assert_string_equal(ev.old_port, "a");
	assert_int_equal(switch_fdb_flush(sw, "b", 0), 1);
	ev = wait_event(sw, EVENT_FDB_AGED);
	assert_string_equal(ev.port, "b");
	fake_set_link(b, PORT_LINK_DOWN, "guest left");
	ev = wait_event(sw, EVENT_LINK_DOWN);
	assert_string_equal(ev.text, "guest left");
	assert_int_equal(switch_port_set(sw,
				 &(struct switch_port_config){
					 .port = {.name = "b", .type = "fake"},
					 .vlan.access = 2,
				 },
				 NULL),
		0);
	ev = wait_event(sw, EVENT_PORT_CHANGED);
	b->up.log(b->up.ctx, b, 4, "something");
	ev = wait_event(sw, EVENT_LOG);
	assert_int_equal(ev.level, 4);
	assert_string_equal(ev.text, "something");
	assert_int_equal(switch_port_del(sw, "b", NULL), 0);
	ev = wait_event(sw, EVENT_PORT_REMOVED);
	assert_string_equal(ev.port, "b");
	while (switch_event_next(sw, &ev))
		;
	struct pollfd fd = {.fd = switch_event_fd(sw), .events = POLLIN};
	assert_int_equal(poll(&fd, 1, 0), 0); // silent again
	switch_free(sw);
}

static void events_name_the_port_that_was(void **state)
{
	struct sw *sw = new_switch(1);
	struct port *a = add_named(sw, "a"), *b = add_named(sw, "b");
	struct switch_event ev;

	send(b, 2, 1);
	assert_true(fake_wait(a, 1));
	assert_int_equal(switch_port_del(sw, "b", NULL), 0);
	add_named(sw, "c"); // gets the number of b
	ev = wait_event(sw, EVENT_FDB_LEARNT);
	assert_string_equal(ev.port, "b");
	switch_free(sw);
}

static void too_many_events_are_counted(void **state)
{
	struct sw *sw = new_switch(1);
	struct port *a = add_named(sw, "a");
	struct switch_event ev;
	uint64_t n = 0;

	for (unsigned i = 0; i < 5000; i++)
		a->up.log(a->up.ctx, a, 6, "again");
	while (switch_event_next(sw, &ev))
		n += ev.kind == EVENT_LOST ? ev.count : ev.kind == EVENT_LOG;
	assert_int_equal(n, 5000);
	switch_free(sw);
}

static void a_link_that_goes_down_forgets_its_addresses(void **state)
{
	struct sw *sw = new_switch(1);
	struct port *a = add_named(sw, "a"), *b = add_named(sw, "b");
	struct switch_fdb_entry e;
	struct switch_port p;

	send(a, 1, 2);
	assert_true(fake_wait(b, 1));
	fake_set_link(a, PORT_LINK_DOWN, "gone");
	switch_tick(sw);
	assert_false(entry(sw, 1, 1, &e));
	assert_int_equal(switch_port_find(sw, "a", &p), 0);
	assert_false(p.link_up);
	assert_string_equal(p.link_why, "gone");
	assert_int_equal(a->link, PORT_LINK_DOWN);
	switch_free(sw);
}

static void drops_are_told_when_they_begin(void **state)
{
	struct sw *sw = new_switch(1);
	struct port *a = add_named(sw, "a");
	struct switch_event ev;
	struct switch_port p;
	uint32_t told = 0;

	for (unsigned round = 1; round <= 3; round++) {
		uint8_t f[64] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x81, 0, 0, 77};
		fake_send(a, 0, f, sizeof(f));
		WAIT_FOR((switch_port_find(sw, "a", &p), p.stats.drop[DROP_vlan] == round));
		switch_tick(sw);
		while (switch_event_next(sw, &ev))
			if (ev.kind == EVENT_DROPS) {
				assert_string_equal(ev.port, "a");
				assert_int_equal(ev.reason, DROP_vlan);
				assert_int_equal(ev.count, 1);
				assert_non_null(strstr(ev.text, "VLAN"));
				told++;
			}
	}
	assert_int_equal(told, 1);
	switch_free(sw);
}

// --- Announcements, capture, description ---

static void a_migrated_guest_is_announced(void **state)
{
	struct sw *sw = new_switch(1);
	struct switch_port_config ca = port_config("a");
	const uint8_t mac[6] = {2, 0, 0, 0, 0, 7}, group[6] = {3};
	struct switch_fdb_entry e;

	ca.vlan.access = 5;
	struct port *a = add(sw, &ca), *other = add_named(sw, "other");
	struct switch_port_config cb = port_config("b");
	cb.vlan = (struct vlan_config){.is_trunk = true, .trunk = {1u << 5}};
	struct port *b = add(sw, &cb);
	a->up.announce(a->up.ctx, a, group); // nonsense: ignored
	a->up.announce(a->up.ctx, a, mac);
	assert_true(fake_wait(b, 1));
	struct fake_frame f = fake_received(b, 0);
	assert_int_equal(f.len, 64);
	assert_memory_equal(f.bytes, "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x07", 12);
	assert_memory_equal(f.bytes + 12, "\x81\0\0\x05\x80\x35\0\x01\x08\0\x06\x04\0\x03", 14);
	assert_true(entry(sw, 7, 5, &e));
	assert_string_equal(e.port, "a");
	assert_int_equal(fake_n_received(other), 0);
	assert_int_equal(fake_n_received(b), 1);
	switch_free(sw);
}

static void a_forged_announcement_is_refused(void **state)
{
	struct sw *sw = new_switch(1);
	struct switch_port_config c = port_config("a");
	const uint8_t mac[6] = {2, 0, 0, 0, 0, 7};
	struct switch_fdb_entry e;
	struct switch_port p;

	c.policy.n_macs = 1;
	memcpy(c.policy.macs[0], (uint8_t[]){2, 0, 0, 0, 0, 8}, 6);
	struct port *a = add(sw, &c), *b = add_named(sw, "b");
	a->up.announce(a->up.ctx, a, mac);
	WAIT_FOR((switch_port_find(sw, "a", &p), p.stats.drop[DROP_spoofed] == 1));
	assert_false(entry(sw, 7, 1, &e));
	assert_int_equal(fake_n_received(b), 0);
	switch_free(sw);
}

static void count_capture(void *ctx, const struct capture_frame *f)
{
	uint32_t *n = ctx;

	n[f->dir]++;
	assert_int_equal(f->caplen, f->len < 20 ? f->len : 20);
}

static void a_port_is_captured(void **state)
{
	struct sw *sw = new_switch(2);
	struct port *a = add_named(sw, "a"), *b = add_named(sw, "b");
	uint32_t n[4] = {0};
	uint64_t lost = 1;
	struct error err;

	send(a, 1, 2);
	assert_true(fake_wait(b, 1));
	assert_int_equal(switch_capture_start(sw, "no", CAPTURE_RX, 0, &err), -ENOENT);
	assert_int_equal(switch_capture_start(sw, "a", 0, 0, &err), -EINVAL);
	assert_int_equal(switch_capture_start(sw, "a", CAPTURE_RX | CAPTURE_TX, 20, &err), 0);
	assert_int_equal(switch_capture_start(sw, "a", CAPTURE_RX, 0, &err), -EBUSY);
	for (unsigned i = 0; i < 10; i++)
		send(a, 1, 2);
	assert_true(fake_wait(b, 11));
	for (unsigned i = 0; i < 5; i++)
		send(b, 2, 1);
	assert_true(fake_wait(a, 5));
	WAIT_FOR((switch_capture_read(sw, "a", 3, count_capture, n, &lost),
		n[CAPTURE_RX] + n[CAPTURE_TX] == 15));
	assert_int_equal(n[CAPTURE_RX], 10);
	assert_int_equal(lost, 0);
	assert_int_equal(switch_capture_stop(sw, "a", &lost), 0);
	assert_int_equal(switch_capture_stop(sw, "a", &lost), -ENOENT);
	assert_int_equal(switch_capture_read(sw, "a", 3, count_capture, n, NULL), 0);
	switch_free(sw);
}

static void describe_str(void *ctx, const char *key, const char *value)
{
	snprintf(ctx, 64, "%s=%s", key, value);
}

static void ports_describe_themselves(void **state)
{
	struct sw *sw = new_switch(1);
	char text[64] = "";
	const struct describer to = {.ctx = text, .str = describe_str};

	add_named(sw, "a");
	assert_int_equal(switch_port_describe(sw, "a", &to), 0);
	assert_string_equal(text, "kind=fake");
	assert_int_equal(switch_port_describe(sw, "b", &to), -ENOENT);
	switch_free(sw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_find_their_way),
		cmocka_unit_test(bad_workers_are_refused),
		cmocka_unit_test(the_default_is_one_pinned_worker),
		cmocka_unit_test(bad_ports_are_refused),
		cmocka_unit_test(ports_come_and_go_in_order),
		cmocka_unit_test(there_are_256_ports_and_no_more),
		cmocka_unit_test(a_removed_port_is_forgotten),
		cmocka_unit_test(a_port_changes_in_place),
		cmocka_unit_test(changes_lose_no_frame),
		cmocka_unit_test(a_port_that_cannot_change_is_replaced),
		cmocka_unit_test(queues_move_between_workers),
		cmocka_unit_test(addresses_are_shown_set_and_flushed),
		cmocka_unit_test(silent_addresses_age),
		cmocka_unit_test(all_of_many_addresses_age),
		cmocka_unit_test(a_nic_is_told_where_addresses_live),
		cmocka_unit_test(a_nic_whose_vlans_change_is_told_anew),
		cmocka_unit_test(events_tell_what_happens),
		cmocka_unit_test(events_name_the_port_that_was),
		cmocka_unit_test(too_many_events_are_counted),
		cmocka_unit_test(a_link_that_goes_down_forgets_its_addresses),
		cmocka_unit_test(drops_are_told_when_they_begin),
		cmocka_unit_test(a_migrated_guest_is_announced),
		cmocka_unit_test(a_forged_announcement_is_refused),
		cmocka_unit_test(a_port_is_captured),
		cmocka_unit_test(ports_describe_themselves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
