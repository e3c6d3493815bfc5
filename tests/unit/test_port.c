// SPDX-License-Identifier: BSD-2-Clause
// The part all ports share: types by name, and who is woken by a receive queue.
#include "dataplane/port/port.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

static int open_dummy(const struct port_config *config, const struct port_upcalls *up,
	struct port **out, struct error *err)
{
	struct port *port = aligned_alloc(64, (sizeof(*port) + 63) & ~(size_t)63);
	extern const struct port_ops dummy_ops;

	assert_non_null(port);
	assert_int_equal(port_init(port, &dummy_ops, config, up), 0);
	*out = port;
	return 0;
}

static void close_dummy(struct port *port)
{
	port_fini(port);
	free(port);
}

extern const struct port_ops dummy_ops;
const struct port_ops dummy_ops = {.type = "dummy", .open = open_dummy, .close = close_dummy};
static const struct port_ops other_ops = {.type = "other", .open = NULL};

const struct port_ops *const port_types[] = {&other_ops, &dummy_ops, NULL};

static struct port *dummy(void)
{
	const struct port_config config = {.name = "p", .type = "dummy", .mtu = 9000};
	const struct port_upcalls up = {0};
	struct port *port;

	assert_int_equal(port_new(&config, &up, &port, NULL), 0);
	return port;
}

// Whether the epoll set reports something now.
static bool wakes(int epfd)
{
	struct epoll_event ev;
	return epoll_wait(epfd, &ev, 1, 0) == 1;
}

static void kick(int fd)
{
	assert_int_equal(eventfd_write(fd, 1), 0);
}

static void a_type_is_found_by_name(void **state)
{
	struct port *port = dummy();

	assert_ptr_equal(port->ops, &dummy_ops);
	assert_string_equal(port->config.name, "p");
	assert_int_equal(port->mtu, 9000);
	assert_int_equal(port->n_txq, 1);
	assert_int_equal(port->link, PORT_LINK_DOWN);
	port_free(port);
	port_free(NULL);
}

static void an_unknown_type_names_the_known_ones(void **state)
{
	const struct port_config config = {.name = "p", .type = "nonsense"};
	const struct port_upcalls up = {0};
	struct port *port = (struct port *)1;
	struct error err;

	assert_int_equal(port_new(&config, &up, &port, &err), -EINVAL);
	assert_ptr_equal(port, (struct port *)1);
	assert_string_equal(err.key, "type");
	assert_non_null(strstr(err.text, "nonsense"));
	assert_non_null(strstr(err.text, "other, dummy"));
}

static void a_queue_wakes_whoever_it_is_assigned_to(void **state)
{
	struct port *port = dummy();
	int a = epoll_create1(0), b = epoll_create1(0), fd = eventfd(0, EFD_NONBLOCK);

	port_watch(port, 3, fd); // before the assignment
	port_assign(port, 3, a);
	kick(fd);
	assert_true(wakes(a));
	assert_false(wakes(a)); // edge: once per kick, without reading the descriptor
	kick(fd);
	assert_true(wakes(a));

	port_assign(port, 3, b);
	kick(fd);
	assert_false(wakes(a));
	assert_true(wakes(b));

	port_assign(port, 3, -1);
	kick(fd);
	assert_false(wakes(b));

	port_free(port);
	close(fd);
	close(a);
	close(b);
}

static void a_kick_before_the_assignment_is_not_lost(void **state)
{
	struct port *port = dummy();
	int a = epoll_create1(0), fd = eventfd(0, EFD_NONBLOCK);

	kick(fd);
	port_assign(port, 0, a);
	port_watch(port, 0, fd);
	assert_true(wakes(a));
	port_free(port);
	close(fd);
	close(a);
}

static void a_queue_changes_its_descriptor(void **state)
{
	struct port *port = dummy();
	int a = epoll_create1(0), one = eventfd(0, EFD_NONBLOCK), two = eventfd(0, EFD_NONBLOCK);

	port_assign(port, 0, a);
	port_watch(port, 0, one);
	port_watch(port, 0, two);
	kick(one);
	assert_false(wakes(a));
	kick(two);
	assert_true(wakes(a));
	port_watch(port, 0, -1);
	kick(two);
	assert_false(wakes(a));
	port_free(port);
	close(one);
	close(two);
	close(a);
}

static void statistics_are_summed_over_workers(void **state)
{
	struct port *port = dummy();
	struct port_stats sum;

	port->stats[0]->rx_frames = 5;
	port->stats[1]->rx_frames = 7;
	port->stats[WORKERS_MAX - 1]->drop[DROP_vlan] = 3;
	port_stats_sum(port, &sum);
	assert_int_equal(sum.rx_frames, 12);
	assert_int_equal(sum.drop[DROP_vlan], 3);
	assert_int_equal(sum.tx_frames, 0);
	port_free(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_type_is_found_by_name),
		cmocka_unit_test(an_unknown_type_names_the_known_ones),
		cmocka_unit_test(a_queue_wakes_whoever_it_is_assigned_to),
		cmocka_unit_test(a_kick_before_the_assignment_is_not_lost),
		cmocka_unit_test(a_queue_changes_its_descriptor),
		cmocka_unit_test(statistics_are_summed_over_workers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
