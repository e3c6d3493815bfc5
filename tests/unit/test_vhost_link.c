// SPDX-License-Identifier: BSD-2-Clause
// The link of a vhost-user port, told by two threads: what was told last is how it is.
#include "dataplane/port/vhost_fault.h"
#include "dataplane/port/vhost_user.h"

#include "tests/lib/echo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

// How long who is told of a link waits for another thread to overtake it.
#define OVERTAKE_MS 300

static struct echo *port;
static struct front_guest old, next; // the VMM that the port finds fault with, and who comes after
static pthread_t changer;
static pthread_t ticker; // who ticks
static bool changes;

static int open_port(void **state)
{
	struct port_config c = {0};

	port = echo_start(&c);
	ticker = pthread_self();
	changes = false;
	return 0;
}

static int close_port(void **state)
{
	echo_stop(port);
	return 0;
}

static void *change_guests(void *arg)
{
	const struct front_guest_config c = {.socket = port->path};

	front_guest_fini(&old);
	if (!front_guest_init(&next, &c))
		(void)front_guest_connect(&next);
	return NULL;
}

// While the tick says that the link is down, another guest comes and works.
static void change_guests_meanwhile(struct echo *e)
{
	unsigned up = __atomic_load_n(&e->links_up, __ATOMIC_SEQ_CST);

	if (changes || !pthread_equal(pthread_self(), ticker))
		return;
	changes = true;
	assert_int_equal(pthread_create(&changer, NULL, change_guests, NULL), 0);
	for (unsigned i = 0; i < OVERTAKE_MS; i++) {
		if (__atomic_load_n(&e->links_up, __ATOMIC_SEQ_CST) > up)
			return;
		usleep(1000);
	}
}

// The guest kicks meanwhile, as what it did before its rings started does not count.
static void tick_until_told(void)
{
	port->takes_time = change_guests_meanwhile;
	for (unsigned i = 0; i < ECHO_WAIT_MS && !changes; i++) {
		(void)eventfd_write(front_guest_txq(&old, 0)->kick, 1);
		port->port->ops->tick(port->port);
		usleep(1000);
	}
	assert_true(changes);
	assert_int_equal(pthread_join(changer, NULL), 0);
}

static void expect_up(void)
{
	for (unsigned i = 0; i < ECHO_WAIT_MS; i++) {
		if (__atomic_load_n(&port->link, __ATOMIC_SEQ_CST) == PORT_LINK_UP)
			break;
		usleep(1000);
	}
	assert_int_equal(port->link, PORT_LINK_UP);
	assert_int_equal(port_load(&port->port->link), PORT_LINK_UP);
	echo_round_trip(&next, 0, 100, 1);
	front_guest_fini(&next);
}

static void one_who_comes_while_another_is_sent_away(void **state)
{
	const struct front_guest_config c = {.socket = port->path, .polling = true};

	vhost_fault_init(); // the test library has a handler of its own in each test
	assert_int_equal(front_guest_init(&old, &c), 0);
	assert_int_equal(front_guest_connect(&old), 0);
	assert_true(echo_wait(&port->links_up, 1));
	echo_round_trip(&old, 0, 100, 1);
	assert_int_equal(ftruncate(old.mem[0].fd, 0), 0);
	tick_until_told();
	expect_up();
}

// As long as the memory of a guest seems not to be shared, its link is down.
static void one_who_comes_while_another_is_suspected(void **state)
{
	const struct front_guest_config c = {.socket = port->path, .no_rx_buffers = true};

	assert_int_equal(front_guest_init(&old, &c), 0);
	assert_int_equal(front_guest_connect(&old), 0);
	assert_true(echo_wait(&port->links_up, 1));
	for (unsigned q = 0; q < 2; q++)
		memset(old.queues[q].drv.desc, 0, sizeof(struct vring_desc));
	tick_until_told();
	expect_up();
}

#define PORT_TEST(f) cmocka_unit_test_setup_teardown(f, open_port, close_port)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PORT_TEST(one_who_comes_while_another_is_sent_away),
		PORT_TEST(one_who_comes_while_another_is_suspected),
	};

	return cmocka_run_group_tests(tests, echo_start_eal, NULL);
}
