// SPDX-License-Identifier: BSD-2-Clause
// Opening and changing a vhost-user port: what is in the way of its socket, who owns it, what is refused.
#include "dataplane/port/vhost_user.h"
#include "tests/lib/echo.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/weft-test-XXXXXX";
static struct port_config c;
static struct error err;
static struct port *port;

static int open_port(void)
{
	const struct port_upcalls up = {0};
	memset(&err, 0, sizeof(err));
	port = NULL;
	return vhost_user_ops.open(&c, &up, &port, &err);
}

// Opens and closes.
static int try(void)
{
	int rc = open_port();
	if (!rc)
		vhost_user_ops.close(port);
	return rc;
}

static int setup(void **state)
{
	memset(&c, 0, sizeof(c));
	strcpy(c.name, "vm");
	strcpy(c.type, "vhost-user");
	snprintf(c.socket, sizeof(c.socket), "%s/s", dir);
	return 0;
}

static int teardown(void **state)
{
	unlink(c.socket);
	return 0;
}

static int listen_there(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	memcpy(a.sun_path, c.socket, strlen(c.socket));
	assert_int_equal(bind(fd, (void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

static void refused(int rc, const char *key, const char *text)
{
	assert_int_equal(open_port(), rc);
	assert_null(port);
	assert_string_equal(err.key, key);
	if (!strstr(err.text, text))
		fail_msg("%s, not %s", err.text, text);
}

static void what_is_in_the_way_stays(void **state)
{
	int fd = open(c.socket, O_CREAT | O_WRONLY, 0600);
	refused(-EEXIST, "socket", "is no socket");
	assert_int_equal(access(c.socket, F_OK), 0);
	close(fd);
	unlink(c.socket);
	fd = listen_there();
	refused(-EADDRINUSE, "socket", "in use by another process");
	assert_int_equal(access(c.socket, F_OK), 0);
	close(fd); // now it is a leftover, and goes
	assert_int_equal(access(c.socket, F_OK), 0);
	assert_int_equal(try(), 0);
	assert_int_not_equal(access(c.socket, F_OK), 0);
	strcat(c.socket, "/nowhere");
	refused(-ENOENT, "socket", "directory must exist");
}

static void numbers_have_limits(void **state)
{
	c.queues = PORT_QUEUES_MAX + 1;
	refused(-EINVAL, "queues", "at most");
	c.queues = PORT_QUEUES_MAX;
	assert_int_equal(try(), 0);
	c.queues = 0;
	static const uint32_t mtus[] = {1, 67, 65536};
	for (unsigned i = 0; i < 3; i++) {
		c.mtu = mtus[i];
		refused(-EINVAL, "mtu", "68 to 65535");
	}
	c.mtu = 68;
	assert_int_equal(try(), 0);
	c.mtu = 65535;
	assert_int_equal(try(), 0);
	c.mtu = 0;
	memset(c.socket, 'a', sizeof(c.socket)); // without its end
	refused(-EINVAL, "socket", "a path of 1 to");
	c.socket[0] = 0;
	refused(-EINVAL, "socket", "a path of 1 to");
}

static void sockets_have_owners(void **state)
{
	struct stat st;
	assert_int_equal(open_port(), 0);
	assert_int_equal(stat(c.socket, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	vhost_user_ops.close(port);
	c.socket_mode = 0600;
	static const struct {
		const char *owner;
		uid_t uid;
		gid_t gid;
	} owners[] = {{"daemon:bin", 1, 2}, {"daemon", 1, 0}, {":bin", 0, 2}, {"daemon:", 1, 0}};
	for (unsigned i = 0; i < 4 && getuid() == 0; i++) {
		snprintf(c.socket_owner, sizeof(c.socket_owner), "%s", owners[i].owner);
		assert_int_equal(open_port(), 0);
		assert_int_equal(stat(c.socket, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		assert_int_equal(st.st_uid, owners[i].uid);
		assert_int_equal(st.st_gid, owners[i].gid);
		vhost_user_ops.close(port);
	}
	strcpy(c.socket_owner, "nobody-of-this-name");
	refused(-ENOENT, "socket-owner", "no user");
	assert_int_not_equal(access(c.socket, F_OK), 0); // nothing is left behind
	strcpy(c.socket_owner, ":nobody-of-this-name");
	refused(-ENOENT, "socket-owner", "no group");
}

// What a connected guest would notice needs a new port; the caller makes one.
static void changes_in_place(void **state)
{
	struct port_config now;
	assert_int_equal(open_port(), 0);
	assert_int_equal(port->n_rxq, 1);
	// Nobody is there: nothing comes, and nothing is waited for.
	struct port_stats st = {0};
	assert_int_equal(port->ops->rx_backlog(port, 0, 5, &st), 0);
	assert_int_equal(port->ops->tx_room(port, 0, 5, &st), 5);
	now = c;
	now.queues = 1; // as it is
	now.mtu = 9000;
	assert_int_equal(vhost_user_ops.set(port, &now, &err), 0);
	assert_int_equal(port_load(&port->mtu), 9000);
	now.mtu = 0;
	assert_int_equal(vhost_user_ops.set(port, &now, &err), 0);
	assert_int_equal(port_load(&port->mtu), 1500);
	now.mtu = 67;
	assert_int_equal(vhost_user_ops.set(port, &now, &err), -EINVAL);
	for (unsigned i = 0; i < 6; i++) {
		now = c;
		now.mtu = 2000;
		switch (i) {
		case 0:
			strcat(now.socket, "2");
			break;
		case 1:
			now.client = true;
			break;
		case 2:
			now.queues = 2;
			break;
		case 3:
			now.features_off = 1;
			break;
		case 4:
			now.socket_mode = 0600;
			break;
		default:
			strcpy(now.socket_owner, "root");
		}
		if (vhost_user_ops.set(port, &now, &err) != -ENOTSUP)
			fail_msg("change %u", i);
		assert_int_equal(port_load(&port->mtu), 1500);
	}
	vhost_user_ops.close(port);
}

// A client's socket is its VMM's: nothing is made, looked for or removed there.
static void a_client_leaves_the_path_alone(void **state)
{
	int fd = listen_there();
	c.client = true;
	assert_int_equal(try(), 0);
	assert_int_equal(access(c.socket, F_OK), 0);
	close(fd);
}

static int start(void **state)
{
	return mkdtemp(dir) ? echo_start_eal(state) : -1;
}

static int end(void **state)
{
	return rmdir(dir);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_in_the_way_stays),
		T(numbers_have_limits),
		T(sockets_have_owners),
		T(changes_in_place),
		T(a_client_leaves_the_path_alone),
	};
	return cmocka_run_group_tests(tests, start, end);
}
