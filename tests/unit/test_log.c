// SPDX-License-Identifier: BSD-2-Clause
// Log lines: levels, subjects, rate limits, and text that must not forge lines.
#include "control/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int saved;
static char path[] = "/tmp/weft-log-XXXXXX";
static char text[65536];

static int setup(void **state)
{
	strcpy(path, "/tmp/weft-log-XXXXXX");
	int fd = mkstemp(path);
	saved = dup(STDERR_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
	log_init(LOG_INFO);
	return 0;
}

static int teardown(void **state)
{
	dup2(saved, STDERR_FILENO);
	close(saved);
	unsetenv("JOURNAL_STREAM");
	return unlink(path);
}

static unsigned lines(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	unsigned count = 0;

	close(fd);
	text[n > 0 ? n : 0] = 0;
	for (const char *p = text; *p; p++)
		count += *p == '\n';
	return count;
}

static void levels_and_subjects(void **state)
{
	log_msg(LOG_WARNING, "port-a", "queue %d is broken", 3);
	log_msg(LOG_DEBUG, "port-a", "not shown");
	log_msg(LOG_INFO, NULL, "no subject");
	assert_int_equal(lines(), 2);
	assert_non_null(strstr(text, " warning: port-a: queue 3 is broken\n"));
	assert_non_null(strstr(text, " info: no subject\n"));
	assert_null(strstr(text, "not shown"));
	assert_int_equal(log_level_parse("debug"), LOG_DEBUG);
	assert_int_equal(log_level_parse("loud"), -1);
}

static void text_cannot_forge_a_line(void **state)
{
	log_msg(LOG_INFO, "guest", "evil\nerror: forged \033[31m");
	assert_int_equal(lines(), 1);
	assert_non_null(strstr(text, "evil?error: forged ?[31m"));
}

static void long_text_is_one_line(void **state)
{
	char big[4000];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	log_msg(LOG_INFO, "long", "%s", big);
	assert_int_equal(lines(), 1);
}

static void one_subject_cannot_flood(void **state)
{
	for (int i = 0; i < 10000; i++)
		log_msg(LOG_INFO, "noisy", "line %d", i);
	log_msg(LOG_INFO, "quiet", "still heard");
	// A window may end in between, no more than once or twice.
	assert_in_range(lines(), LOG_BURST + 1, 3 * LOG_BURST + 4);
	assert_non_null(strstr(text, "quiet: still heard"));
}

static void the_journal_gets_priorities(void **state)
{
	char stream[64];
	struct stat st;

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(LOG_INFO);
	log_msg(LOG_ERR, "vm1", "gone");
	lines();
	assert_string_equal(text, "<3>vm1: gone\n");
	setenv("JOURNAL_STREAM", "1:2", 1); // somebody else's journal
	log_init(LOG_INFO);
	log_msg(LOG_ERR, "vm1", "again");
	lines();
	assert_non_null(strstr(text, " error: vm1: again\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(levels_and_subjects, setup, teardown),
		cmocka_unit_test_setup_teardown(text_cannot_forge_a_line, setup, teardown),
		cmocka_unit_test_setup_teardown(long_text_is_one_line, setup, teardown),
		cmocka_unit_test_setup_teardown(one_subject_cannot_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(the_journal_gets_priorities, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
