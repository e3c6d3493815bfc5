// SPDX-License-Identifier: BSD-2-Clause
// Memory that went, page by page, where the kernel's pages are larger than 4 KiB.
#include "dataplane/port/vhost_fault.h"

#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#define KIB   1024ul
#define BLOCK (2048 * KIB)

static unsigned long page; // what the kernel is said to have

long sysconf(int name)
{
	static long (*real)(int);

	if (name == _SC_PAGESIZE && page)
		return (long)page;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "sysconf");
	return real(name);
}

// As such a kernel does: a fixed address is that of a page, and pages are mapped as a whole.
long syscall(long nr, ...)
{
	static long (*real)(long, ...);
	long a[6];
	va_list ap;

	va_start(ap, nr);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (nr == SYS_mmap && page && (unsigned long)a[0] % page) {
		errno = EINVAL;
		return -1;
	}
	if (nr == SYS_mmap && page)
		a[1] = (long)(((unsigned long)a[1] + page - 1) & ~(page - 1));
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	return real(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

// Bug: a page was one of 4 KiB, 2 MiB or 1 GiB. With pages of 16 or 64 KiB, nothing came to lie over the
// 2 MiB around what had gone, whatever was there.
static void neighbours_stay(unsigned long page_size)
{
	const int prot = PROT_READ | PROT_WRITE;
	uint8_t *all = mmap(NULL, 2 * BLOCK, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *block = (uint8_t *)(((uintptr_t)all + BLOCK - 1) & ~(BLOCK - 1));
	uint8_t *gone = block + 1024 * KIB;
	const int fd = memfd_create("gone", MFD_CLOEXEC);

	assert_ptr_not_equal(all, MAP_FAILED);
	memset(block, 7, BLOCK);
	assert_int_equal(ftruncate(fd, (off_t)(64 * KIB)), 0);
	assert_ptr_not_equal(mmap(gone, 64 * KIB, prot, MAP_SHARED | MAP_FIXED, fd, 0), MAP_FAILED);
	assert_int_equal(ftruncate(fd, 0), 0);
	page = page_size;
	vhost_fault_init();
	vhost_fault_tolerate();
	assert_int_equal(*(volatile uint8_t *)(gone + page_size - 8), 0);
	page = 0;
	assert_int_equal(gone[-1], 7);
	assert_int_equal(gone[64 * KIB], 7);
	assert_int_equal(block[0], 7);
	close(fd);
	munmap(all, 2 * BLOCK);
}

static void pages_of_16_kib(void **state)
{
	neighbours_stay(16 * KIB);
}

static void pages_of_64_kib(void **state)
{
	neighbours_stay(64 * KIB);
}

static void pages_as_they_are(void **state)
{
	neighbours_stay((unsigned long)sysconf(_SC_PAGESIZE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_16_kib),
		cmocka_unit_test(pages_of_64_kib),
		cmocka_unit_test(pages_as_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
