// SPDX-License-Identifier: BSD-2-Clause
// Descriptors with the service manager, whose part is played here.
#include "control/fd_store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int manager;
static char path[64];
static char heard[256]; // the last datagram
static struct fd_store *store;
static const struct port_keeper *k;

// The next datagram into `heard`; how many descriptors came with it, -1 if there is none.
static int hear(void)
{
	union {
		char buf[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {heard, sizeof(heard) - 1};
	struct msghdr mh = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf)};
	ssize_t n = recvmsg(manager, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&mh);
	int fd;

	heard[n < 0 ? 0 : n] = '\0';
	if (n < 0 || !c)
		return n < 0 ? -1 : 0;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	close(fd);
	return 1;
}

static int start_store(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(path, sizeof(path), "/tmp/weft-test-store-%d", (int)getpid());
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	unlink(path);

	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	manager = fcntl(fd, F_DUPFD_CLOEXEC, 100); // out of the way of what is passed
	close(fd);
	if (bind(manager, (struct sockaddr *)&a, sizeof(a)))
		return -1;
	setenv("NOTIFY_SOCKET", path, 1);
	setenv("FDSTORE", "8", 1);
	store = fd_store_new();
	k = fd_store_keeper(store);
	return store ? 0 : -1;
}

static int stop_store(void **state)
{
	fd_store_free(store);
	close(manager);
	unlink(path);
	return 0;
}

static void handed_over_once_and_taken_back(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	uint64_t id = k->keep(k->ctx, fd, false);

	assert_int_not_equal(id, 0);
	assert_int_equal(hear(), -1); // not before it is asked for
	assert_int_equal(k->save(k->ctx, id), 1);
	assert_int_equal(hear(), 1);
	assert_string_equal(heard, "FDSTORE=1\nFDPOLL=0\nFDNAME=fd.1\n");
	assert_int_equal(k->save(k->ctx, id), 0);
	assert_int_equal(hear(), -1);
	close(fd);
	assert_true(fcntl(k->fd(k->ctx, id), F_GETFD) & FD_CLOEXEC);
	k->drop(k->ctx, id);
	assert_int_equal(hear(), 0);
	assert_string_equal(heard, "FDSTOREREMOVE=1\nFDNAME=fd.1\n");
	assert_int_equal(k->fd(k->ctx, id), -1);
	assert_int_equal(k->save(k->ctx, id), -ENOENT);
}

// The manager would take it under no second name, and lose it with the first.
static void one_file_has_one_number(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC), copy = dup(fd), other = eventfd(0, EFD_CLOEXEC);
	uint64_t id = k->keep(k->ctx, fd, false);

	assert_int_equal(k->keep(k->ctx, copy, false), id);
	assert_int_not_equal(k->keep(k->ctx, other, false), id);
	assert_int_equal(k->save(k->ctx, id), 1);
	assert_int_equal(hear(), 1);
	k->drop(k->ctx, id);
	assert_int_equal(hear(), -1);
	assert_int_not_equal(k->fd(k->ctx, id), -1);
	k->drop(k->ctx, id);
	assert_int_equal(hear(), 0);
	assert_int_not_equal(k->keep(k->ctx, fd, false), id); // numbers are never used again
	close(fd);
	close(copy);
	close(other);
}

static void no_more_than_the_manager_takes(void **state)
{
	uint64_t ids[9];

	for (unsigned i = 0; i < 9; i++) {
		int fd = eventfd(0, EFD_CLOEXEC);
		ids[i] = k->keep(k->ctx, fd, false);
		close(fd);
	}
	assert_int_not_equal(ids[7], 0);
	assert_int_equal(ids[8], 0);
}

// A manager with no ear just now holds nobody up, and hears of it later.
static void manager_that_does_not_listen(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	uint64_t id = k->keep(k->ctx, fd, false), sent = 0;

	assert_int_equal(k->save(k->ctx, id), 1);
	for (int rc = 1; rc > 0; sent++) {
		int next = eventfd(0, EFD_CLOEXEC);
		uint64_t number = k->keep(k->ctx, next, false);
		rc = k->save(k->ctx, number);
		k->drop(k->ctx, number);
		close(next);
		assert_true(sent < 100000);
	}
	k->drop(k->ctx, id);
	while (hear() >= 0)
		;
	fd_store_tick(store);
	for (bool found = false; !found;) {
		assert_true(hear() >= 0);
		found = strcmp(heard, "FDSTOREREMOVE=1\nFDNAME=fd.1\n") == 0;
	}
	close(fd);
}

// In a process of its own: numbers of descriptors are fixed there. 0: all was as it should be.
static int child(void)
{
	uint64_t id;

	for (int fd = 3; fd < 7; fd++)
		if (dup2(eventfd(0, EFD_CLOEXEC), fd) < 0)
			return 1;
	setenv("LISTEN_FDS", "4", 1);
	setenv("LISTEN_FDNAMES", "fd.7:state.9:fd.8:something", 1);
	char text[16];
	snprintf(text, sizeof(text), "%d", (int)getpid());
	setenv("LISTEN_PID", text, 1);
	store = fd_store_new();
	k = fd_store_keeper(store);
	if (!store || getenv("LISTEN_FDS"))
		return 2;
	if (k->next_state(k->ctx, 0) != 9 || k->next_state(k->ctx, 9) || k->fd(k->ctx, 7) < 0 ||
		k->fd(k->ctx, 9) < 0 || fcntl(6, F_GETFD) >= 0)
		return 3;
	if (!k->hold(k->ctx, 7) || k->hold(k->ctx, 6) || k->save(k->ctx, 7))
		return 4;
	fd_store_sweep(store);
	// 9 and 8 were nobody's.
	if (k->fd(k->ctx, 8) != -1 || k->fd(k->ctx, 9) != -1 || k->fd(k->ctx, 7) < 0)
		return 5;
	for (unsigned i = 0; i < 2; i++)
		if (hear() != 0 || !strstr(heard, "FDSTOREREMOVE=1"))
			return 6;
	k->drop(k->ctx, 7);
	if (hear() != 0 || !strstr(heard, "FDNAME=fd.7"))
		return 7;
	int fd = eventfd(0, EFD_CLOEXEC);
	id = k->keep(k->ctx, fd, true);
	if (id != 10 || k->next_state(k->ctx, 0)) // it is not the last daemon's
		return 8;
	return 0;
}

static void passed_by_the_manager(void **state)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(child());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void without_a_manager(void **state)
{
	unsetenv("FDSTORE");
	assert_null(fd_store_new());
	setenv("FDSTORE", "8", 1);
	unsetenv("NOTIFY_SOCKET");
	assert_null(fd_store_new());
	assert_null(fd_store_keeper(NULL));
	fd_store_sweep(NULL);
	fd_store_tick(NULL);
	fd_store_end(NULL);
	fd_store_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			handed_over_once_and_taken_back, start_store, stop_store),
		cmocka_unit_test_setup_teardown(one_file_has_one_number, start_store, stop_store),
		cmocka_unit_test_setup_teardown(
			no_more_than_the_manager_takes, start_store, stop_store),
		cmocka_unit_test_setup_teardown(
			manager_that_does_not_listen, start_store, stop_store),
		cmocka_unit_test_setup_teardown(passed_by_the_manager, start_store, stop_store),
		cmocka_unit_test_setup_teardown(without_a_manager, start_store, stop_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
