// SPDX-License-Identifier: BSD-2-Clause
// The functions that instrumented code calls (see trace.h). Compiled without instrumentation.
#include "tests/model/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool trace_on;

static uint8_t *watched;
static size_t watched_len;
static void (*watch_hook)(const struct trace_access *a);
static void (*watch_fence_hook)(int order);

void trace_watch(void *base, size_t len, void (*hook)(const struct trace_access *a),
	void (*fence_hook)(int order))
{
	watch_fence_hook = fence_hook;
	watched = base;
	watched_len = len;
	watch_hook = hook;
}

static void touch(const volatile void *p, size_t n, bool is_write, bool is_atomic, int order)
{
	size_t offset = (size_t)((const uint8_t *)p - watched);
	struct trace_access a = {offset, n, is_write, is_atomic, order};

	if (!trace_on || offset >= watched_len)
		return;
	trace_on = false;
	if (n > watched_len - offset) {
		fprintf(stderr, "trace: an access of %zu bytes runs out of the memory\n", n);
		abort();
	}
	watch_hook(&a);
	trace_on = true;
}

// The names are the compiler's.
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

#define ACCESS(bytes)                               \
	void __tsan_read##bytes(void *p)            \
	{                                           \
		touch(p, bytes, false, false, 0);   \
	}                                           \
	void __tsan_write##bytes(void *p)           \
	{                                           \
		touch(p, bytes, true, false, 0);    \
	}                                           \
	void __tsan_unaligned_read##bytes(void *p)  \
	{                                           \
		touch(p, bytes, false, false, 0);   \
	}                                           \
	void __tsan_unaligned_write##bytes(void *p) \
	{                                           \
		touch(p, bytes, true, false, 0);    \
	}

ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

#define ATOMIC(bits, type)                                                    \
	type __tsan_atomic##bits##_load(const volatile type *p, int order)    \
	{                                                                     \
		touch(p, bits / 8, false, true, order);                       \
		return *p;                                                    \
	}                                                                     \
	void __tsan_atomic##bits##_store(volatile type *p, type v, int order) \
	{                                                                     \
		touch(p, bits / 8, true, true, order);                        \
		*p = v;                                                       \
	}

ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

void __tsan_read_range(void *p, unsigned long n)
{
	touch(p, n, false, false, 0);
}

void __tsan_write_range(void *p, unsigned long n)
{
	touch(p, n, true, false, 0);
}

// Of these newer compilers make calls of their own.
void *__tsan_memcpy(void *to, const void *from, size_t n)
{
	touch(from, n, false, false, 0);
	touch(to, n, true, false, 0);
	return memcpy(to, from, n);
}

void *__tsan_memmove(void *to, const void *from, size_t n)
{
	touch(from, n, false, false, 0);
	touch(to, n, true, false, 0);
	return memmove(to, from, n);
}

void *__tsan_memset(void *to, int byte, size_t n)
{
	touch(to, n, true, false, 0);
	return memset(to, byte, n);
}

void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller)
{
}

void __tsan_func_exit(void)
{
}

void __tsan_atomic_thread_fence(int order)
{
	if (trace_on)
		watch_fence_hook(order);
}
