// SPDX-License-Identifier: BSD-2-Clause
// A VMM that cuts the memory short that it shares with us: its guest is lost, nobody else is.
#include "dataplane/port/dirty_log.h"
#include "dataplane/port/vhost_fault.h"
#include "dataplane/port/vhost_features.h"
#include "dataplane/port/vhost_user.h"

#include "tests/lib/echo.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
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
	if (port)
		echo_stop(port);
	return 0;
}

// While probing, memory that has just been unmapped is at once somebody else's, who has nothing behind it.
static bool probing;
static volatile unsigned unmapped, still_watched; // so that they change where they are written to
static sigjmp_buf not_watched;

static void on_fault(int sig)
{
	siglongjmp(not_watched, 1);
}

int munmap(void *at, size_t len)
{
	const volatile size_t old_len = len; // the fault may clobber what is in registers
	long rc = syscall(SYS_munmap, at, len);

	if (!probing || rc || len < 1 << 20)
		return (int)rc;
	int fd = memfd_create("other", MFD_CLOEXEC);
	volatile const char *p = mmap(at, 4096, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
	unsigned char vec;
	probing = false; // the handler of one fault is gone after it
	unmapped++;
	if (!sigsetjmp(not_watched, 1))
		(void)*p;
	// The event thread's faults are healed in any case, a page each.
	if (!mincore((uint8_t *)at + 2 * 4096, 4096, &vec))
		still_watched++;
	close(fd);
	return (int)syscall(SYS_munmap, at, still_watched ? old_len : 4096);
}

// A file that is cut short as soon as it has been mapped.
static int cut_when_mapped = -1;

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	const long p = syscall(SYS_mmap, at, len, prot, flags, fd, offset);

	if (fd >= 0 && len >= 1 << 20 && cut_when_mapped >= 0) {
		assert_int_equal(ftruncate(cut_when_mapped, 0), 0);
		cut_when_mapped = -1;
	}
	return (void *)p;
}

static void start_guest(struct front_guest *g, uint64_t features)
{
	const struct front_guest_config c = {
		.socket = port->path, .polling = true, .ring_size = 64, .features = features};
	unsigned up = port->links_up;

	assert_int_equal(front_guest_init(g, &c), 0);
	assert_int_equal(front_guest_connect(g), 0);
	assert_true(echo_wait(&port->links_up, up + 1));
	echo_round_trip(g, 0, 100, 1);
}

// Ticks until the port has found out, and has sent the VMM away.
static void expect_sent_away(struct front_guest *g)
{
	bool closed = false;

	for (unsigned i = 0; i < ECHO_WAIT_MS && !closed; i++) {
		port->port->ops->tick(port->port);
		closed = vhost_front_is_closed(&g->front, 1);
	}
	assert_true(closed);
	assert_non_null(strstr(port->log, "took away memory"));
}

static void memory_that_is_cut_short(void **state)
{
	vhost_fault_init(); // the test library has a handler of its own in each test
	for (unsigned i = 0; i < 3; i++) {
		struct front_guest g;

		start_guest(&g, 0);
		assert_int_equal(ftruncate(g.mem[0].fd, 0), 0);
		expect_sent_away(&g);
		front_guest_fini(&g);
	}
	struct front_guest g;
	start_guest(&g, 0);
	front_guest_fini(&g);
}

// What rte_vhost itself looks at when a ring starts.
static void memory_that_is_cut_before_the_start(void **state)
{
	struct front_guest_config c = {.socket = port->path, .polling = true};
	struct front_guest g;

	vhost_fault_init();
	assert_int_equal(front_guest_init(&g, &c), 0);
	assert_int_equal(front_guest_meet(&g), 0);
	assert_int_equal(front_guest_negotiate(&g), 0);
	g.front.ack = true;
	assert_int_equal(front_guest_share_memory(&g), 0);
	assert_int_equal(front_guest_make_rings(&g), 0);
	assert_int_equal(ftruncate(g.mem[0].fd, 0), 0);
	for (unsigned q = 0; q < 2; q++)
		assert_int_equal(front_guest_start_ring(&g, q), 0);
	front_guest_fini(&g);
	start_guest(&g, 0);
	front_guest_fini(&g);
}

// What rte_vhost looks at in memory that we do not know yet: where rings that there were have come to lie.
static void memory_that_is_cut_as_it_comes(void **state)
{
	const int fd = memfd_create("more", MFD_CLOEXEC);
	struct front_guest g;

	vhost_fault_init();
	start_guest(&g, 0);
	const struct vhost_front_region more = {
		g.mem[0].gpa, g.mem[0].size + (2 << 20), (uintptr_t)g.mem[0].map, 0, fd};
	assert_int_equal(ftruncate(fd, (off_t)more.size), 0);
	g.front.ack = true;
	cut_when_mapped = fd;
	(void)vhost_front_set_mem_table(&g.front, &more, 1);
	assert_int_equal(cut_when_mapped, -1);
	front_guest_fini(&g);
	close(fd);
	start_guest(&g, 0);
	front_guest_fini(&g);
}

static void a_dirty_log_that_is_cut_short(void **state)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	struct front_guest g;
	uint8_t frame[100];
	uint64_t size;

	vhost_fault_init();
	start_guest(&g, FRONT_GUEST_FEATURES | FEATURE(VHOST_F_LOG_ALL));
	size = (g.mem[0].gpa + g.mem[0].size) / DIRTY_LOG_PAGE / 8 + 8;
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(vhost_front_set_log_base(&g.front, size, 0, fd), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	echo_make_frame(frame, sizeof(frame), 1);
	assert_int_equal(front_guest_send(&g, 0, NULL, frame, sizeof(frame), ECHO_WAIT_MS), 0);
	expect_sent_away(&g);
	front_guest_fini(&g);
	close(fd);
	start_guest(&g, 0);
	front_guest_fini(&g);
}

// Bug: memory of a port that was closed was watched until after it was unmapped. A fault in what came to lie
// there would have been healed by mapping nothing over all of its old length.
static void memory_of_a_port_that_closes(void **state)
{
	struct sigaction act = {.sa_handler = on_fault}, old;
	struct front_guest g;

	sigaction(SIGBUS, &act, &old);
	vhost_fault_init();
	start_guest(&g, 0);
	probing = true;
	echo_stop(port);
	port = NULL;
	probing = false;
	sigaction(SIGBUS, &old, NULL);
	assert_int_equal(unmapped, 1);
	assert_int_equal(still_watched, 0);
	front_guest_fini(&g);
}

// The same where the VMM takes its memory back, or gives other memory.
static void memory_that_is_given_up(void **state)
{
	struct sigaction act = {.sa_handler = on_fault}, old;
	const int fd = memfd_create("other", MFD_CLOEXEC);
	const struct vhost_front_region other = {0, 8 << 20, 0x1000, 0, fd};

	assert_int_equal(ftruncate(fd, 8 << 20), 0);
	sigaction(SIGBUS, &act, &old);
	vhost_fault_init();
	for (unsigned reset = 0; reset < 2; reset++) {
		struct front_guest g;

		unmapped = still_watched = 0;
		start_guest(&g, 0);
		g.front.ack = true;
		probing = true;
		if (reset)
			assert_int_equal(vhost_front_reset_owner(&g.front), 0);
		else
			assert_int_equal(vhost_front_set_mem_table(&g.front, &other, 1), 0);
		probing = false;
		assert_int_equal(unmapped, 1);
		assert_int_equal(still_watched, 0);
		front_guest_fini(&g);
	}
	sigaction(SIGBUS, &old, NULL);
	close(fd);
}

#define PORT_TEST(f) cmocka_unit_test_setup_teardown(f, open_port, close_port)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PORT_TEST(memory_that_is_cut_short),
		PORT_TEST(memory_that_is_cut_before_the_start),
		PORT_TEST(memory_that_is_cut_as_it_comes),
		PORT_TEST(a_dirty_log_that_is_cut_short),
		PORT_TEST(memory_of_a_port_that_closes),
		PORT_TEST(memory_that_is_given_up),
	};

	return cmocka_run_group_tests(tests, echo_start_eal, NULL);
}
