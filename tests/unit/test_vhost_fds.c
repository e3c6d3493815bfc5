// SPDX-License-Identifier: BSD-2-Clause
// The descriptors that a VMM sends us: none of them stays behind, and none of them can hold us up.
#include "dataplane/port/vhost_user.h"

#include "tests/lib/echo.h"
#include "tests/lib/open_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

static struct echo *port;

static int open_port(void **state)
{
	struct port_config c = {0};

	port = echo_start(&c);
	return 0;
}

static int close_port(void **state)
{
	echo_stop(port);
	return 0;
}

static void still_works(void)
{
	struct front_guest_config c = {.socket = port->path};
	unsigned up = port->links_up;
	struct front_guest g;

	assert_int_equal(front_guest_init(&g, &c), 0);
	assert_int_equal(front_guest_connect(&g), 0);
	assert_true(echo_wait(&port->links_up, up + 1));
	echo_round_trip(&g, 0, 100, 1);
	front_guest_fini(&g);
}

// rte_vhost's thread is kept waiting for the rest of a message until `slow` hangs up or 100 ms are over.
static void occupy(struct vhost_front *slow, const char *path)
{
	static const uint8_t header[12] = {VHOST_SET_FEATURES, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0};

	vhost_front_init(slow);
	assert_int_equal(vhost_front_connect(slow, path), 0);
	assert_int_equal(vhost_front_send_bytes(slow, header, sizeof(header), NULL, 0), 0);
}

// A connection that has given way to a newer one may have messages waiting, with descriptors.
static void messages_after_hanging_up_leave_nothing(void **state)
{
	struct port_config c = {0};
	struct echo *other = echo_start(&c);
	struct front_guest_config gc = {.socket = port->path};
	struct vhost_front slow, next;
	struct front_guest g;
	int fds[8];
	unsigned before = open_fds(), n = 0;

	for (unsigned i = 0; i < 8; i++)
		fds[i] = eventfd(0, 0);
	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_meet(&g), 0);
	assert_int_equal(front_guest_negotiate(&g), 0);
	occupy(&slow, other->path);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(vhost_front_send(&g.front, VHOST_SET_VRING_CALL,
					 VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY, 8,
					 "\0\0\0\0\0\0\0", 8, fds, 8),
			0);
	front_guest_disconnect(&g);
	vhost_front_init(&next);
	assert_int_equal(vhost_front_connect(&next, port->path), 0);
	vhost_front_fini(&slow);
	vhost_front_fini(&next);
	front_guest_fini(&g);
	for (unsigned i = 0; i < 8; i++)
		close(fds[i]);
	still_works();
	for (unsigned i = 0; i < ECHO_WAIT_MS && (n = open_fds()) > before; i++)
		usleep(1000);
	assert_int_equal(n, before);
	echo_stop(other);
}

// Requests that have no descriptors, or another number of them. Each is refused, and what came with it is closed.
static void descriptors_where_none_belong(void **state)
{
	static const struct {
		uint32_t request;
		uint64_t payload;
		unsigned n;
		const char *says;
	} rows[] = {
		{VHOST_GET_FEATURES, 0, 1, "descriptors came"},
		{VHOST_GET_QUEUE_NUM, 0, 8, "descriptors came"},
		{VHOST_SEND_RARP, 2, 1, NULL},
		{VHOST_SET_VRING_KICK, VHOST_VRING_NO_FD, 1, "exactly one"},
		{VHOST_SET_VRING_CALL, 1, 0, "exactly one"},
		{VHOST_SET_VRING_CALL, 1, 2, "exactly one"},
		{VHOST_SET_VRING_ERR, 1, 2, "exactly one"},
	};
	struct front_guest_config gc = {.socket = port->path};
	struct front_guest g;
	unsigned before = open_fds(), announced = port->announced, n = 0;
	int fds[8], p[2];

	for (unsigned i = 0; i < 8; i++)
		fds[i] = eventfd(0, 0);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_meet(&g), 0);
	assert_int_equal(front_guest_negotiate(&g), 0);
	g.front.ack = true;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		*port->log = '\0';
		assert_int_equal(vhost_front_call(&g.front, rows[i].request, &rows[i].payload, 8,
					 fds, rows[i].n),
			-EREMOTEIO);
		assert_true(!rows[i].says || strstr(port->log, rows[i].says));
	}
	assert_int_equal(vhost_front_set_vring_err(&g.front, 0, p[0]), -EREMOTEIO);
	assert_int_equal(vhost_front_set_vring_err(&g.front, 0, fds[0]), 0);
	assert_int_equal(port->announced, announced);
	front_guest_fini(&g);
	for (unsigned i = 0; i < 8; i++)
		close(fds[i]);
	close(p[0]);
	close(p[1]);
	for (unsigned i = 0; i < ECHO_WAIT_MS && (n = open_fds()) > before; i++)
		usleep(1000);
	assert_int_equal(n, before);
	still_works();
}

// A VMM shares its descriptors with us, and can make them wait again once we have looked at them. No
// thread but a worker touches them in a way that waits: messages are answered, the port is described.
static void descriptors_that_wait_hold_up_nobody(void **state)
{
	struct front_guest_config c = {.socket = port->path, .polling = true};
	unsigned up = port->links_up;
	struct front_guest g;
	uint64_t features;

	assert_int_equal(front_guest_init(&g, &c), 0);
	assert_int_equal(front_guest_meet(&g), 0);
	assert_int_equal(front_guest_negotiate(&g), 0);
	g.front.ack = true;
	assert_int_equal(front_guest_share_memory(&g), 0);
	assert_int_equal(front_guest_make_rings(&g), 0);
	for (unsigned q = 0; q < 2; q++) {
		int full = eventfd(0xfffffffe, 0), empty = eventfd(0, 0);

		assert_int_equal(front_guest_start_ring(&g, q), 0);
		assert_int_equal(eventfd_write(full, UINT64_MAX - 1 - 0xfffffffe), 0);
		assert_int_equal(vhost_front_set_vring_kick(&g.front, q, empty), 0);
		assert_int_equal(vhost_front_set_vring_call(&g.front, q, full), 0);
		assert_int_equal(fcntl(full, F_SETFL, 0), 0);
		assert_int_equal(fcntl(empty, F_SETFL, 0), 0);
		close(full);
		close(empty);
	}
	assert_int_equal(front_guest_enable(&g, true), 0);
	assert_int_equal(front_guest_driver_ok(&g), 0);
	assert_true(echo_wait(&port->links_up, up + 1));
	assert_int_equal(vhost_front_get_features(&g.front, &features), 0);
	for (unsigned i = 0; i < 3; i++)
		port->port->ops->tick(port->port);
	front_guest_fini(&g);
	still_works();
}

// A VMM that said what its MTU is says nothing for the one that comes after it.
static void the_next_vmm_has_its_own_mtu(void **state)
{
	struct front_guest_config c = {.socket = port->path, .mtu = 576};
	unsigned up = port->links_up, down = port->links_down;
	struct front_guest g;

	assert_int_equal(front_guest_init(&g, &c), 0);
	assert_int_equal(front_guest_connect(&g), 0);
	assert_true(echo_wait(&port->links_up, up + 1));
	assert_int_equal(port_load(&port->port->mtu), 576);
	front_guest_fini(&g);
	assert_true(echo_wait(&port->links_down, down + 2)); // the device, then the connection
	assert_int_equal(port_load(&port->port->mtu), 1500);
}

#define PORT_TEST(f) cmocka_unit_test_setup_teardown(f, open_port, close_port)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PORT_TEST(messages_after_hanging_up_leave_nothing),
		PORT_TEST(descriptors_where_none_belong),
		PORT_TEST(descriptors_that_wait_hold_up_nobody),
		PORT_TEST(the_next_vmm_has_its_own_mtu),
	};

	return cmocka_run_group_tests(tests, echo_start_eal, NULL);
}
