// SPDX-License-Identifier: BSD-2-Clause
// What a running switch tells: events, announcements of guests that arrived, and captured frames.
#include "tests/unit/switch_ports.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

const struct port_ops *const port_types[] = {&fake_port_ops, &fake_steered_ops, NULL};

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_tell_what_happens),
		cmocka_unit_test(events_name_the_port_that_was),
		cmocka_unit_test(too_many_events_are_counted),
		cmocka_unit_test(drops_are_told_when_they_begin),
		cmocka_unit_test(a_migrated_guest_is_announced),
		cmocka_unit_test(a_forged_announcement_is_refused),
		cmocka_unit_test(a_port_is_captured),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
