// SPDX-License-Identifier: BSD-2-Clause
// Which of the loops over a burst's addresses this CPU gets.
#include "dataplane/switch/key_burst.h"

extern const struct key_burst_ops key_burst_base;
#ifdef __x86_64__
extern const struct key_burst_ops key_burst_avx2, key_burst_avx512;

static bool has_avx2(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
	       __builtin_cpu_supports("bmi2");
}

static bool has_avx512(void)
{
	return has_avx2() && __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi2") &&
	       __builtin_cpu_supports("popcnt");
}
#endif

const struct key_burst_ops *key_burst_each(unsigned i)
{
	const struct key_burst_ops *has[4] = {NULL};
	unsigned n = 0;

#ifdef __x86_64__
	__builtin_cpu_init();
	if (has_avx512())
		has[n++] = &key_burst_avx512;
	if (has_avx2())
		has[n++] = &key_burst_avx2;
#endif
	has[n++] = &key_burst_base;
	return i < n ? has[i] : NULL;
}

const struct key_burst_ops *key_burst_choose(void)
{
	return key_burst_each(0);
}
