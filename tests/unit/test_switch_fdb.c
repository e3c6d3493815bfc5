// SPDX-License-Identifier: BSD-2-Clause
// The addresses of a running switch: shown, set, flushed, aged, and told to NICs.
#include "tests/unit/switch_ports.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

const struct port_ops *const port_types[] = {&fake_port_ops, &fake_steered_ops, NULL};

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
	assert_non_null(strstr(err.text, "is not a VLAN"));
	assert_int_equal(switch_fdb_add(sw, nine, 4095, "a", &err), -EINVAL);
	assert_non_null(strstr(err.text, "is not a VLAN"));
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
	assert_int_equal(switch_set_age(sw, 1000001), -EINVAL);
	assert_int_equal(switch_set_age(sw, 1000000), 0);
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

// A trunk takes its native VLAN with the tag as well as without. What is steered to a port that is not shared
// with the host was taken in both forms, what is steered to one that is only without.
static void a_nic_is_told_of_its_native_vlan_in_both_forms(void **state)
{
	struct sw *sw = new_switch(1);
	struct switch_port_config c = port_config("nic");
	const uint8_t seven[6] = {2, 0, 0, 0, 0, 7};
	struct error err;

	snprintf(c.port.type, sizeof(c.port.type), "fake-nic");
	c.vlan = (struct vlan_config){.is_trunk = true, .trunk = {1u << 2}, .native = 1};
	struct port *nic = add(sw, &c);
	add_named(sw, "a");
	assert_int_equal(switch_fdb_add(sw, seven, 1, "a", &err), 0);
	assert_string_equal(fake_steered(nic), "+02:00:00:00:00:07 0\n"
					       "+02:00:00:00:00:07 1\n");
	// Another VLAN is native: of the old one, which the trunk carries no more, nothing stays.
	c.vlan.native = 2;
	assert_int_equal(switch_port_set(sw, &c, &err), 0);
	assert_string_equal(fake_steered(nic), "+02:00:00:00:00:07 0\n"
					       "+02:00:00:00:00:07 1\n"
					       "-02:00:00:00:00:07 0\n"
					       "-02:00:00:00:00:07 1\n");
	switch_free(sw);
}

// The last word on an address.
static bool is_steered(struct port *nic, unsigned last)
{
	char line[32];
	bool is = false;

	snprintf(line, sizeof(line), "02:00:00:00:%02x:%02x 0\n", last >> 8, last & 0xff);
	for (const char *p = fake_steered(nic); (p = strstr(p, line)); p++)
		is = p[-1] == '+';
	return is;
}

// A flood of addresses: what the table gives up goes from the NIC's too, though word of it was lost.
static void a_nic_keeps_no_address_that_was_forgotten_in_a_flood(void **state)
{
	struct sw *sw = new_switch(1);
	struct switch_port_config c = port_config("nic");
	struct switch_fdb_entry e;
	struct switch_event ev;
	unsigned gone = 0;

	snprintf(c.port.type, sizeof(c.port.type), "fake-nic");
	struct port *nic = add(sw, &c), *a = add_named(sw, "a");
	assert_int_equal(switch_set_fdb_max(sw, 1100, NULL), 0);
	for (unsigned i = 1; i <= 3000; i++) {
		send(a, i, 0xffff);
		assert_true(fake_wait(nic, i));
		if (i == 100)
			WAIT_FOR((switch_event_next(sw, &ev), is_steered(nic, 100)));
	}
	while (switch_event_next(sw, &ev))
		;
	switch_tick(sw);
	for (unsigned i = 1; i <= 100; i++) {
		const bool known = entry(sw, (uint8_t)i, 1, &e);
		assert_int_equal(is_steered(nic, i), known);
		gone += !known;
	}
	assert_true(gone > 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_shown_set_and_flushed),
		cmocka_unit_test(silent_addresses_age),
		cmocka_unit_test(all_of_many_addresses_age),
		cmocka_unit_test(a_nic_is_told_where_addresses_live),
		cmocka_unit_test(a_nic_whose_vlans_change_is_told_anew),
		cmocka_unit_test(a_nic_is_told_of_its_native_vlan_in_both_forms),
		cmocka_unit_test(a_nic_keeps_no_address_that_was_forgotten_in_a_flood),
		cmocka_unit_test(a_link_that_goes_down_forgets_its_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
