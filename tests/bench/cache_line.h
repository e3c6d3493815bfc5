// SPDX-License-Identifier: BSD-2-Clause
// How far apart two cores are: the round trip of a cache line between them.
#pragma once

#include <stdint.h>

// Cores closer than this are "near": siblings, or two cores over one cache.
#define CACHE_LINE_NEAR_NS 300.0

// Nanoseconds of one round trip between the cores, the median of many short series; takes about
// 20 ms, during which it needs both cores. 0.0 if a core cannot be had.
double cache_line_rtt(int core_a, int core_b);
