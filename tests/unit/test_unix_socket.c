// SPDX-License-Identifier: BSD-2-Clause
// Taking a unix socket: one owner at a time, what a dead one left, and what is not ours.
#include "control/unix_socket.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[32], path[64], lock[80];

static int setup(void **state)
{
	strcpy(dir, "/tmp/weft-sock-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/api.sock", dir);
	snprintf(lock, sizeof(lock), "%s.lock", path);
	return 0;
}

static int teardown(void **state)
{
	return rmdir(dir); // nothing is left
}

// A socket at the path that somebody else made, and listens on or not.
static int others(bool listens)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	if (listens)
		assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void refused(const char *words)
{
	struct unix_socket s;
	struct error err;

	assert_true(unix_socket_take(&s, path, &err) < 0);
	assert_non_null(strstr(err.text, words));
	assert_string_equal(err.key, "api.socket");
}

static void one_owner_at_a_time(void **state)
{
	struct unix_socket s;
	struct error err;

	assert_int_equal(unix_socket_take(&s, path, &err), 0);
	refused("another weftd serves");
	assert_int_equal(access(path, F_OK), 0);
	// The lock decides, whatever became of the socket's file.
	assert_int_equal(unlink(path), 0);
	refused("another weftd serves");
	unix_socket_leave(&s);
	assert_true(access(lock, F_OK) < 0);
	assert_int_equal(unix_socket_take(&s, path, &err), 0);
	unix_socket_leave(&s);
	assert_true(access(path, F_OK) < 0);
}

static void what_a_dead_owner_left_is_replaced(void **state)
{
	struct unix_socket s;
	struct error err;

	close(others(false));
	close(open(lock, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(unix_socket_take(&s, path, &err), 0);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	strcpy(addr.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
	unix_socket_leave(&s);
}

static void what_is_not_ours_stays(void **state)
{
	int fd = others(true);

	refused("another process serves");
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
	unlink(path);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	refused("no socket");
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	// A link in the place of the lock could have us make a file anywhere.
	assert_int_equal(symlink("/nosuch/file", lock), 0);
	refused("cannot make");
	unlink(lock);
}

static void a_path_that_cannot_be(void **state)
{
	char most[200];
	struct unix_socket s;
	struct error err;

	assert_true(unix_socket_take(&s, "/no/such/directory/x.sock", &err) < 0);
	assert_non_null(strstr(err.text, "make its directory"));
	memset(most, 'x', sizeof(most));
	memcpy(most, "/tmp/", 5);
	most[108] = 0;
	assert_true(unix_socket_take(&s, most, &err) < 0);
	assert_non_null(strstr(err.text, "at most 107 characters, this has 108"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(one_owner_at_a_time),
		T(what_a_dead_owner_left_is_replaced),
		T(what_is_not_ours_stays),
		T(a_path_that_cannot_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
