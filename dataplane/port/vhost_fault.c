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

// Written under `lock`, read by the handler: size is 0 while the rest changes.
static struct mapping {
	const void *owner;
	uintptr_t base;
	uint64_t size;
	bool gone; // written by the handler
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

static bool replace_watched(uintptr_t at)
{
	for (struct mapping *m = mappings; m < mappings + MAPPINGS_MAX; m++) {
		const uint64_t size = __atomic_load_n(&m->size, __ATOMIC_ACQUIRE);

		if (at - m->base >= size)
			continue;
		__atomic_store_n(&m->gone, true, __ATOMIC_RELAXED);
		return replace(m->base, size);
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

void vhost_fault_watch(const void *owner, void *base, uint64_t size)
{
	pthread_mutex_lock(&lock);
	for (struct mapping *m = mappings; m < mappings + MAPPINGS_MAX; m++) {
		if (m->size)
			continue;
		m->owner = owner;
		m->base = (uintptr_t)base;
		m->gone = false;
		__atomic_store_n(&m->size, size, __ATOMIC_RELEASE);
		break;
	}
	pthread_mutex_unlock(&lock);
}

void vhost_fault_forget(const void *owner)
{
	pthread_mutex_lock(&lock);
	for (struct mapping *m = mappings; m < mappings + MAPPINGS_MAX; m++)
		if (m->owner == owner)
			__atomic_store_n(&m->size, 0, __ATOMIC_RELEASE);
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
