// SPDX-License-Identifier: BSD-2-Clause
// What single calls of a worker do to a guest's rings, and a ring that stops between two of them. The
// test is the worker: it calls the port's operations itself, and is no RCU reader, so that a ring
// stops exactly where the test says.
#include "dataplane/port/vhost_user.h"

#include "dataplane/port/rcu.h"
#include "tests/lib/echo.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
	struct port *port;
	struct burst burst;
	struct port_stats st;
	unsigned up;
	char dir[64];
} rig;

static void on_link(void *ctx, struct port *port, enum port_link link, const char *why)
{
	if (link == PORT_LINK_UP)
		__atomic_fetch_add(&rig.up, 1, __ATOMIC_SEQ_CST);
}

static int open_port_of(uint32_t queues)
{
	const struct port_upcalls up = {.link = on_link};
	struct port_config c = {.name = "vm", .type = "vhost-user", .queues = queues};
	struct error err = {0};

	memset(&rig, 0, sizeof(rig));
	strcpy(rig.dir, "/tmp/weft-test-XXXXXX");
	assert_non_null(mkdtemp(rig.dir));
	snprintf(c.socket, sizeof(c.socket), "%s/s", rig.dir);
	if (vhost_user_ops.open(&c, &up, &rig.port, &err))
		fail_msg("%s", err.text);
	return 0;
}

static int open_port(void **state)
{
	return open_port_of(1);
}

static int open_two_pairs(void **state)
{
	return open_port_of(2);
}

static int close_port(void **state)
{
	vhost_user_ops.close(rig.port);
	rmdir(rig.dir);
	return 0;
}

static void start_guest_of(struct front_guest *g, unsigned ring_size)
{
	const struct front_guest_config c = {.socket = rig.port->config.socket,
		.polling = true,
		.ring_size = ring_size,
		.features = FRONT_GUEST_FEATURES | 1ull << VIRTIO_NET_F_MQ |
			    1ull << VIRTIO_NET_F_CTRL_VQ,
		.pairs = rig.port->config.queues};
	uint64_t features;

	assert_int_equal(front_guest_init(g, &c), 0);
	assert_int_equal(front_guest_connect(g), 0);
	assert_true(echo_wait(&rig.up, 1));
	// The link is up before the last message has been acted on, which stops the rings for a moment.
	assert_int_equal(vhost_front_get_features(&g->front, &features), 0);
	g->front.ack = true;
}

static void start_guest(struct front_guest *g)
{
	start_guest_of(g, 64);
}

// Has the guest send n frames and borrows them.
static void lend(struct front_guest *g, unsigned n)
{
	uint8_t frame[100];
	uint32_t got = 0;

	for (unsigned i = 0; i < n; i++) {
		echo_make_frame(frame, sizeof(frame), i);
		assert_int_equal(
			front_guest_send(g, 0, NULL, frame, sizeof(frame), ECHO_WAIT_MS), 0);
	}
	for (int i = 0; i < ECHO_WAIT_MS && !got; i++) {
		got = rig.port->ops->rx(rig.port, 0, &rig.burst, FRAME_BURST, &rig.st);
		if (!got)
			usleep(1000);
	}
	assert_int_equal(rig.st.drop[DROP_port_down], 0);
	assert_int_equal(got, n);
}

// What a worker had borrowed when the ring stopped is given back all the same: each stop would
// else cost the guest a burst of its descriptors for good.
static void a_burst_in_flight_is_given_back(void **state)
{
	struct front_guest g;
	int call = eventfd(0, EFD_NONBLOCK);

	start_guest(&g);
	for (unsigned i = 0; i < 4; i++) {
		lend(&g, 20);
		assert_int_equal(vhost_front_set_vring_call(&g.front, 1, call), 0);
		rig.port->ops->rx_done(rig.port, 0, &rig.burst);
		assert_int_equal(front_guest_flush(&g, 0, ECHO_WAIT_MS), 0);
	}
	close(call);
	front_guest_fini(&g);
}

// The index that a VMM is told to go on from is behind what was taken, so nothing is sent twice.
static void a_stopped_ring_owes_nothing(void **state)
{
	struct front_guest g;
	uint32_t base = 0;

	start_guest(&g);
	lend(&g, 20);
	assert_int_equal(vhost_front_get_vring_base(&g.front, 1, &base), 0);
	rig.port->ops->rx_done(rig.port, 0, &rig.burst);
	assert_int_equal(base, 20);
	assert_int_equal(
		__atomic_load_n(&front_guest_txq(&g, 0)->drv.used->idx, __ATOMIC_ACQUIRE), 20);
	front_guest_fini(&g);
}

// While rte_vhost acts on the message the ring is not ready, but it is not disabled either: frames wait.
static void a_new_call_descriptor_costs_no_frame(void **state)
{
	struct front_guest g;
	int call = eventfd(0, EFD_NONBLOCK);

	start_guest(&g);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(vhost_front_set_vring_call(&g.front, 1, call), 0);
		lend(&g, 5);
		rig.port->ops->rx_done(rig.port, 0, &rig.burst);
	}
	close(call);
	front_guest_fini(&g);
}

struct calls {
	struct front_guest *guest;
	unsigned ring;
	int failed;
	bool done;
};

static void *change_calls(void *arg)
{
	struct calls *c = arg;
	int call = eventfd(0, EFD_NONBLOCK);

	for (unsigned i = 0; i < 100; i++)
		c->failed |= vhost_front_set_vring_call(&c->guest->front, c->ring, call);
	close(call);
	__atomic_store_n(&c->done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

static bool takes_one(struct front_guest *g, unsigned q)
{
	static const uint8_t list[] = {0};
	struct frame *f = rig.burst.f;
	uint8_t in[2000];

	frame_begin(f, 60, 60);
	echo_make_frame(frame_head(f), 60, q);
	return rig.port->ops->tx(rig.port, q, f, list, 1, &rig.st) == 1 &&
	       !rig.st.drop[DROP_port_down] &&
	       front_guest_recv(g, q, NULL, in, sizeof(in), ECHO_WAIT_MS) == 60;
}

// Bug: each time that a VMM gave a ring another descriptor for calls, as it does when the guest masks an
// interrupt, frames to the guest were dropped until the message had been acted on, and flows changed queues.
// Here the test is an RCU reader too: what there was room for is taken, and while there is no room frames wait.
static void frames_to_a_guest_wait_for_a_message(void **state)
{
	struct front_guest g;
	struct calls calls = {.guest = &g, .ring = 2};
	unsigned waits = 0;
	bool good = true;
	pthread_t thread;

	start_guest(&g);
	for (unsigned t = 0; port_load(&rig.port->n_txq) < 2 && t < ECHO_WAIT_MS; t++)
		usleep(1000);
	assert_int_equal(pthread_create(&thread, NULL, change_calls, &calls), 0);
	rcu_register_thread();
	while (good && !__atomic_load_n(&calls.done, __ATOMIC_SEQ_CST)) {
		rcu_quiescent_state();
		const uint32_t room = rig.port->ops->tx_room(rig.port, 1, 1000, &rig.st);
		good = room <= 64 && port_load(&rig.port->n_txq) == 2;
		waits += !room;
		if (!room || !good)
			continue;
		usleep(100); // the ring may begin to stop
		good = takes_one(&g, 1);
	}
	rcu_unregister_thread(); // or it would be waited for
	pthread_join(thread, NULL);
	assert_true(good);
	assert_int_equal(calls.failed, 0);
	assert_true(waits > 0);
	// The last message has no answer: it may still be acted on.
	for (unsigned t = 0; !rig.port->ops->tx_room(rig.port, 1, 1, &rig.st) && t < ECHO_WAIT_MS;
		t++)
		usleep(1000);
	assert_true(takes_one(&g, 1));
	// A queue that is disabled is not waited for.
	vhost_front_set_vring_enable(&g.front, 2, false);
	for (unsigned t = 0; port_load(&rig.port->n_txq) > 1 && t < ECHO_WAIT_MS; t++)
		usleep(1000);
	assert_int_equal(rig.port->ops->tx_room(rig.port, 1, 1000, &rig.st), 1000);
	front_guest_fini(&g);
}

// After a memory table that was refused the guest has none. What is sent to it waits for the next message only.
static void nobody_waits_for_a_guest_without_memory(void **state)
{
	const struct vhost_front_region none = {0, 4096, 0x1000, 0, STDERR_FILENO};
	struct front_guest g;
	uint64_t features;

	start_guest(&g);
	g.front.ack = true;
	assert_int_equal(vhost_front_set_mem_table(&g.front, &none, 1), -EREMOTEIO);
	assert_int_equal(rig.port->ops->tx_room(rig.port, 0, 7, &rig.st), 0);
	assert_int_equal(vhost_front_get_features(&g.front, &features), 0);
	for (unsigned t = 0; !rig.port->ops->tx_room(rig.port, 0, 7, &rig.st) && t < ECHO_WAIT_MS;
		t++)
		usleep(1000);
	assert_int_equal(rig.port->ops->tx_room(rig.port, 0, 7, &rig.st), 7);
	frame_begin(rig.burst.f, 60, 60);
	assert_int_equal(
		rig.port->ops->tx(rig.port, 0, rig.burst.f, (uint8_t[]){0}, 1, &rig.st), 1);
	assert_int_equal(rig.st.drop[DROP_port_down], 1);
	front_guest_fini(&g);
}

// Fills a ring with chains of all its descriptors, none of which holds a byte.
static void offer_endless(struct front_guest_queue *q, uint16_t size, uint16_t flags)
{
	struct vring_avail *avail = q->drv.avail;

	for (uint16_t i = 0; i < size; i++) {
		const uint16_t next = i + 1 < size ? VRING_DESC_F_NEXT : 0;

		q->drv.desc[i] =
			(struct vring_desc){q->bufs_gpa, 0, flags | next, (uint16_t)(i + 1)};
		avail->ring[i] = 0;
	}
	__atomic_store_n(&avail->idx, size, __ATOMIC_RELEASE);
}

static unsigned used_idx(const struct front_guest_queue *q)
{
	return __atomic_load_n(&q->drv.used->idx, __ATOMIC_ACQUIRE);
}

// Chains as long as they can be, and empty: a call looks at so many descriptors and no more, as all
// other guests wait meanwhile. The rest comes at later calls.
static void a_burst_of_endless_chains_is_cut(void **state)
{
	struct front_guest g;

	start_guest_of(&g, 1024);
	offer_endless(front_guest_txq(&g, 0), 1024, 0);
	rig.port->ops->rx(rig.port, 0, &rig.burst, FRAME_BURST, &rig.st);
	assert_in_range(used_idx(front_guest_txq(&g, 0)), 1, 16);
	for (unsigned i = 0; i < 1024; i++)
		assert_int_equal(
			rig.port->ops->rx(rig.port, 0, &rig.burst, FRAME_BURST, &rig.st), 0);
	assert_int_equal(used_idx(front_guest_txq(&g, 0)), 1024);
	assert_int_equal(rig.st.drop[DROP_too_short], 1024);
	front_guest_fini(&g);
}

static void a_frame_does_not_wade_through_endless_buffers(void **state)
{
	struct frame *f = rig.burst.f;
	struct front_guest g;
	uint8_t list[64];
	uint32_t done;

	start_guest_of(&g, 1024);
	offer_endless(front_guest_rxq(&g, 0), 1024, VRING_DESC_F_WRITE);
	for (unsigned i = 0; i < 64; i++) {
		memset(&f[i], 0, offsetof(struct frame, buf));
		f[i].len = f[i].head_len = 60;
		f[i].head_off = FRAME_HEAD_OFF;
		echo_make_frame(frame_head(&f[i]), 60, i);
		list[i] = (uint8_t)i;
	}
	done = rig.port->ops->tx(rig.port, 0, f, list, 64, &rig.st);
	// The first frame had all that a call may look at: it will never fit.
	assert_int_equal(done, 1);
	assert_int_equal(rig.st.drop[DROP_too_long], 1);
	assert_in_range(used_idx(front_guest_rxq(&g, 0)), 1, 16);
	front_guest_fini(&g);
}

#define PORT_TEST(f) cmocka_unit_test_setup_teardown(f, open_port, close_port)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PORT_TEST(a_burst_in_flight_is_given_back),
		PORT_TEST(a_stopped_ring_owes_nothing),
		PORT_TEST(a_new_call_descriptor_costs_no_frame),
		cmocka_unit_test_setup_teardown(
			frames_to_a_guest_wait_for_a_message, open_two_pairs, close_port),
		PORT_TEST(nobody_waits_for_a_guest_without_memory),
		PORT_TEST(a_burst_of_endless_chains_is_cut),
		PORT_TEST(a_frame_does_not_wade_through_endless_buffers),
	};

	return cmocka_run_group_tests(tests, echo_start_eal, NULL);
}
