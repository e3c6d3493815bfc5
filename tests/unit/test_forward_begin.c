// SPDX-License-Identifier: BSD-2-Clause
// What is told from how the frames of a burst begin: of no address, type or VLAN that no frame has.
#include "dataplane/switch/forward.h"

#include "dataplane/frame/eth.h"
#include "tests/lib/switch_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

// A frame from an address that is no station's.
static void send_from(struct rig *r, unsigned port, const uint8_t *src, unsigned to)
{
	uint8_t f[60];

	rig_frame(f, 0, to, sizeof(f), 0);
	memcpy(f + ETH_ADDR_LEN, src, ETH_ADDR_LEN);
	fake_send(r->port[port], 0, f, sizeof(f));
}

static bool knows(struct rig *r, const uint8_t *mac, uint16_t vid, unsigned port)
{
	uint32_t where;

	return fdb_find(r->fdb, fdb_key(eth_addr(mac), vid), &where) != FDB_NONE &&
	       FDB_PORT(where) == port;
}

// The bits of stations 1 and 2 together are those of station 3, to which the last burst went.
static void two_destinations_are_not_a_third(void **state)
{
	struct rig *r = *state;

	rig_learn_all(r);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 4; i++)
			rig_send(r, 0, 0, 3);
		rig_pass(r);
		assert_int_equal(rig_got(r, 3), 4);
		for (unsigned i = 0; i < 10; i++)
			rig_send(r, 0, 0, 1 + i % 2);
		rig_pass(r);
		assert_int_equal(rig_got(r, 1), 5);
		assert_int_equal(rig_got(r, 2), 5);
		assert_int_equal(rig_got(r, 3), 0);
	}
}

// The same of sources: both are learnt.
static void two_sources_are_not_a_third(void **state)
{
	struct rig *r = *state;
	uint8_t mac[ETH_ADDR_LEN];

	rig_send(r, 4, 4, 0);
	rig_send(r, 0, 0x103, 4);
	rig_pass(r);
	rig_send(r, 0, 0x103, 4);
	rig_pass(r);
	for (unsigned i = 0; i < 10; i++)
		rig_send(r, 0, 0x101 + i % 2, 4);
	rig_pass(r);
	for (unsigned n = 0x101; n <= 0x103; n++) {
		rig_mac(mac, n);
		assert_true(knows(r, mac, 1, 0));
	}
}

// A source that is known in one VLAN is not in another, on the same port and in the same second: untagged first, and
// tagged first.
static void a_source_is_learnt_in_each_vlan(void **state)
{
	struct rig *r = *state;
	uint8_t mac[ETH_ADDR_LEN];

	rig_trunk(r, 2, 10, 10, 20);
	rig_replan(r);
	for (unsigned n = 7; n < 9; n++) {
		rig_mac(mac, n);
		for (unsigned i = 0; i < 2; i++) {
			const bool tagged = i == n % 2;

			for (unsigned k = 0; k < 10 && tagged; k++)
				rig_send_tagged(r, 2, n, 9, 20);
			for (unsigned k = 0; k < 10 && !tagged; k++)
				rig_send(r, 2, n, 9);
			rig_pass(r);
			assert_true(knows(r, mac, tagged ? 20 : 10, 2));
			assert_int_equal(knows(r, mac, tagged ? 10 : 20, 2), i);
		}
	}
}

// Addresses that begin with zeros are none that is zero, whatever else there is in the burst.
static void sources_that_begin_with_zeros_are_stations(void **state)
{
	static const uint8_t macs[][ETH_ADDR_LEN] = {
		{0, 0, 0, 0, 0, 1}, {0, 0, 1, 0, 0, 0}, {2, 0, 0, 0, 0, 0}, {0, 2, 0, 0, 0, 0}};
	static const uint8_t zero[ETH_ADDR_LEN];
	struct rig *r = *state;

	rig_learn_all(r);
	for (unsigned i = 0; i < 8; i++)
		send_from(r, 0, macs[i % 4], 1);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 8);
	assert_int_equal(rig_dropped_at_all(r), 0);
	for (unsigned i = 0; i < 8; i++)
		send_from(r, 0, i == 5 ? zero : macs[i % 4], 1);
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 7);
	assert_int_equal(rig_dropped(r, 0, DROP_malformed), 1);
}

// Types whose bits together are those of a tag.
static void two_types_are_not_a_tag(void **state)
{
	struct rig *r = *state;
	uint8_t f[60];

	rig_learn_all(r);
	for (unsigned i = 0; i < 10; i++) {
		rig_frame(f, 0, 1, sizeof(f), 0);
		eth_put_be16(f + 2 * ETH_ADDR_LEN, i % 2 ? 0x8035 : 0x0100);
		fake_send(r->port[0], 0, f, sizeof(f));
	}
	rig_pass(r);
	assert_int_equal(rig_got(r, 1), 10);
	assert_int_equal(rig_dropped_at_all(r), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(two_destinations_are_not_a_third),
		TEST(two_sources_are_not_a_third),
		TEST(a_source_is_learnt_in_each_vlan),
		TEST(sources_that_begin_with_zeros_are_stations),
		TEST(two_types_are_not_a_tag),
	};
	const int failed = cmocka_run_group_tests_name("bursts as they are", tests, NULL, NULL);

	fake_set_sums(true);
	return failed + cmocka_run_group_tests_name("bursts that are summed", tests, NULL, NULL);
}
