// SPDX-License-Identifier: BSD-2-Clause
// Saving a file: it is there as it was or as it shall be, whatever fails and whenever power does.
#include "control/config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[40], path[64];

// What was asked of the system, in order: a file synced, a directory synced, a file renamed.
static char steps[16];
static bool sync_fails, rename_fails;

static void step(char c)
{
	const size_t n = strlen(steps);

	assert_true(n + 1 < sizeof(steps));
	steps[n] = c;
	steps[n + 1] = 0;
}

// These come before libc's.
int fsync(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	step(S_ISDIR(st.st_mode) ? 'd' : 'f');
	if (!sync_fails)
		return 0;
	errno = EIO;
	return -1;
}

int rename(const char *from, const char *to)
{
	step('r');
	if (!rename_fails)
		return renameat(AT_FDCWD, from, AT_FDCWD, to);
	errno = EROFS;
	return -1;
}

static int setup(void **state)
{
	struct error err;

	strcpy(dir, "/tmp/weft-save-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/weft.yaml", dir);
	sync_fails = rename_fails = false;
	assert_int_equal(config_write(path, "a: 1\n", &err), 0);
	*steps = 0;
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	return rmdir(dir); // no temporary file was left
}

static void reads(int fd, const char *want)
{
	char text[100] = "";

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	assert_string_equal(text, want);
	close(fd);
}

static void who_reads_the_old_file_reads_all_of_it(void **state)
{
	int old = open(path, O_RDONLY | O_CLOEXEC);
	struct error err;

	assert_int_equal(config_write(path, "b: 2\n", &err), 0);
	reads(old, "a: 1\n");
	reads(open(path, O_RDONLY | O_CLOEXEC), "b: 2\n");
}

static void it_is_on_the_disk_before_it_has_its_name(void **state)
{
	struct error err;

	assert_int_equal(config_write(path, "b: 2\n", &err), 0);
	assert_string_equal(steps, "frd");
}

static void what_fails_changes_nothing(void **state)
{
	struct error err;

	sync_fails = true;
	assert_int_equal(config_write(path, "b: 2\n", &err), -EIO);
	assert_non_null(
		strstr(err.text, "Input/output error; it is as it was; weftctl config show"));
	assert_string_equal(steps, "f");
	reads(open(path, O_RDONLY | O_CLOEXEC), "a: 1\n");
	sync_fails = false;
	rename_fails = true;
	assert_int_equal(config_write(path, "b: 2\n", &err), -EROFS);
	assert_non_null(strstr(err.text, path));
	reads(open(path, O_RDONLY | O_CLOEXEC), "a: 1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(who_reads_the_old_file_reads_all_of_it),
		T(it_is_on_the_disk_before_it_has_its_name),
		T(what_fails_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
