// SPDX-License-Identifier: BSD-2-Clause
// The request for cores that wake up fast: what is written where, with a file in place of the device.
#include "control/wakeup.h"

#include "control/config.h"
#include "control/daemon.h"
#include "control/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[32], file[64];

static int setup(void **state)
{
	strcpy(dir, "/tmp/weft-wake-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/cpu_dma_latency", dir);
	return 0;
}

static int teardown(void **state)
{
	unlink(file);
	return rmdir(dir);
}

static void make_file(void)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

// What stands in the file: one number of 32 bits, and nothing behind it.
static int32_t asked(void)
{
	int32_t us[2] = {-2, -2};
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, us, sizeof(us)), sizeof(us[0]));
	close(fd);
	return us[0];
}

static void a_request_is_made_changed_and_withdrawn(void **state)
{
	struct error err;

	make_file();
	struct wakeup *w = wakeup_new(file, 20);
	assert_non_null(w);
	assert_int_equal(asked(), 20);
	assert_int_equal(wakeup_set(w, 0, &err), 0);
	assert_int_equal(asked(), 0);
	assert_int_equal(wakeup_set(w, 1000000, &err), 0);
	assert_int_equal(asked(), 1000000);
	assert_int_equal(wakeup_set(w, WAKEUP_ANY, &err), 0);
	assert_int_equal(asked(), -1); // the kernel's default
	wakeup_free(w);
}

// The descriptor of the start serves for good: the file need not be there, or be allowed, later.
static void the_file_is_opened_at_the_start_whether_asked_or_not(void **state)
{
	char moved[80];
	struct error err;

	make_file();
	struct wakeup *w = wakeup_new(file, WAKEUP_ANY);
	snprintf(moved, sizeof(moved), "%s.moved", file);
	assert_int_equal(rename(file, moved), 0);
	assert_int_equal(wakeup_set(w, 5, &err), 0);
	assert_int_equal(rename(moved, file), 0);
	assert_int_equal(asked(), 5);
	wakeup_free(w);
}

static void without_the_file_nothing_is_wrong_unless_it_is_asked_for(void **state)
{
	struct wakeup *w = wakeup_new(file, WAKEUP_ANY);
	struct error err = {.key = ""};

	assert_non_null(w);
	assert_int_equal(wakeup_set(w, WAKEUP_ANY, &err), 0);
	assert_int_equal(wakeup_set(w, 20, &err), -ENOENT);
	assert_string_equal(err.key, "wakeup-us");
	assert_non_null(strstr(err.text, "wakeup-us: "));
	assert_non_null(strstr(err.text, file));
	assert_non_null(strstr(err.text, "a container must be given it"));
	// A refusal is no wish.
	make_file();
	wakeup_tick(w);
	struct stat st;
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_size, 0);
	wakeup_free(w);
}

static void what_was_not_granted_at_the_start_is_asked_for_again(void **state)
{
	struct error err;
	const char *remedy;
	struct wakeup *w = wakeup_new(file, 20);

	assert_non_null(w);
	wakeup_tick(w);
	assert_true(wakeup_lacks(w, &err, &remedy));
	make_file();
	wakeup_tick(w);
	assert_false(wakeup_lacks(w, &err, &remedy));
	assert_int_equal(asked(), 20);
	// Once granted, it is not brought back.
	assert_int_equal(wakeup_set(w, 30, &err), 0);
	wakeup_tick(w);
	assert_int_equal(asked(), 30);
	wakeup_free(w);

	// And not if it is withdrawn before it is granted.
	unlink(file);
	w = wakeup_new(file, 20);
	assert_int_equal(wakeup_set(w, WAKEUP_ANY, &err), 0);
	make_file();
	wakeup_tick(w);
	struct stat st;
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_size, 0);
	wakeup_free(w);
	wakeup_free(NULL);
}

static void a_write_that_fails_is_told(void **state)
{
	struct error err = {.key = ""};
	struct wakeup *w = wakeup_new("/dev/full", WAKEUP_ANY);

	assert_int_equal(wakeup_set(w, 20, &err), -ENOSPC);
	assert_string_equal(err.key, "wakeup-us");
	wakeup_free(w);
}

static struct config *parse(const char *text, struct config_error *err)
{
	struct config *c = NULL;

	return config_parse(text, strlen(text), &c, err) == 0 ? c : NULL;
}

static void values_and_their_bounds(void **state)
{
	static const struct {
		const char *text;
		int32_t us;
	} good[] = {{"", WAKEUP_ANY}, {"idle-us: 5", WAKEUP_ANY}, {"wakeup-us: 0", 0},
		{"wakeup-us: 20", 20}, {"{\"wakeup-us\": \"7\"}", 7},
		{"wakeup-us: 1000000", 1000000}};
	static const char *const bad[] = {"wakeup-us: 1000001", "wakeup-us: -1", "wakeup-us: fast",
		"wakeup-us: 4294967296", "wakeup-us:", "wakeup-us: [1]"};
	struct config_error err;

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct config *c = parse(good[i].text, &err);
		assert_non_null(c);
		assert_int_equal(c->wakeup_us, good[i].us);
		config_free(c);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(parse(bad[i], &err));
		assert_string_equal(err.error.key, "wakeup-us");
		assert_int_equal(err.line, 1);
	}
}

// Applies a configuration to what runs; the request must follow.
static int apply(struct daemon *d, const char *text, struct error *err)
{
	struct running_report report = {.needs_restart = NULL};
	struct config_error cerr;
	struct config *c = parse(text, &cerr);

	assert_non_null(c);
	int rc = running_apply(d->running, c, &report, err);
	json_decref(report.needs_restart);
	config_free(c);
	return rc;
}

static void it_follows_the_running_configuration(void **state)
{
	struct daemon d = {.config_path = "/tmp/weft-none.yaml"};
	struct config_error cerr;
	struct error err;
	struct config *c = parse("wakeup-us: 20", &cerr);

	make_file();
	assert_non_null(c);
	d.base = event_base_new();
	d.wakeup = wakeup_new(file, c->wakeup_us);
	assert_int_equal(switch_new(&c->sw, &d.sw, &err), 0);
	assert_int_equal(loop_start(&d, c, &err), 0);
	assert_int_equal(asked(), 20);
	assert_int_equal(apply(&d, "wakeup-us: 0", &err), 0);
	assert_int_equal(asked(), 0);
	assert_int_equal(apply(&d, "idle: poll", &err), 0);
	assert_int_equal(asked(), -1);
	// Refused as a whole: the request is taken back too (the stand-in refuses this table).
	assert_true(apply(&d, "{wakeup-us: 3, fdb: {max: 16}}", &err) < 0);
	assert_int_equal(asked(), -1);
	config_free(c);
	loop_stop(&d);
	switch_free(d.sw);
	event_base_free(d.base);
	wakeup_free(d.wakeup);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_request_is_made_changed_and_withdrawn),
		T(the_file_is_opened_at_the_start_whether_asked_or_not),
		T(without_the_file_nothing_is_wrong_unless_it_is_asked_for),
		T(what_was_not_granted_at_the_start_is_asked_for_again),
		T(a_write_that_fails_is_told),
		T(values_and_their_bounds),
		T(it_follows_the_running_configuration),
	};

	return cmocka_run_group_tests_name("wakeup", tests, NULL, NULL);
}
