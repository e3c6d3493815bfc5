// SPDX-License-Identifier: BSD-2-Clause
// The handler of SIGBUS, and the table of memory that it looks in.
#include "dataplane/port/vhost_fault.h"

#include "dataplane/port/port.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// Of each port the regions of its memory and a dirty log.
#define MAPPINGS_MAX (PORT_MAX * 9)

#define PAGE_LARGEST (UINT64_C(1) << 34) // of huge ones

// Written under `lock`, base and size read by the handler. Who owns what lies in them does not touch it while
// they change, but somebody else may have a fault then.
static struct mapping {
	const void *owner;
	uintptr_t base;
	uint64_t size;    // 0: free
	uint32_t changes; // of the two above; odd: they change now
	bool gone;        // written by the handler
} mappings[MAPPINGS_MAX];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before;
static uint64_t page_size; // written before the handler is there
static __thread bool tolerant __attribute__((tls_model("initial-exec")));

// Only what a signal handler may do: mmap is one system call.
static bool replace(uintptr_t base, uint64_t size)
{
	return syscall(SYS_mmap, base, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
		       0) == (long)base;
}

// Whether `at` lies in a mapping, and in which. One that changes is not the one: of an old length and a new
// begin, all that lies behind would be replaced.
static bool is_in(const struct mapping *m, uintptr_t at, uintptr_t *base, uint64_t *size)
{
	// Pairs with the second release of change().
	const uint32_t changes = __atomic_load_n(&m->changes, __ATOMIC_ACQUIRE);

	*base = __atomic_load_n(&m->base, __ATOMIC_RELAXED);
	*size = __atomic_load_n(&m->size, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE); // pairs with the first
	return at - *base < *size && !(changes & 1) &&
	       __atomic_load_n(&m->changes, __ATOMIC_RELAXED) == changes;
}

static bool replace_watched(uintptr_t at)
{
	uintptr_t base;
	uint64_t size;

	for (struct mapping *m = mappings; m < mappings + MAPPINGS_MAX; m++) {
		if (!is_in(m, at, &base, &size))
			continue;
		__atomic_store_n(&m->gone, true, __ATOMIC_RELAXED);
		return replace(base, size);
	}
	return false;
}

// Of whatever size the page is, from the kernel's own up to the hugest: a part of one cannot be replaced.
static bool replace_page(uintptr_t at)
{
	for (uint64_t size = page_size; size <= PAGE_LARGEST; size *= 2)
		if (replace(at & ~(uintptr_t)(size - 1), size))
			return true;
	return false;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	const uintptr_t at = (uintptr_t)info->si_addr;
	const int saved = errno;

	// Of anything else die as if nobody had caught it: the access is tried again.
	if (!replace_watched(at) && !(tolerant && replace_page(at)))
		sigaction(SIGBUS, &before, NULL);
	errno = saved;
}

void vhost_fault_init(void)
{
	struct sigaction act = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO}, now;

	pthread_mutex_lock(&lock);
	if (!sigaction(SIGBUS, NULL, &now) && now.sa_sigaction != on_sigbus) {
		before = now;
		page_size = (uint64_t)sysconf(_SC_PAGESIZE);
		sigemptyset(&act.sa_mask);
		sigaction(SIGBUS, &act, NULL);
	}
	pthread_mutex_unlock(&lock);
}

void vhost_fault_tolerate(void)
{
	tolerant = true;
}

// Under lock.
static void change(struct mapping *m, uintptr_t base, uint64_t size)
{
	__atomic_store_n(&m->changes, m->changes + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&m->base, base, __ATOMIC_RELAXED);
	__atomic_store_n(&m->size, size, __ATOMIC_RELAXED);
	__atomic_store_n(&m->changes, m->changes + 1, __ATOMIC_RELEASE);
}

void vhost_fault_watch(const void *owner, void *base, uint64_t size)
{
	pthread_mutex_lock(&lock);
	for (struct mapping *m = mappings; m < mappings + MAPPINGS_MAX; m++) {
		if (m->size)
			continue;
		m->owner = owner;
		__atomic_store_n(&m->gone, false, __ATOMIC_RELAXED);
		change(m, (uintptr_t)base, size);
		break;
	}
	pthread_mutex_unlock(&lock);
}

void vhost_fault_forget(const void *owner)
{
	pthread_mutex_lock(&lock);
	for (struct mapping *m = mappings; m < mappings + MAPPINGS_MAX; m++)
		if (m->size && m->owner == owner)
			change(m, 0, 0);
	pthread_mutex_unlock(&lock);
}

bool vhost_fault_seen(const void *owner)
{
	bool seen = false;

	pthread_mutex_lock(&lock);
	for (struct mapping *m = mappings; m < mappings + MAPPINGS_MAX; m++)
		seen |= m->size && m->owner == owner && __atomic_load_n(&m->gone, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&lock);
	return seen;
}
