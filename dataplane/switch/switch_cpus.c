// SPDX-License-Identifier: BSD-2-Clause
// Which CPUs workers may run on: the kernel's set, of whatever length.
#include "dataplane/switch/switch.h"

#include <errno.h>
#include <string.h>

#define CPUS_MOST (1u << 20)

int switch_cpus(cpu_set_t *out)
{
	int rc = -EINVAL;

	// A set that has no room for all CPUs that there can be is refused.
	for (size_t n = CPU_SETSIZE; rc == -EINVAL && n <= CPUS_MOST; n *= 2) {
		cpu_set_t *all = CPU_ALLOC(n);
		if (!all)
			return -ENOMEM;
		rc = sched_getaffinity(0, CPU_ALLOC_SIZE(n), all) ? -errno : 0;
		if (rc == 0)
			memcpy(out, all, sizeof(*out));
		CPU_FREE(all);
	}
	return rc;
}
