// SPDX-License-Identifier: BSD-2-Clause
// Guests whose connection outlives the port. The service manager's part is played here.
#include "dataplane/port/vhost_user.h"

#include "dataplane/port/vhost_features.h"

#include "tests/lib/echo.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB UINT64_C(1048576)

// Who connects to a socket seems to be another process.
static bool strangers;

int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	const long rc = syscall(SYS_getsockopt, fd, level, name, value, len);

	if (strangers && !rc && level == SOL_SOCKET && name == SO_PEERCRED)
		((struct ucred *)value)->pid = 1;
	return (int)rc;
}

// --- A keeper: files are told apart by nothing, as no manager is behind it ---

static struct kept {
	int fd;
	unsigned uses;
	bool is_state, is_saved, is_passed;
} kept[2048];
static uint64_t n_kept;
static unsigned n_saved;
static bool ending, deaf;

static uint64_t keep(void *ctx, int fd, bool is_state)
{
	kept[++n_kept] = (struct kept){fcntl(fd, F_DUPFD_CLOEXEC, 0), 1, is_state, false, false};
	return n_kept;
}

static bool hold(void *ctx, uint64_t id)
{
	bool there = id <= n_kept && kept[id].uses;

	kept[id].uses += there;
	return there;
}

static void drop(void *ctx, uint64_t id)
{
	if (!kept[id].uses || (--kept[id].uses && !kept[id].is_state))
		return;
	kept[id].uses = 0;
	close(kept[id].fd);
}

static int save(void *ctx, uint64_t id)
{
	if (kept[id].is_saved)
		return 0;
	if (deaf)
		return -EAGAIN;
	kept[id].is_saved = true;
	__atomic_fetch_add(&n_saved, 1, __ATOMIC_SEQ_CST);
	return 1;
}

static int fd_of(void *ctx, uint64_t id)
{
	return id <= n_kept && kept[id].uses ? kept[id].fd : -1;
}

static uint64_t next_state(void *ctx, uint64_t after)
{
	for (uint64_t id = after + 1; id <= n_kept; id++)
		if (kept[id].is_state && kept[id].uses == 1 && kept[id].is_passed)
			return id;
	return 0;
}

static bool is_ending(void *ctx)
{
	return ending;
}

static const struct port_keeper keeper = {
	NULL, keep, hold, drop, save, fd_of, next_state, is_ending};

static unsigned n_left(void)
{
	unsigned n = 0;

	for (uint64_t id = 1; id <= n_kept; id++)
		n += kept[id].uses != 0;
	return n;
}

static bool nothing_left(void)
{
	for (unsigned i = 0; i < ECHO_WAIT_MS && n_left(); i++)
		usleep(1000);
	return !n_left();
}

// --- A port and a guest ---

static struct port_config config;
static struct echo *port;
static struct front_guest g;

static void open_port(void)
{
	port = echo_start_kept(&config, &keeper);
}

// The daemon ends, and what only the manager has stays.
static void daemon_ends(void)
{
	ending = true;
	echo_stop(port);
	port = NULL;
	ending = false;
	for (uint64_t id = 1; id <= n_kept; id++) {
		if (kept[id].uses && !kept[id].is_saved)
			drop(NULL, id);
		kept[id].is_passed = kept[id].uses;
		kept[id].uses = kept[id].uses != 0;
	}
}

// All ports are open: what nobody holds beside the manager goes.
static void sweep(void)
{
	for (uint64_t id = 1; id <= n_kept; id++) {
		if (!kept[id].uses || !kept[id].is_passed)
			continue;
		kept[id].is_passed = false;
		if (kept[id].is_state && kept[id].uses > 1)
			kept[id].uses = 1;
		else
			drop(NULL, id);
	}
}

static void daemon_comes(void)
{
	open_port();
	sweep();
}

static void set_flag(void *ctx, const char *key, bool value)
{
	if (key && !strcmp(key, "kept"))
		*(bool *)ctx = value;
}

static void no_str(void *ctx, const char *key, const char *value)
{
}

static void no_num(void *ctx, const char *key, uint64_t value)
{
}

static void no_key(void *ctx, const char *key)
{
}

static void no_end(void *ctx)
{
}

static bool is_kept(void)
{
	bool is = false;
	const struct describer to = {&is, no_str, no_num, set_flag, no_key, no_key, no_end};

	vhost_user_ops.describe(port->port, &to);
	return is;
}

static bool becomes_kept(bool want)
{
	for (unsigned i = 0; i < ECHO_WAIT_MS && is_kept() != want; i++)
		usleep(1000);
	return is_kept() == want;
}

// Rings follow a message after its answer, but before the next one is read.
static void settle(void)
{
	uint64_t n;

	assert_int_equal(vhost_front_get_queue_num(&g.front, &n), 0);
}

static int open_all(void **state)
{
	const struct front_guest_config c = {.socket = config.socket, .pairs = 2};

	memset(&config, 0, sizeof(config));
	snprintf(config.socket, sizeof(config.socket), "/tmp/weft-test-adopt-%d", (int)getpid());
	config.queues = 2;
	n_kept = n_saved = 0;
	ending = deaf = false;
	open_port();
	if (front_guest_init(&g, &c) || front_guest_connect(&g))
		return -1;
	settle();
	return echo_wait(&port->links_up, 1) ? 0 : -1;
}

static int close_all(void **state)
{
	front_guest_fini(&g);
	if (port)
		echo_stop(port);
	port = NULL;
	return n_left() ? -1 : 0;
}

static void echoes(void)
{
	for (unsigned i = 0; i < 20; i++)
		for (unsigned pair = 0; pair < 2; pair++)
			echo_round_trip(&g, pair, 60 + i * 70, i);
}

static bool is_connected(void)
{
	return !vhost_front_is_closed(&g.front, 0);
}

static void goes_on(void **state)
{
	uint8_t out[100], in[2048];

	echoes();
	assert_true(becomes_kept(true));
	for (unsigned i = 0; i < 5; i++) {
		daemon_ends();
		assert_true(is_connected());
		// What is sent meanwhile waits.
		echo_make_frame(out, sizeof(out), i);
		assert_int_equal(front_guest_send(&g, 0, NULL, out, sizeof(out), 0), 0);
		daemon_comes();
		assert_int_equal(
			front_guest_recv(&g, 0, NULL, in, sizeof(in), ECHO_WAIT_MS), sizeof(out));
		assert_memory_equal(out, in, sizeof(out));
		echoes();
		assert_true(is_connected());
		assert_true(becomes_kept(true));
	}
	assert_int_equal(n_saved, n_left()); // nothing is handed over twice
	front_guest_fini(&g);
	assert_true(nothing_left());
}

// Also messages wait, and are answered by the next daemon; what they change is in force.
static void messages_meanwhile(void **state)
{
	struct vhost_front_msg reply;
	const struct {
		uint32_t index, num;
	} disable = {1, 0};

	daemon_ends();
	assert_int_equal(vhost_front_send(&g.front, VHOST_SET_VRING_ENABLE,
				 VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY, sizeof(disable),
				 &disable, sizeof(disable), NULL, 0),
		0);
	assert_int_equal(vhost_front_send(&g.front, VHOST_GET_QUEUE_NUM, VHOST_FLAG_VERSION, 0,
				 NULL, 0, NULL, 0),
		0);
	daemon_comes();
	assert_int_equal(vhost_front_recv(&g.front, &reply), 0);
	assert_int_equal(reply.request, VHOST_SET_VRING_ENABLE);
	assert_int_equal(reply.payload.u64, 0);
	assert_int_equal(vhost_front_recv(&g.front, &reply), 0);
	assert_int_equal(reply.request, VHOST_GET_QUEUE_NUM);
	assert_int_equal(reply.payload.u64, 2);
	assert_int_equal(vhost_front_set_vring_enable(&g.front, 1, true), 0);
	settle();
	echoes();
}

static void memory_that_changed(void **state)
{
	struct vhost_front_region r[2];
	int more = memfd_create("more", MFD_CLOEXEC);

	assert_int_equal(ftruncate(more, 8 * MIB), 0);
	r[0] = (struct vhost_front_region){
		g.mem[0].gpa, g.mem[0].size, (uintptr_t)g.mem[0].map, 0, g.mem[0].fd};
	r[1] = (struct vhost_front_region){UINT64_C(1) << 40, 8 * MIB, 0x1000, 0, more};
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(vhost_front_set_mem_table(&g.front, r, 1 + i % 2), 0);
		echoes();
		daemon_ends();
		daemon_comes();
		echoes();
	}
	close(more);
}

// Waits for whoever says all again, as a newer rte_vhost does; -1: does not.
static int waits = -1;

int getpeername(int fd, struct sockaddr *to, socklen_t *len)
{
	const int rc = (int)syscall(SYS_getpeername, fd, to, len);
	const struct sockaddr_un *a = (void *)to;
	struct epoll_event ev = {.events = EPOLLOUT, .data.u64 = 47110815};

	if (!rc && waits >= 0 && a->sun_family == AF_UNIX && *len > sizeof(a->sun_family) &&
		!a->sun_path[0])
		epoll_ctl(waits, EPOLL_CTL_ADD, fd, &ev);
	return rc;
}

// Bug: a DPDK that waits with epoll heard no VMM again whose connection had gone on.
static void heard_by_epoll(void **state)
{
	struct epoll_event ev;

	daemon_ends();
	waits = epoll_create1(EPOLL_CLOEXEC);
	daemon_comes();
	settle();
	echoes();
	assert_int_equal(epoll_wait(waits, &ev, 1, 0), 1); // the VMM takes all that is written
	assert_int_equal(ev.data.u64, 47110815);
	close(waits);
	waits = -1;
}

// A driver that stopped (a reboot) and starts again over the same connection.
static void driver_that_stopped(void **state)
{
	echoes();
	assert_int_equal(front_guest_stop(&g), 0);
	daemon_ends();
	daemon_comes();
	assert_true(becomes_kept(true));
	for (unsigned i = 0; i < g.n_queues; i++)
		assert_int_equal(front_guest_start_ring(&g, i), 0);
	assert_int_equal(front_guest_enable(&g, true), 0);
	settle();
	echoes();
	daemon_ends();
	daemon_comes();
	echoes();
}

static void second_guest(void **state)
{
	const struct front_guest_config c = {
		.socket = config.socket, .pairs = 2, .timeout_ms = 300};
	struct front_guest other;

	daemon_ends();
	daemon_comes();
	assert_int_equal(front_guest_init(&other, &c), 0);
	assert_int_not_equal(front_guest_connect(&other), 0);
	echoes();
	front_guest_fini(&other);
	// One that has left gives way.
	daemon_ends();
	front_guest_fini(&g);
	daemon_comes();
	assert_non_null(strstr(port->log, "the VMM has left"));
	assert_true(nothing_left());
	assert_int_equal(front_guest_init(&g, &c), 0);
	assert_int_equal(front_guest_connect(&g), 0);
	settle();
	echoes();
}

// What does not fit any more is refused, and the guest may come with what fits.
static void fewer_queues(void **state)
{
	daemon_ends();
	config.queues = 1;
	daemon_comes();
	assert_true(vhost_front_is_closed(&g.front, ECHO_WAIT_MS));
	assert_true(nothing_left());
	assert_non_null(strstr(port->log, "more queues than the port has"));
}

static void refused_message(void **state)
{
	struct vhost_front_region r = {0, 0, 0, 0, g.mem[0].fd};

	assert_int_equal(vhost_front_set_mem_table(&g.front, &r, 1), -EREMOTEIO);
	assert_false(is_kept());
	assert_int_equal(front_guest_share_memory(&g), 0);
	assert_false(is_kept()); // what it left nobody knows
	echoes();
	daemon_ends();
	assert_true(vhost_front_is_closed(&g.front, ECHO_WAIT_MS));
	assert_true(nothing_left());
}

static void migration(void **state)
{
	int log = memfd_create("log", MFD_CLOEXEC);

	assert_int_equal(ftruncate(log, 1 * MIB), 0);
	assert_int_equal(vhost_front_set_log_base(&g.front, 1 * MIB, 0, log), 0);
	assert_true(becomes_kept(false));
	assert_int_equal(
		vhost_front_set_features(&g.front, g.features | 1ull << VHOST_F_LOG_ALL), 0);
	assert_false(is_kept());
	assert_int_equal(vhost_front_set_features(&g.front, g.features), 0);
	assert_true(becomes_kept(true)); // it was called off
	close(log);
}

// A guest can make its VMM send descriptors without end: the manager need not take them all.
static void many_descriptors(void **state)
{
	unsigned before;

	for (unsigned i = 0; i < 600; i++) {
		int call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_int_equal(vhost_front_set_vring_call(&g.front, 0, call), 0);
		close(call);
	}
	before = n_saved;
	assert_true(before <= 256);
	assert_false(is_kept());
	vhost_user_ops.tick(port->port);
	assert_true(is_kept());
	assert_int_equal(n_saved, before + 1);
}

// Of a message that passed all checks but rte_vhost's own nothing is kept.
static void message_that_fails_late(void **state)
{
	const int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const struct vhost_front_region r = {0, 8 * MIB, 0x1000, 0, fd};
	const unsigned before = n_left();

	assert_int_equal(ftruncate(fd, 8 * MIB), 0);
	assert_int_equal(
		fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0); // it cannot be mapped to be written
	assert_int_equal(vhost_front_set_mem_table(&g.front, &r, 1), -EREMOTEIO);
	settle();
	assert_int_equal(n_left(), before);
	assert_false(is_kept());
	close(fd);
}

// A record that could be cut short while it is read is not looked at.
static void record_that_is_not_sealed(void **state)
{
	const int fd = memfd_create("record", MFD_CLOEXEC);
	uint8_t copy[65536];
	ssize_t n = 0;

	daemon_ends();
	for (uint64_t id = 1; id <= n_kept; id++) {
		if (!kept[id].is_state || !kept[id].uses)
			continue;
		n = pread(kept[id].fd, copy, sizeof(copy), 0);
		assert_int_equal(dup3(fd, kept[id].fd, O_CLOEXEC), kept[id].fd);
	}
	assert_in_range(n, 1, sizeof(copy) - 1);
	assert_int_equal(pwrite(fd, copy, (size_t)n, 0), n);
	daemon_comes();
	assert_true(vhost_front_is_closed(&g.front, ECHO_WAIT_MS));
	assert_true(nothing_left());
	close(fd);
}

static void deaf_manager(void **state)
{
	int call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	deaf = true;
	assert_int_equal(vhost_front_set_vring_call(&g.front, 0, call), 0);
	assert_false(is_kept());
	vhost_user_ops.tick(port->port);
	assert_false(is_kept());
	deaf = false;
	vhost_user_ops.tick(port->port);
	assert_true(is_kept());
	close(call);
}

// A port that closes while the daemon goes on lets its guest go.
static void port_that_is_removed(void **state)
{
	echo_stop(port);
	port = NULL;
	assert_true(vhost_front_is_closed(&g.front, ECHO_WAIT_MS));
	assert_int_equal(n_left(), 0);
}

// Whoever connects under the address that we were to come from does not get the VMM's port; and what was to be
// said again and never is does not wait for ever.
static void one_who_comes_in_our_stead(void **state)
{
	daemon_ends();
	strangers = true;
	open_port();
	assert_true(is_connected());
	for (unsigned i = 0; i < 3; i++)
		vhost_user_ops.tick(port->port);
	strangers = false;
	sweep();
	assert_true(vhost_front_is_closed(&g.front, ECHO_WAIT_MS));
	assert_true(nothing_left());
}

// The manager's duplicate of the connection goes some time later. The VMM need not wait for that.
static void port_that_is_removed_before_the_manager_knows(void **state)
{
	const int duplicate = fcntl(kept[1].fd, F_DUPFD_CLOEXEC, 0); // what is kept first

	assert_true(duplicate >= 0);
	echo_stop(port);
	port = NULL;
	assert_true(vhost_front_is_closed(&g.front, ECHO_WAIT_MS));
	close(duplicate);
}

#define ADOPT_TEST(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ADOPT_TEST(goes_on),
		ADOPT_TEST(messages_meanwhile),
		ADOPT_TEST(memory_that_changed),
		ADOPT_TEST(heard_by_epoll),
		ADOPT_TEST(driver_that_stopped),
		ADOPT_TEST(second_guest),
		ADOPT_TEST(fewer_queues),
		ADOPT_TEST(refused_message),
		ADOPT_TEST(migration),
		ADOPT_TEST(many_descriptors),
		ADOPT_TEST(message_that_fails_late),
		ADOPT_TEST(record_that_is_not_sealed),
		ADOPT_TEST(deaf_manager),
		ADOPT_TEST(one_who_comes_in_our_stead),
		ADOPT_TEST(port_that_is_removed),
		ADOPT_TEST(port_that_is_removed_before_the_manager_knows),
	};

	return cmocka_run_group_tests(tests, echo_start_eal, NULL);
}
