// SPDX-License-Identifier: BSD-2-Clause
// The switch from outside, with running workers: its workers and ports, which come, change and go.
#include "tests/unit/switch_ports.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

const struct port_ops *const port_types[] = {&fake_port_ops, &fake_steered_ops, NULL};

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
		cmocka_unit_test(ports_describe_themselves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
