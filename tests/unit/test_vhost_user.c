// SPDX-License-Identifier: BSD-2-Clause
// The vhost-user port against real front ends: frames of every shape, and what a VMM may do at any
// time. A thread plays the worker and sends every frame back to where it came from.
#include "dataplane/port/vhost_user.h"

#include "tests/lib/front_guest.h"

#include <errno.h>
#include <linux/vhost.h>
#include <pthread.h>
#include <rte_eal.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <urcu-qsbr.h>

#include <cmocka.h>

#define WAIT_MS 3000

struct echo {
	struct port *port;
	pthread_t thread;
	bool stop;
	unsigned links_up, links_down, announced, logged;
	char log[512];
	uint8_t mac[6];
	char dir[64], path[108];
};

static void on_link(void *ctx, struct port *port, enum port_link link, const char *why)
{
	struct echo *e = ctx;

	__atomic_fetch_add(
		link == PORT_LINK_UP ? &e->links_up : &e->links_down, 1, __ATOMIC_SEQ_CST);
}

static void on_log(void *ctx, struct port *port, int level, const char *text)
{
	struct echo *e = ctx;

	snprintf(e->log, sizeof(e->log), "%s", text);
	__atomic_fetch_add(&e->logged, 1, __ATOMIC_SEQ_CST);
}

static void on_announce(void *ctx, struct port *port, const uint8_t *mac)
{
	struct echo *e = ctx;

	memcpy(e->mac, mac, 6);
	__atomic_fetch_add(&e->announced, 1, __ATOMIC_SEQ_CST);
}

static void *echo_thread(void *arg)
{
	static struct burst b;
	struct echo *e = arg;
	const struct port_ops *ops = e->port->ops;
	struct port_stats *st = e->port->stats[0];
	uint8_t list[FRAME_BURST];

	rcu_register_thread();
	for (unsigned i = 0; i < FRAME_BURST; i++)
		list[i] = (uint8_t)i;
	while (!__atomic_load_n(&e->stop, __ATOMIC_RELAXED)) {
		for (unsigned q = 0; q < e->port->n_rxq; q++) {
			uint32_t n = ops->rx(e->port, q, &b, st);
			if (!n)
				continue;
			uint32_t done = ops->tx(e->port, q, b.f, list, n, st);
			st->drop[DROP_ring_full] += n - done;
			ops->rx_done(e->port, q, &b);
			__atomic_thread_fence(__ATOMIC_SEQ_CST);
			ops->notify(e->port, q, PORT_RX | PORT_TX, st);
		}
		rcu_quiescent_state();
		sched_yield();
	}
	rcu_unregister_thread();
	return NULL;
}

static struct echo *echo_start(struct port_config *c)
{
	struct echo *e = calloc(1, sizeof(*e));
	struct port_upcalls up = {e, on_link, on_log, on_announce};
	struct error err = {0};

	assert_non_null(e);
	strcpy(e->dir, "/tmp/weft-test-XXXXXX");
	assert_non_null(mkdtemp(e->dir));
	snprintf(e->path, sizeof(e->path), "%s/s", e->dir);
	strcpy(c->name, "vm");
	strcpy(c->type, "vhost-user");
	strcpy(c->socket, e->path);
	if (vhost_user_ops.open(c, &up, &e->port, &err))
		fail_msg("%s", err.text);
	assert_int_equal(pthread_create(&e->thread, NULL, echo_thread, e), 0);
	return e;
}

static void echo_stop(struct echo *e)
{
	__atomic_store_n(&e->stop, true, __ATOMIC_RELAXED);
	pthread_join(e->thread, NULL);
	vhost_user_ops.close(e->port);
	assert_int_not_equal(access(e->path, F_OK), 0);
	rmdir(e->dir);
	free(e);
}

static bool wait_for(const unsigned *counter, unsigned want)
{
	for (int i = 0; i < WAIT_MS; i++) {
		if (__atomic_load_n(counter, __ATOMIC_SEQ_CST) >= want)
			return true;
		usleep(1000);
	}
	return false;
}

static uint64_t drops(const struct echo *e, enum drop_reason r)
{
	struct port_stats sum;

	port_stats_sum(e->port, &sum);
	return sum.drop[r];
}

static void make_frame(uint8_t *f, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		f[i] = (uint8_t)(seed * 31 + i * 7 + (i >> 8));
	memcpy(f, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x88\xb5", 14);
}

static void round_trip(struct front_guest *g, unsigned pair, size_t len, unsigned seed)
{
	static uint8_t out[66000], in[66000];

	make_frame(out, len, seed);
	assert_int_equal(front_guest_send(g, pair, NULL, out, len, WAIT_MS), 0);
	assert_int_equal(front_guest_recv(g, pair, NULL, in, sizeof(in), WAIT_MS), len);
	assert_memory_equal(out, in, len);
}

static const uint64_t V1 = 1ull << VIRTIO_F_VERSION_1, MRG = 1ull << VIRTIO_NET_F_MRG_RXBUF,
		      EVENT = 1ull << VIRTIO_RING_F_EVENT_IDX, MQ = 1ull << VIRTIO_NET_F_MQ,
		      INDIRECT = 1ull << VIRTIO_RING_F_INDIRECT_DESC,
		      ORDER = 1ull << VIRTIO_F_IN_ORDER, ANY = 1ull << VIRTIO_F_ANY_LAYOUT;

static void frames_of_every_size(void **state)
{
	static const size_t sizes[] = {14, 15, 59, 60, 63, 64, 65, 66, 127, 128, 129, 256, 511, 512,
		1023, 1024, 1500, 1514, 1518, 2036, 2037, 4096, 9014};
	const uint64_t features[] = {V1 | MRG | EVENT | INDIRECT, V1 | MRG, MRG, V1 | ORDER | MRG,
		MRG | EVENT | ANY, V1 | EVENT};

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		struct port_config c = {0};
		struct echo *e = echo_start(&c);
		struct front_guest g;
		struct front_guest_config gc = {.socket = e->path,
			.features = features[i],
			.ring_size = 64,
			.rx_buf = features[i] & MRG ? 0 : 16384};

		assert_int_equal(front_guest_init(&g, &gc), 0);
		assert_int_equal(front_guest_connect(&g), 0);
		assert_true(wait_for(&e->links_up, 1));
		for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++)
			for (unsigned seed = 0; seed < 5; seed++)
				round_trip(&g, 0, sizes[k], seed + (unsigned)k);
		assert_int_equal(drops(e, DROP_malformed), 0);
		front_guest_fini(&g);
		echo_stop(e);
	}
}

// The longest frame in the smallest buffers, which cut the header too.
static void mergeable_of_any_split(void **state)
{
	static const uint32_t bufs[] = {65, 76, 100, 1500, 2048};

	for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++) {
		struct port_config c = {0};
		struct echo *e = echo_start(&c);
		struct front_guest g;
		struct front_guest_config gc = {.socket = e->path,
			.features = V1 | MRG,
			.ring_size = 1024,
			.rx_buf = bufs[i],
			.tx_buf = 8192};

		assert_int_equal(front_guest_init(&g, &gc), 0);
		assert_int_equal(front_guest_connect(&g), 0);
		assert_true(wait_for(&e->links_up, 1));
		for (size_t len = 14; len < 65000; len = len * 3 / 2 + 1)
			round_trip(&g, 0, len, (unsigned)len);
		front_guest_fini(&g);
		echo_stop(e);
	}
}

static void too_short_and_too_long_are_counted(void **state)
{
	static uint8_t frame[70000];
	struct port_config c = {0};
	struct echo *e = echo_start(&c);
	struct front_guest g;
	struct front_guest_config gc = {.socket = e->path, .features = V1, .rx_buf = 1000};

	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_connect(&g), 0);
	assert_true(wait_for(&e->links_up, 1));
	assert_int_equal(front_guest_send(&g, 0, NULL, frame, 13, WAIT_MS), 0);
	assert_int_equal(front_guest_flush(&g, 0, WAIT_MS), 0);
	assert_int_equal(drops(e, DROP_too_short), 1);
	// Longer than a buffer, and no mergeable buffers.
	make_frame(frame, 1200, 1);
	assert_int_equal(front_guest_send(&g, 0, NULL, frame, 1200, WAIT_MS), 0);
	assert_int_equal(front_guest_flush(&g, 0, WAIT_MS), 0);
	assert_int_equal(drops(e, DROP_too_long), 1);
	assert_int_equal(front_guest_send(&g, 0, NULL, frame, 69000, WAIT_MS), 0);
	assert_int_equal(front_guest_flush(&g, 0, WAIT_MS), 0);
	assert_int_equal(drops(e, DROP_too_long), 2);
	round_trip(&g, 0, 100, 3);
	front_guest_fini(&g);
	echo_stop(e);
}

static void several_pairs(void **state)
{
	struct port_config c = {.queues = 4};
	struct echo *e = echo_start(&c);
	struct front_guest g;
	struct front_guest_config gc = {
		.socket = e->path, .features = V1 | MRG | MQ | EVENT, .pairs = 4, .regions = 3};

	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_connect(&g), 0);
	assert_true(wait_for(&e->links_up, 1));
	for (unsigned i = 0; i < 2000; i++)
		round_trip(&g, i % 4, 60 + i % 1400, i);
	assert_int_equal(e->port->n_txq, 4);
	front_guest_fini(&g);
	echo_stop(e);
}

// A guest that polls has no call descriptor; one that leaves and comes back goes on where it was.
static void reconnects_without_losing_its_place(void **state)
{
	struct port_config c = {0};
	struct echo *e = echo_start(&c);
	struct front_guest g;
	struct front_guest_config gc = {.socket = e->path, .polling = true};

	assert_int_equal(front_guest_init(&g, &gc), 0);
	for (unsigned i = 1; i <= 5; i++) {
		assert_int_equal(front_guest_connect(&g), 0);
		assert_true(wait_for(&e->links_up, i));
		for (unsigned k = 0; k < 700; k++)
			round_trip(&g, 0, 60 + k, k);
		if (i % 2)
			front_guest_stop(&g);
		front_guest_disconnect(&g);
		assert_true(wait_for(&e->links_down, i));
	}
	front_guest_fini(&g);
	echo_stop(e);
}

static void client_mode(void **state)
{
	struct port_config c = {.client = true};
	struct echo *e = echo_start(&c);
	struct front_guest g;
	struct front_guest_config gc = {.socket = e->path, .listen = true};

	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_connect(&g), 0);
	assert_true(wait_for(&e->links_up, 1));
	round_trip(&g, 0, 1514, 1);
	front_guest_fini(&g);
	unlink(e->path);
	echo_stop(e);
}

static int start_eal(void **state)
{
	static char args[][24] = {"test", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry",
		"--log-level=lib.*:4"};
	char *argv[7] = {0};

	for (int i = 0; i < 6; i++)
		argv[i] = args[i];
	return rte_eal_init(6, argv) < 0 ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_of_every_size),
		cmocka_unit_test(mergeable_of_any_split),
		cmocka_unit_test(too_short_and_too_long_are_counted),
		cmocka_unit_test(several_pairs),
		cmocka_unit_test(reconnects_without_losing_its_place),
		cmocka_unit_test(client_mode),
	};

	return cmocka_run_group_tests(tests, start_eal, NULL);
}
