// SPDX-License-Identifier: BSD-2-Clause
// Sees every access that instrumented code makes to a watched piece of memory, before it happens.
//
// Code compiled with -fsanitize=thread calls a function before each load and store. trace.c is those functions, instead
// of the sanitizer's own runtime: it passes what touches the watched memory to a hook. As the hook runs before the access,
// it can also change the memory, as another CPU would.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_access {
	size_t offset; // into the watched memory
	size_t n;      // bytes
	bool is_write, is_atomic;
	int order; // __ATOMIC_*, of an atomic one
};

// Watches [base, base + len) while trace_on is set. One thread.
extern bool trace_on;
void trace_watch(void *base, size_t len, void (*hook)(const struct trace_access *a),
	void (*fence_hook)(int order));
