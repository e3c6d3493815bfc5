// SPDX-License-Identifier: BSD-2-Clause
// A fault while other memory comes to be watched and goes. What is wrong with that happens once in a very long time,
// so it is the thread sanitizer that looks.
#include "dataplane/port/vhost_fault.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

// Pages of a stretch of memory: what is watched in turns, a long time at its end, a short one at its start, and
// what is cut short in between.
enum { PAGE = 4096, BYSTANDER_AT = 1, CUT_AT = 2, LONG_AT = 16, LONG = 8, PAGES = 32 };

#define RUN_NS 300000000

static uint8_t *stretch;
static int others, cut_short; // owners: only their addresses matter
static bool stop;

static void *watch_in_turns(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		vhost_fault_forget(&others);
		vhost_fault_watch(&others, stretch + LONG_AT * PAGE, LONG * (uint64_t)PAGE);
		vhost_fault_forget(&others);
		vhost_fault_watch(&others, stretch, PAGE);
	}
	return NULL;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

// Bug: the new begin of what came to be watched was taken together with the length of what had been there, and nothing
// was mapped over all that lies there.
static void others_come_and_go(void **state)
{
	const int fd = memfd_create("cut", MFD_CLOEXEC);
	const int64_t from = now_ns();
	pthread_t other;

	vhost_fault_init();
	stretch = mmap(
		NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(stretch, MAP_FAILED);
	stretch[BYSTANDER_AT * PAGE] = 1;
	vhost_fault_watch(&others, stretch, PAGE);
	vhost_fault_watch(&cut_short, stretch + CUT_AT * PAGE, PAGE);
	assert_int_equal(pthread_create(&other, NULL, watch_in_turns, NULL), 0);
	do {
		const volatile uint8_t *p = mmap(
			stretch + CUT_AT * PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
		assert_ptr_equal(p, stretch + CUT_AT * PAGE);
		assert_int_equal(*p, 0);
	} while (now_ns() - from < RUN_NS);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(other, NULL);
	assert_int_equal(stretch[BYSTANDER_AT * PAGE], 1);
	assert_false(vhost_fault_seen(&others));
	assert_true(vhost_fault_seen(&cut_short));
	vhost_fault_forget(&others);
	vhost_fault_forget(&cut_short);
	munmap(stretch, PAGES * PAGE);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
