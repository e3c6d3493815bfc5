// SPDX-License-Identifier: BSD-2-Clause
// The AF_XDP port follows its device: carrier, queues, MTU, removal, another namespace and back.
#include "dataplane/port/af_xdp.h"
#include "dataplane/port/af_xdp_device.h"
#include "dataplane/port/rcu.h"
#include "tests/lib/netns.h"
#include "tests/lib/port_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const struct port_config wx0 = {.name = "up", .type = "af-xdp", .device = "wx0"};

static int setup(void **state)
{
	*state = rig_new_veth("numtxqueues 4 numrxqueues 4");
	netns_run("ethtool -L wx0 rx 2 tx 2 && ethtool -L wx1 rx 2 tx 2");
	return 0;
}

static int teardown(void **state)
{
	netns_try("ip netns del weft-test-$PPID 2>/dev/null");
	return rig_teardown(state);
}

static void again(struct port_rig *r)
{
	close(r->far);
	netns_veth("wx0", 0xa0, "wx1", 0xb0, "numtxqueues 4 numrxqueues 4");
	r->far = netns_packet("wx1");
}

static void test_carrier_is_followed(void **state)
{
	struct port_rig *r = *state;
	rig_open_ok(r, &wx0);
	rig_exchange(r, 100);
	netns_run("ip link set wx1 down");
	rig_wait_link(r, PORT_LINK_DOWN);
	assert_true(rig_why_has(r, "no carrier"));
	netns_run("ip link set wx1 up");
	rig_wait_link(r, PORT_LINK_UP);
	rig_exchange(r, 100);
	netns_run("ip link set wx0 down");
	rig_wait_link(r, PORT_LINK_DOWN);
	assert_true(rig_why_has(r, "is set down"));
	netns_run("ip link set wx0 up");
	rig_wait_link(r, PORT_LINK_UP);
	rig_exchange(r, 100);
}

// Queues and MTUs are often changed on a device that was set down for that.
static void test_a_device_that_was_set_down_stays_down(void **state)
{
	struct port_rig *r = *state;
	static const char is_up[] = "ip link show dev wx0 | grep -q '[<,]UP[,>]'";
	rig_open_ok(r, &wx0);
	netns_run("ip link set wx0 down");
	rig_wait_link(r, PORT_LINK_DOWN);
	netns_run("ip link set wx0 mtu 1400");
	rig_wait_log(r, "set up again");
	assert_int_not_equal(netns_try("%s", is_up), 0);
	rig_clear_log(r);
	netns_run("ethtool -L wx0 rx 4 tx 4");
	rig_wait_log(r, "set up again");
	assert_int_not_equal(netns_try("%s", is_up), 0);
	assert_int_equal(r->link, PORT_LINK_DOWN);
	assert_true(rig_why_has(r, "is set down"));
	netns_run("ip link set wx0 up");
	rig_wait_link(r, PORT_LINK_UP);
	rig_exchange(r, 1414);
}

// The watch sees nothing of what happens in between.
static void look_away(struct port_rig *r)
{
	pthread_mutex_lock(&((struct af_xdp *)r->port)->lock);
}

static void look_again(struct port_rig *r)
{
	pthread_mutex_unlock(&((struct af_xdp *)r->port)->lock);
}

// The kernel takes nothing from a socket whose device is down: what was sent before that was known lay in the
// ring until the device was up again, an hour later perhaps, and went out then.
static void test_what_was_sent_to_a_device_that_was_down_is_not_sent_later(void **state)
{
	struct port_rig *r = *state;
	rig_open_ok(r, &wx0);
	look_away(r);
	netns_run("ip link set wx0 down");
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(rig_tx(r, 0, 100, 1000 + i), 1);
	look_again(r);
	rig_wait_link(r, PORT_LINK_DOWN);
	rig_clear_log(r);
	netns_run("ip link set wx0 up");
	rig_wait_link(r, PORT_LINK_UP);
	rig_exchange(r, 100);
	rig_wait_log(r, "5 frames from before it was set down are not sent");
	// With nothing of that kind nothing has to be made anew.
	rig_clear_log(r);
	netns_run("ip link set wx0 down");
	rig_wait_link(r, PORT_LINK_DOWN);
	netns_run("ip link set wx0 up");
	rig_wait_link(r, PORT_LINK_UP);
	rig_exchange(r, 100);
	assert_null(strstr(r->log, "set up again"));
}

static void test_a_removed_device_may_come_back(void **state)
{
	struct port_rig *r = *state;
	rig_open_ok(r, &wx0);
	rig_exchange(r, 100);
	netns_run("ip link del wx0");
	// It may have been seen without carrier before.
	for (unsigned n = 0; !rig_why_has(r, "was removed"); n++)
		assert_true(n < 10000 && usleep(1000) == 0);
	rig_wait_link(r, PORT_LINK_DOWN);
	// A worker that still sends or polls finds nothing, and nothing bad.
	assert_int_equal(rig_tx(r, 0, 100, 1), 1);
	assert_int_equal(r->st.drop[DROP_port_down], 1);
	assert_int_equal(r->port->ops->rx(r->port, 0, &r->burst, FRAME_BURST, &r->st), 0);
	assert_int_equal(r->port->ops->rx_backlog(r->port, 0, 5, &r->st), PORT_BACKLOG_UNKNOWN);
	assert_int_equal(r->port->ops->tx_room(r->port, 0, 5, &r->st), 5); // nothing to wait for
	assert_string_equal(rig_says(r, "mode"), "none");
	again(r);
	rig_wait_link(r, PORT_LINK_UP);
	rig_exchange(r, 100);
}

// Deleted and made again within one look of the watch: a device of the same name, not the same.
static void test_a_device_replaced_at_once_is_noticed(void **state)
{
	struct port_rig *r = *state;
	rig_open_ok(r, &wx0);
	for (unsigned i = 0; i < 3; i++) {
		look_away(r);
		netns_run("ip link del wx0");
		again(r);
		look_again(r);
		rig_wait_log(r, "set up again");
		rig_wait_link(r, PORT_LINK_UP);
		rig_exchange(r, 100);
		rig_clear_log(r);
	}
}

static void test_a_device_comes_back_from_another_namespace(void **state)
{
	struct port_rig *r = *state;
	rig_open_ok(r, &wx0);
	netns_run("ip netns add weft-test-$PPID && ip link set wx0 netns weft-test-$PPID");
	rig_wait_link(r, PORT_LINK_DOWN);
	netns_run("ip -n weft-test-$PPID link set wx0 netns $PPID");
	rig_wait_link(r, PORT_LINK_UP);
	rig_exchange(r, 100);
}

// To us it has gone, but our program was left on it.
static void test_a_renamed_device_is_let_go(void **state)
{
	struct port_rig *r = *state;
	rig_open_ok(r, &wx0);
	netns_run("ip link set wx0 down && ip link set wx0 name wx9 && ip link set wx9 up");
	for (unsigned n = 0; !rig_why_has(r, "was removed"); n++)
		assert_true(n < 10000 && usleep(1000) == 0);
	netns_run("! ip link show dev wx9 | grep -q 'prog/xdp'");
	netns_run("ip link set wx9 down && ip link set wx9 name wx0 && ip link set wx0 up");
	rig_wait_link(r, PORT_LINK_UP);
	rig_exchange(r, 100);
}

// Another device takes the name within one look: the old one is let go, though its sockets are bound still.
static void test_a_name_that_another_device_took_at_once_is_followed(void **state)
{
	struct port_rig *r = *state;
	rig_open_ok(r, &wx0);
	rig_exchange(r, 100);
	netns_veth("wx2", 0xa2, "wx3", 0xb0, "numtxqueues 2 numrxqueues 2");
	look_away(r);
	netns_run("ip link set wx0 name wx9 && ip link set wx2 name wx0");
	look_again(r);
	rig_wait_log(r, "set up again");
	rig_wait_link(r, PORT_LINK_UP);
	close(r->far);
	r->far = netns_packet("wx3");
	rig_exchange(r, 100);
	netns_run("! ip link show dev wx9 | grep -q 'prog/xdp'");
	netns_run("ip link del wx9");
}

static void test_there_and_back_at_once_is_noticed(void **state)
{
	struct port_rig *r = *state;
	rig_open_ok(r, &wx0);
	look_away(r);
	netns_run("ip netns add weft-test-$PPID && ip link set wx0 netns weft-test-$PPID && "
		  "ip -n weft-test-$PPID link set wx0 netns $PPID && ip link set wx0 up");
	look_again(r);
	rig_wait_log(r, "set up again");
	rig_wait_link(r, PORT_LINK_UP);
	rig_exchange(r, 100);
}

static void test_queues_may_change(void **state)
{
	struct port_rig *r = *state;
	rig_open_ok(r, &wx0);
	assert_int_equal(rig_number(r, "queues"), 2);
	assert_int_equal(port_load(&r->port->rxq_live), 3);
	assert_int_equal(r->port->n_rxq, 4); // as many as there can be
	netns_run("ethtool -L wx0 rx 4 tx 4");
	rig_wait_log(r, "receives on 4 queues now, 2 before");
	rig_wait_log(r, "set up again");
	rig_wait_link(r, PORT_LINK_UP);
	assert_int_equal(rig_number(r, "queues"), 4);
	assert_int_equal(port_load(&r->port->rxq_live), 15);
	for (unsigned i = 0; i < 8; i++)
		rig_exchange(r, 100 + i);
	// Fewer the kernel itself refuses as long as there are sockets, and nothing is disturbed.
	assert_int_not_equal(netns_try("ethtool -L wx0 rx 1 tx 1 2>/dev/null"), 0);
	rig_exchange(r, 100);
}

// Fewer the kernel refuses; more were never used.
static void test_queues_to_send_on_may_change_alone(void **state)
{
	struct port_rig *r = *state;
	netns_run("ethtool -L wx0 tx 1");
	rig_open_ok(r, &wx0);
	assert_int_equal(port_load(&r->port->n_txq), 1);
	netns_run("ethtool -L wx0 tx 2");
	rig_wait_log(r, "sends on 2 queues now, 1 before");
	assert_int_equal(port_load(&r->port->n_txq), 2);
	assert_int_equal(rig_tx(r, 1, 100, 1), 1);
	rig_expect_far(r, 100, 1);
	netns_run("ethtool -L wx0 tx 4");
	rig_wait_log(r, "sends on 4 queues now, 2 before");
	assert_int_equal(port_load(&r->port->n_txq), 2); // each with the socket of a receive queue
	// The sockets were not touched.
	assert_null(strstr(r->log, "set up again"));
}

// The port said that it was up, and dropped all it was given.
static void test_a_port_that_cannot_go_on_is_down_and_says_why(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0;
	c.queues = 2;
	rig_open_ok(r, &c);
	netns_run("ethtool -L wx0 rx 4 tx 4");
	rig_wait_link(r, PORT_LINK_DOWN);
	assert_true(rig_why_has(r, "wx0: it receives on 4 queues, and queues: says 2"));
	assert_string_equal(rig_says(r, "mode"), "none");
	uint32_t told = r->n_link;
	netns_run("ethtool -L wx0 rx 2 tx 2");
	rig_wait_log(r, "set up again");
	rig_wait_link(r, PORT_LINK_UP);
	assert_int_equal(r->n_link, told + 1);
	rig_exchange(r, 100);
}

static void test_the_mtu_is_followed_up_to_jumbo(void **state)
{
	struct port_rig *r = *state;
	static const uint32_t mtus[] = {1500, 1600, 3818, 3819, 9000, 1500};
	netns_run("ip link set wx1 mtu 9000");
	rig_open_ok(r, &wx0);
	for (unsigned i = 0; i < sizeof(mtus) / sizeof(*mtus); i++) {
		netns_run("ip link set wx0 mtu %u", mtus[i]);
		for (unsigned n = 0; port_load(&r->port->mtu) != mtus[i]; n++)
			assert_true(n < 10000 && usleep(1000) == 0);
		rig_wait_link(r, PORT_LINK_UP);
		rig_exchange(r, 14 + mtus[i]);
		rig_exchange(r, 60);
		assert_string_equal(rig_says(r, "multi_buffer"), mtus[i] > 3818 ? "true" : "false");
		// One byte more is dropped, counted, and the event says what to do.
		uint64_t before = r->st.drop[DROP_too_long];
		assert_int_equal(rig_tx(r, 0, 15 + mtus[i], 1), 1);
		assert_int_equal(r->st.drop[DROP_too_long], before + 1);
		r->port->stats[0]->drop[DROP_too_long]++;
		r->port->ops->tick(r->port);
	}
	rig_wait_log(r, "frames of up to 1515 bytes do not fit its MTU of 1500");
	rig_wait_log(r, "or that of the senders to 1500");
}

static unsigned lines(struct port_rig *r, const char *text)
{
	unsigned n = 0;
	for (const char *at = r->log; (at = strstr(at, text)); at++)
		n++;
	return n;
}

// Ticks come each second, and what they tell of is not told by each.
static void test_a_tick_repeats_nothing(void **state)
{
	struct port_rig *r = *state;
	rig_open_ok(r, &wx0);
	struct xdp_queue *q = ((struct af_xdp *)r->port)->queue[0];
	q->rx.bad = 2;
	q->tx.bad = 1;
	for (unsigned i = 0; i < 3; i++) {
		r->port->stats[0]->drop[DROP_too_long]++;
		r->port->ops->tick(r->port);
		assert_int_equal(lines(r, "3 ring entries named buffers"), 1);
		assert_int_equal(lines(r, "do not fit its MTU of 1500"), 1);
	}
	q->rx.bad += 4;
	r->port->ops->tick(r->port);
	assert_int_equal(lines(r, "4 ring entries named buffers"), 1);
}

static void test_mtu_of_the_configuration_is_set(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0;
	struct error err;
	c.mtu = 1400;
	rig_open_ok(r, &c);
	assert_int_equal(r->port->mtu, 1400);
	netns_run("ip link show wx0 | grep -q 'mtu 1400'");
	c.mtu = 1300;
	assert_int_equal(r->port->ops->set(r->port, &c, &err), 0);
	netns_run("ip link show wx0 | grep -q 'mtu 1300'");
	for (unsigned n = 0; port_load(&r->port->mtu) != 1300; n++)
		assert_true(n < 10000 && usleep(1000) == 0);
	c.mtu = 1u << 30;
	assert_int_equal(r->port->ops->set(r->port, &c, &err), -EINVAL);
	assert_string_equal(err.key, "mtu");
	c.mtu = 1300;
	c.share_host = true;
	assert_int_equal(r->port->ops->set(r->port, &c, &err), -ENOTSUP);
}

// It had the default of its driver again. What somebody sets by hand stays.
static void test_a_device_that_comes_back_gets_the_configured_mtu(void **state)
{
	struct port_rig *r = *state;
	struct port_config c = wx0;
	c.mtu = 1400;
	rig_open_ok(r, &c);
	netns_run("ip link del wx0");
	rig_wait_link(r, PORT_LINK_DOWN);
	again(r);
	rig_wait_link(r, PORT_LINK_UP);
	assert_int_equal(port_load(&r->port->mtu), 1400);
	netns_run("ip link show wx0 | grep -q 'mtu 1400'");
	netns_run("ip link set wx0 mtu 1450");
	rig_wait_log(r, "its MTU is 1450 now, 1400 before");
	rig_wait_link(r, PORT_LINK_UP);
	assert_int_equal(port_load(&r->port->mtu), 1450);
	rig_exchange(r, 1464);
}

static void test_a_program_that_was_removed_is_put_back(void **state)
{
	struct port_rig *r = *state;
	rig_open_ok(r, &wx0);
	const uint32_t told = r->n_link;
	netns_run("ip link set dev wx0 xdp off");
	rig_wait_log(r, "set up again");
	rig_wait_link(r, PORT_LINK_UP);
	assert_int_equal(r->n_link, told + 2); // that it was down, and why, as well
	rig_exchange(r, 100);
}

// XDP sees no tag that the card has stripped.
static void test_stripping_of_tags_is_off_while_the_port_is_open(void **state)
{
	struct port_rig *r = *state;
	static const char on[] = "ethtool -k wx0 | grep -q 'rx-vlan-offload: on'";
	netns_run("%s", on);
	rig_open_ok(r, &wx0);
	assert_int_not_equal(netns_try("%s", on), 0);
	rig_close(r);
	netns_run("%s", on);
	// Nor is it forgotten while the device is elsewhere, or when it has another name.
	rig_open_ok(r, &wx0);
	netns_run("ip netns add weft-test-$PPID && ip link set wx0 netns weft-test-$PPID");
	rig_wait_link(r, PORT_LINK_DOWN);
	netns_run("ip -n weft-test-$PPID link set wx0 netns $PPID");
	rig_wait_link(r, PORT_LINK_UP);
	assert_int_not_equal(netns_try("%s", on), 0);
	rig_close(r);
	netns_run("%s", on);
	rig_open_ok(r, &wx0);
	netns_run("ip link set wx0 name wx9");
	rig_wait_link(r, PORT_LINK_DOWN);
	rig_close(r);
	netns_run("ip link set wx9 name wx0 && %s", on);
	// A network manager may have a wish of its own, and gets it in the end.
	netns_run("ethtool -K wx0 rx-vlan-offload off");
	rig_open_ok(r, &wx0);
	netns_run("ethtool -K wx0 rx-vlan-offload on");
	rig_wait_log(r, "somebody switched rx-vlan-offload on; off again");
	assert_int_not_equal(netns_try("%s", on), 0);
	rig_close(r);
	netns_run("%s", on);
}

// --- a worker that is in the middle of things when the device goes ---

struct worker {
	struct port_rig *r;
	pthread_t thread;
	uint32_t stop;
	uint64_t rounds;
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	const struct port_ops *ops = w->r->port->ops;
	struct port *port = w->r->port;
	struct port_stats *st = port->stats[0];
	struct burst *b = &w->r->burst;
	static uint8_t list[FRAME_BURST];
	for (unsigned i = 0; i < FRAME_BURST; i++)
		list[i] = (uint8_t)i;
	rcu_register_thread();
	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		for (unsigned q = 0; q < port->n_rxq; q++)
			if (ops->rx(port, q, b, FRAME_BURST, st)) {
				ops->tx(port, 0, b->f, list, b->n, st); // straight back
				ops->rx_done(port, q, b);
				__atomic_thread_fence(__ATOMIC_SEQ_CST);
				ops->notify(port, q, PORT_RX, st);
				ops->notify(port, 0, PORT_TX, st);
			}
		__atomic_fetch_add(&w->rounds, 1, __ATOMIC_RELAXED);
		rcu_quiet();
	}
	rcu_unregister_thread();
	return NULL;
}

static void test_the_device_goes_while_a_worker_is_at_it(void **state)
{
	struct port_rig *r = *state;
	struct worker w = {.r = r};
	rig_open_ok(r, &wx0);
	assert_int_equal(pthread_create(&w.thread, NULL, worker_main, &w), 0);
	for (unsigned round = 0; round < 6; round++) {
		for (unsigned i = 0; i < 5000; i++)
			rig_far_send(r, 100, i);
		if (round == 0) {
			netns_run("ethtool -L wx0 rx 4 tx 4");
		} else if (round % 2) {
			netns_run("ip link del wx0");
			again(r);
		} else {
			netns_run("ip link set wx0 mtu %u", 1500 + round);
		}
		rig_wait_log(r, "set up again");
		rig_clear_log(r);
		rig_wait_link(r, PORT_LINK_UP);
	}
	__atomic_store_n(&w.stop, 1, __ATOMIC_RELAXED);
	pthread_join(w.thread, NULL);
	assert_true(w.rounds > 0);
	assert_string_equal(rig_says(r, "rings.0.bad_entries"), "0");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_carrier_is_followed),
		T(test_a_device_that_was_set_down_stays_down),
		T(test_what_was_sent_to_a_device_that_was_down_is_not_sent_later),
		T(test_a_removed_device_may_come_back),
		T(test_a_device_replaced_at_once_is_noticed),
		T(test_a_device_comes_back_from_another_namespace),
		T(test_a_renamed_device_is_let_go),
		T(test_a_name_that_another_device_took_at_once_is_followed),
		T(test_there_and_back_at_once_is_noticed),
		T(test_queues_may_change),
		T(test_queues_to_send_on_may_change_alone),
		T(test_a_port_that_cannot_go_on_is_down_and_says_why),
		T(test_the_mtu_is_followed_up_to_jumbo),
		T(test_a_tick_repeats_nothing),
		T(test_mtu_of_the_configuration_is_set),
		T(test_a_device_that_comes_back_gets_the_configured_mtu),
		T(test_a_program_that_was_removed_is_put_back),
		T(test_stripping_of_tags_is_off_while_the_port_is_open),
		T(test_the_device_goes_while_a_worker_is_at_it),
	};
	int status;
	if (!netns_enter(&status))
		return status;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
