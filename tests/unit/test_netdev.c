// SPDX-License-Identifier: BSD-2-Clause
// Interfaces of all kinds as netdev reads them, what it refuses, and the watch that sees them change.
#include "dataplane/port/netdev.h"
#include "tests/lib/netns.h"
#include "tests/lib/open_fds.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

static void test_a_pair_of_interfaces(void **state)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 0xa0};
	struct netdev dev;
	assert_int_equal(netdev_get("wx0", &dev, NULL), 0);
	assert_memory_equal(dev.mac, mac, 6);
	assert_true(dev.up && dev.running);
	assert_int_equal(dev.mtu, 1500);
	assert_int_equal(dev.n_rx, 2);
	assert_true(dev.max_queues >= 2);
	assert_string_equal(dev.driver, "veth");
	netns_run("ip link set wx1 down");
	assert_int_equal(netdev_get("wx0", &dev, NULL), 0);
	assert_true(dev.up && !dev.running);
	netns_run("ip link set wx1 up");
}

// Neither queues that can be told nor an Ethernet address: as good as one queue and no address.
static void test_an_interface_without_address_or_channels(void **state)
{
	static const uint8_t none[6];
	static const char *const names[] = {"lo", "wxtun"};
	netns_run("ip tuntap add wxtun mode tun");
	for (unsigned i = 0; i < 2; i++) {
		struct netdev dev;
		assert_int_equal(netdev_get(names[i], &dev, NULL), 0);
		assert_memory_equal(dev.mac, none, 6);
		assert_int_equal(dev.n_rx, 1);
		assert_int_equal(dev.n_tx, 1);
		assert_int_equal(dev.max_queues, 1);
	}
	netns_run("ip link del wxtun");
}

static void test_no_such_interface(void **state)
{
	struct netdev dev = {.mtu = 77};
	struct error err = {0};
	assert_int_equal(netdev_get("wxnone", &dev, &err), -ENODEV);
	assert_int_equal(dev.mtu, 77);
	assert_non_null(strstr(err.text, "there is no device wxnone"));
	assert_int_equal(netdev_set_mtu("wxnone", 1500, &err), -ENODEV);
	assert_int_equal(netdev_set_up("wxnone", &err), -ENODEV);
	assert_false(netdev_set_rx_vlan_offload("wxnone", true));
	assert_int_equal(netdev_promiscuous(0x7fffffff, &err), -ENODEV);
}

// MTU and flags are two things: setting one leaves the other.
static void test_one_thing_is_set_at_a_time(void **state)
{
	struct netdev dev;
	struct error err = {0};
	netns_run("ip link set wx0 down");
	assert_int_equal(netdev_set_mtu("wx0", 1600, &err), 0);
	assert_int_equal(netdev_get("wx0", &dev, NULL), 0);
	assert_true(!dev.up && dev.mtu == 1600);
	assert_int_equal(netdev_set_up("wx0", &err), 0);
	assert_int_equal(netdev_get("wx0", &dev, NULL), 0);
	assert_true(dev.up && dev.mtu == 1600);
	assert_int_equal(netdev_set_mtu("wx0", 1, &err), -EINVAL);
	assert_string_equal(err.key, "mtu");
}

static void test_vlan_offload_says_whether_it_changed(void **state)
{
	assert_true(netdev_set_rx_vlan_offload("wx0", false));
	assert_false(netdev_set_rx_vlan_offload("wx0", false)); // it was off
	assert_true(netdev_set_rx_vlan_offload("wx0", true));
	assert_false(netdev_set_rx_vlan_offload("wx0", true));
	assert_false(netdev_set_rx_vlan_offload("lo", true)); // which cannot
}

static void test_without_files_it_fails(void **state)
{
	struct netdev dev = {.mtu = 77}, *d = &dev;
	struct netdev_watch w;
	struct error err[5] = {0};
	struct rlimit before, none;
	int lowest = dup(0), rc[5];
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){(rlim_t)lowest, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	rc[0] = netdev_get("wx0", d, &err[0]);
	rc[1] = netdev_set_up("wx0", &err[1]);
	rc[2] = netdev_promiscuous(1, &err[2]);
	rc[3] = netdev_watch_start(&w, NULL, NULL, &err[3]);
	bool vlan = netdev_set_rx_vlan_offload("wx0", false);
	// One file is enough for the socket, but not for the event beside it.
	none.rlim_cur++;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	rc[4] = netdev_watch_start(&w, NULL, NULL, &err[4]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(dev.mtu, 77);
	assert_false(vlan);
	assert_int_equal(rc[2], -EMFILE);
	for (unsigned i = 0; i < 5; i++) {
		assert_true(rc[i] < 0);
		assert_string_equal(err[i].key, "device");
	}
	assert_int_equal(dup(0), lowest); // all were closed
	close(lowest);
}

static void count(void *ctx)
{
	__atomic_add_fetch((uint32_t *)ctx, 1, __ATOMIC_RELAXED);
}

static bool has_counted(void *ctx)
{
	return __atomic_load_n((uint32_t *)ctx, __ATOMIC_RELAXED) > 0;
}

static bool rests(void *ctx)
{
	uint32_t before = __atomic_load_n((uint32_t *)ctx, __ATOMIC_RELAXED);
	usleep(50000);
	return __atomic_load_n((uint32_t *)ctx, __ATOMIC_RELAXED) == before;
}

// Each change is looked at, and then the thread sleeps again. When it is stopped no descriptor is left.
static void test_the_watch_sees_changes_and_rests(void **state)
{
	static uint32_t calls;
	struct netdev_watch w;
	struct error err;
	const unsigned fds = open_fds();
	assert_int_equal(netdev_watch_start(&w, count, &calls, &err), 0);
	netns_run("ip link set wx0 down && ip link set wx0 up");
	assert_true(netns_wait(has_counted, &calls));
	assert_true(netns_wait(rests, &calls));
	netdev_watch_stop(&w);
	assert_int_equal(open_fds(), fds);
	netdev_watch_stop(&w); // of one that is stopped
}

static int setup(void **state)
{
	netns_veth("wx0", 0xa0, "wx1", 0xb0, "numrxqueues 2 numtxqueues 2");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pair_of_interfaces),
		cmocka_unit_test(test_an_interface_without_address_or_channels),
		cmocka_unit_test(test_no_such_interface),
		cmocka_unit_test(test_one_thing_is_set_at_a_time),
		cmocka_unit_test(test_vlan_offload_says_whether_it_changed),
		cmocka_unit_test(test_without_files_it_fails),
		cmocka_unit_test(test_the_watch_sees_changes_and_rests),
	};
	int status;
	if (!netns_enter(&status))
		return status;
	return cmocka_run_group_tests(tests, setup, NULL);
}
