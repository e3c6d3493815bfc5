// SPDX-License-Identifier: BSD-2-Clause
// What one VMM said is none of the next one's, which has the port after it.
#include "dataplane/port/dirty_log.h"
#include "dataplane/port/vhost_features.h"

#include "tests/lib/echo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static struct echo *port;

static int open_port(void **state)
{
	struct port_config c = {.queues = 2};

	port = echo_start(&c);
	return 0;
}

static int close_port(void **state)
{
	echo_stop(port);
	return 0;
}

static void start(struct front_guest *g, uint64_t features)
{
	const struct front_guest_config c = {
		.socket = port->path, .pairs = 2, .ring_size = 64, .features = features};
	const unsigned up = port->links_up;

	assert_int_equal(front_guest_init(g, &c), 0);
	assert_int_equal(front_guest_connect(g), 0);
	assert_true(echo_wait(&port->links_up, up + 1));
	echo_round_trip(g, 0, 100, 1);
}

static void end(struct front_guest *g)
{
	const unsigned down = port->links_down;

	front_guest_fini(g);
	assert_true(echo_wait(&port->links_down, down + 2)); // the device, then the connection
}

static void it_enables_its_own_rings(void **state)
{
	const struct front_guest_config c = {.socket = port->path, .pairs = 2, .ring_size = 64};
	struct front_guest g;
	uint64_t before;
	uint8_t frame[64];
	unsigned up;

	start(&g, 0);
	echo_round_trip(&g, 1, 100, 1);
	end(&g);
	up = port->links_up;
	before = echo_drops(port, DROP_port_down);
	assert_int_equal(front_guest_init(&g, &c), 0);
	assert_int_equal(front_guest_meet(&g), 0);
	assert_int_equal(front_guest_negotiate(&g), 0);
	assert_int_equal(front_guest_share_memory(&g), 0);
	assert_int_equal(front_guest_make_rings(&g), 0);
	for (unsigned q = 0; q < 4; q++)
		assert_int_equal(front_guest_start_ring(&g, q), 0);
	for (unsigned q = 0; q < 2; q++)
		assert_int_equal(vhost_front_set_vring_enable(&g.front, q, true), 0);
	assert_int_equal(front_guest_driver_ok(&g), 0);
	assert_true(echo_wait(&port->links_up, up + 1));
	echo_round_trip(&g, 0, 100, 2);
	echo_make_frame(frame, sizeof(frame), 1);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(
			front_guest_send(&g, 1, NULL, frame, sizeof(frame), ECHO_WAIT_MS), 0);
	assert_int_equal(front_guest_flush(&g, 1, ECHO_WAIT_MS), 0);
	assert_int_equal(echo_drops(port, DROP_port_down), before + 5);
	end(&g);
}

// One that runs with LOG_ALL and has not sent a log yet writes to none, and what becomes of the old one does not
// matter to it.
static void it_has_its_own_log(void **state)
{
	const uint64_t logging = FRONT_GUEST_FEATURES | FEATURE(VHOST_F_LOG_ALL);
	const int fd = memfd_create("log", MFD_CLOEXEC);
	struct front_guest g;
	uint8_t *bits;
	uint64_t size;

	start(&g, logging);
	size = (g.mem[0].gpa + g.mem[0].size) / DIRTY_LOG_PAGE / 8 + 8;
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(vhost_front_set_log_base(&g.front, size, 0, fd), 0);
	end(&g);
	bits = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(bits, MAP_FAILED);
	for (uint64_t i = 0; i < size; i++)
		bits[i] = 0;
	start(&g, logging);
	for (uint64_t i = 0; i < size; i++)
		assert_int_equal(bits[i], 0);
	end(&g);
	munmap(bits, size);
	close(fd);
}

#define PORT_TEST(f) cmocka_unit_test_setup_teardown(f, open_port, close_port)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PORT_TEST(it_enables_its_own_rings),
		PORT_TEST(it_has_its_own_log),
	};

	return cmocka_run_group_tests(tests, echo_start_eal, NULL);
}
