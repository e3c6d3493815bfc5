// SPDX-License-Identifier: BSD-2-Clause
// A daemon without its process, over the stand-in switch: what tests of control start from.
#pragma once

#include "control/config.h"
#include "control/loop.h"
#include "tests/lib/fake_switch.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

// Starts *d with the configuration `text`. What the test has made of it before stays.
static inline void daemon_open(struct daemon *d, const char *text)
{
	struct config_error cerr;
	struct config *config;
	struct error err;

	d->config_path = "/tmp/weft-none.yaml";
	assert_int_equal(config_parse(text, strlen(text), &config, &cerr), 0);
	d->base = event_base_new();
	assert_int_equal(switch_new(&config->sw, &d->sw, &err), 0);
	assert_int_equal(loop_start(d, config, &err), 0);
	config_free(config);
}

static inline void daemon_close(struct daemon *d)
{
	loop_stop(d);
	switch_free(d->sw);
	event_base_free(d->base);
}
