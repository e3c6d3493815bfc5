// SPDX-License-Identifier: BSD-2-Clause
// The CPUs of machines that have room for more than a set of the usual length has.
#include "dataplane/switch/switch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static size_t possible; // CPUs of the kernel that stands in for this one

// As Linux does: a set without room for all is an invalid argument. CPU 3 and the last may be used.
int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	if (!possible || size * 8 < possible) {
		errno = possible ? EINVAL : EPERM;
		return -1;
	}
	memset(set, 0, size);
	CPU_SET_S(3, size, set);
	CPU_SET_S(possible - 1, size, set);
	return 0;
}

// Bug: with more than 1024 possible CPUs weftd did not start.
static void machines_of_all_sizes(void **state)
{
	static const size_t sizes[] = {5, 64, 1024, 1025, 2048, 8192, 65536};
	cpu_set_t cpus;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		possible = sizes[i];
		memset(&cpus, 0xff, sizeof(cpus));
		assert_int_equal(switch_cpus(&cpus), 0);
		assert_true(CPU_ISSET(3, &cpus));
		assert_int_equal(CPU_COUNT(&cpus), possible <= CPU_SETSIZE ? 2 : 1);
	}
}

static void an_error_is_handed_out(void **state)
{
	cpu_set_t cpus;

	possible = 0;
	assert_int_equal(switch_cpus(&cpus), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(machines_of_all_sizes),
		cmocka_unit_test(an_error_is_handed_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
