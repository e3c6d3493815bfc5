// SPDX-License-Identifier: BSD-2-Clause
// Whose connection is whose: a VMM may call its end whatever it likes, and need not listen to what it is told.
#include "tests/lib/echo.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

// The half of a message: of SET_FEATURES, without the features.
static void send_half(struct vhost_front *f)
{
	static const uint8_t header[12] = {VHOST_SET_FEATURES, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0};

	assert_int_equal(vhost_front_send_bytes(f, header, sizeof(header), NULL, 0), 0);
}

// Whoever sent half a message is sent away, and another VMM gets along.
static void others_are_served(struct echo *other, struct vhost_front *slow)
{
	const struct front_guest_config gc = {.socket = other->path};
	struct front_guest g;

	assert_true(vhost_front_is_closed(slow, ECHO_WAIT_MS));
	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_connect(&g), 0);
	assert_true(echo_wait(&other->links_up, 1));
	echo_round_trip(&g, 0, 100, 1);
	front_guest_fini(&g);
}

// A VMM that listens in the port's directory under a name of that directory only.
static void listener_of_another_name(void **state)
{
	struct port_config c = {.client = true}, c2 = {0};
	struct echo *e = echo_start(&c), *other = echo_start(&c2);
	struct vhost_front slow;
	char before[256];

	vhost_front_init(&slow);
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(e->dir), 0);
	assert_int_equal(vhost_front_listen(&slow, "s"), 0);
	assert_int_equal(chdir(before), 0);
	assert_int_equal(vhost_front_accept(&slow), 0);
	send_half(&slow);
	others_are_served(other, &slow);
	vhost_front_fini(&slow);
	unlink(e->path);
	echo_stop(e);
	echo_stop(other);
}

// A VMM that listens where the port expects it, with the name of another port's socket. Of such a connection nobody
// can tell whose it is.
static void listener_of_the_name_of_another_port(void **state)
{
	struct port_config c = {.client = true}, c2 = {0};
	struct echo *e = echo_start(&c), *other;
	struct vhost_front f;
	char aside[128];

	snprintf(c2.socket, sizeof(c2.socket), "/tmp/weft-test-%d", (int)getpid());
	snprintf(aside, sizeof(aside), "%s-aside", c2.socket);
	vhost_front_init(&f);
	assert_int_equal(vhost_front_listen(&f, c2.socket), 0);
	assert_int_equal(rename(c2.socket, aside), 0);
	other = echo_start_kept(&c2, NULL);
	assert_int_equal(rename(aside, e->path), 0);
	assert_int_equal(vhost_front_accept(&f), 0);
	assert_true(vhost_front_is_closed(&f, ECHO_WAIT_MS));
	assert_non_null(strstr(e->log, "socket was not found"));
	vhost_front_disconnect(&f);
	close(f.listener);
	unlink(e->path);
	echo_stop(e);
	echo_stop(other);
}

// Descriptors of low numbers, for those that come later.
static void keep_low(int low[], unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_true((low[i] = dup(STDERR_FILENO)) >= 0);
}

// A VMM whose own end has the name of another port's socket, and a connection to that port.
static void end_with_the_name_of_another_port(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX}, to = a;
	struct port_config c = {0}, c2 = {0};
	struct echo *e, *other = echo_start(&c2);
	struct vhost_front slow;
	int fd, low[8];

	keep_low(low, 8);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "/tmp/weft-test-%d", (int)getpid());
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", other->path);
	unlink(a.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	snprintf(c.socket, sizeof(c.socket), "%s", a.sun_path);
	e = echo_start_kept(&c, NULL);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	usleep(200000); // accepted by now
	for (unsigned i = 0; i < 8; i++)
		close(low[i]);
	vhost_front_init(&slow);
	assert_int_equal(vhost_front_connect(&slow, e->path), 0);
	send_half(&slow);
	close(fd);
	others_are_served(other, &slow);
	vhost_front_fini(&slow);
	echo_stop(e);
	echo_stop(other);
}

// Answers that a VMM never reads fill its socket; who writes more of them waits.
static void answers_that_nobody_reads(void **state)
{
	static const uint8_t ask[12] = {VHOST_GET_FEATURES, 0, 0, 0, 1};
	struct port_config c = {0}, c2 = {0};
	struct echo *e = echo_start(&c), *other = echo_start(&c2);
	struct vhost_front deaf;
	unsigned waited = 0;
	ssize_t n;

	vhost_front_init(&deaf);
	assert_int_equal(vhost_front_connect(&deaf, e->path), 0);
	do {
		n = send(deaf.fd, ask, sizeof(ask), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			usleep(1000);
	} while (n > 0 || (errno == EAGAIN && waited++ < ECHO_WAIT_MS));
	assert_true(n < 0 && errno != EAGAIN); // it was sent away
	vhost_front_disconnect(&deaf);
	others_are_served(other, &deaf);
	echo_stop(e);
	echo_stop(other);
}

// A VMM may send what is refused as fast as it likes; nobody has to read as much.
static void refusals_without_end(void **state)
{
	struct port_config c = {0};
	struct echo *e = echo_start(&c);
	const struct front_guest_config gc = {.socket = e->path};
	struct front_guest g;

	assert_int_equal(front_guest_init(&g, &gc), 0);
	assert_int_equal(front_guest_meet(&g), 0);
	assert_int_equal(front_guest_negotiate(&g), 0);
	g.front.ack = true;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(vhost_front_set_vring_num(&g.front, 30, 64), -EREMOTEIO);
	assert_int_equal(e->logged, 32);
	e->port->ops->tick(e->port);
	assert_string_equal(e->log, "68 more lines were left out");
	assert_int_equal(vhost_front_set_vring_num(&g.front, 30, 64), -EREMOTEIO);
	assert_int_equal(e->logged, 34);
	e->port->ops->tick(e->port);
	assert_int_equal(e->logged, 34);
	front_guest_fini(&g);
	echo_stop(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listener_of_another_name),
		cmocka_unit_test(listener_of_the_name_of_another_port),
		cmocka_unit_test(end_with_the_name_of_another_port),
		cmocka_unit_test(answers_that_nobody_reads),
		cmocka_unit_test(refusals_without_end),
	};

	return cmocka_run_group_tests(tests, echo_start_eal, NULL);
}
