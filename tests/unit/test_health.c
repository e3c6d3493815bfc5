// SPDX-License-Identifier: BSD-2-Clause
// Findings: each from the smallest picture of a port that causes it, and none from one that is well.
#include "control/health.h"

#include "tests/lib/fake_switch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)

// Rings of a guest that is well: it uses both of its queues and has given buffers.
#define WELL                                                                                \
	"{'connected': true, 'queues': ["                                                   \
	"{'queue': 0, 'direction': 'to-guest', 'size': 1024, 'available': 9, 'taken': 5,"   \
	" 'enabled': true, 'broken': false},"                                               \
	"{'queue': 0, 'direction': 'from-guest', 'size': 1024, 'available': 9, 'taken': 9," \
	" 'enabled': true, 'broken': false}]}"

static char *json_of(const char *text)
{
	char *copy = strdup(text);

	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	return copy;
}

// The codes that are found, with blanks between.
static const char *found(struct health_view v, const char *details)
{
	static char codes[400];
	char *text = details ? json_of(details) : NULL;
	json_t *list = json_array(), *f;
	size_t i;

	v.name = "vm1";
	v.type = v.type ? v.type : "vhost-user";
	v.why = v.why ? v.why : "because";
	json_t *d = text ? json_loads(text, 0, NULL) : NULL;
	assert_true(!text || d);
	v.details = d;
	health_look_at_port(&v, list);
	*codes = 0;
	json_array_foreach (list, i, f) {
		assert_true(strlen(json_string_value(json_object_get(f, "text"))) > 0);
		assert_true(strlen(json_string_value(json_object_get(f, "remedy"))) > 0);
		assert_string_equal(json_string_value(json_object_get(f, "about")), "vm1");
		if (*codes)
			strcat(codes, " ");
		strcat(codes, json_string_value(json_object_get(f, "level")));
		strcat(codes, ":");
		strcat(codes, json_string_value(json_object_get(f, "code")));
	}
	json_decref(list);
	json_decref(d);
	free(text);
	return codes;
}

static void states(void **state)
{
	const struct health_view up = {.open = true, .up = true}, down = {.open = true},
				 failed = {.open = false, .pending = true},
				 pending = {.open = true, .up = true, .pending = true},
				 nic = {.open = true, .type = "af-xdp"};

	assert_string_equal(found(up, WELL), "");
	assert_string_equal(found(failed, NULL), "error:port-failed");
	assert_string_equal(found(pending, WELL), "error:port-pending");
	assert_string_equal(found(down, "{'connected': false}"), "note:no-guest");
	// A VMM that is there and does not get on is no VM that is switched off.
	assert_string_equal(found(down, "{'connected': true}"), "warning:port-down");
	assert_string_equal(found(nic, "{'mode': 'none'}"), "warning:port-down");
	const struct health_view boots = {
		.open = true, .why = "a VMM is connected; the guest's driver has not started yet"};
	assert_string_equal(found(boots, "{'connected': true}"), "note:no-driver");
}

static void drops(void **state)
{
	struct health_view v = {.open = true, .up = true, .seconds = 10};

	v.gained.drop[DROP_hairpin] = v.gained.drop[DROP_reserved] = 5;
	assert_string_equal(found(v, WELL), "");
	v.gained.drop[DROP_vlan] = 1;
	assert_string_equal(found(v, WELL), "note:drops");
	v.gained.drop[DROP_too_long] = 1;
	assert_string_equal(found(v, WELL), "warning:drops note:drops");
	v.seconds = 0; // nothing is known of when
	assert_string_equal(found(v, WELL), "");
	v = (struct health_view){.open = true, .seconds = 10};
	v.gained.drop[DROP_port_down] = 100;
	assert_string_equal(found(v, "{'connected': false}"), "note:no-guest");
	v = (struct health_view){.open = true, .up = true, .type = "tap", .seconds = 10};
	v.gained.drop[DROP_ring_full] = 1;
	assert_string_equal(found(v, "{}"), "warning:drops");
}

// Who is slow still takes some; who takes nothing has another trouble than small rings.
static void slow_or_stalled(void **state)
{
#define EMPTY                                                                                \
	"{'queues': [{'queue': 0, 'direction': 'to-guest', 'size': 256, 'available': 65535," \
	" 'taken': 65535, 'enabled': true}]}"
	struct health_view v = {.open = true, .up = true, .seconds = 10};

	assert_string_equal(found(v, EMPTY), "");
	v.gained.drop[DROP_ring_full] = 1000;
	assert_string_equal(found(v, EMPTY), "warning:drops");
	v.silent_s = 3;
	assert_string_equal(found(v, EMPTY), "warning:guest-stalled");
	assert_string_equal(found(v, WELL), "warning:drops");
}

static void rings(void **state)
{
	json_t *four = json_pack("{s:i}", "queues", 4);
	struct health_view v = {.open = true, .up = true, .config = four};

	assert_string_equal(found(v, WELL), "note:queues-unused");
	v.config = NULL;
	assert_string_equal(found(v, "{'queues': [{'queue': 1, 'direction': 'from-guest', 'size': "
				     "256, 'enabled': true, 'broken': true}]}"),
		"error:ring-broken");
	json_decref(four);
}

static void nics(void **state)
{
	struct health_view v = {.open = true, .up = true, .type = "af-xdp"};

	assert_string_equal(found(v, "{'mode': 'native, copy', 'why_not_zerocopy': 'no driver'}"),
		"note:not-zerocopy");
	assert_string_equal(found(v, "{'mode': 'native, copy', 'why_not_zerocopy': 'not tried: "
				     "mode is configured'}"),
		"");
	assert_string_equal(found(v, "{'mode': 'native, zero-copy'}"), "");
}

static struct sw *new_switch(struct running **r)
{
	static const char text[] = "workers: [{core: 0}]\n"
				   "ports:\n"
				   "- {name: a, type: vhost-user, socket: /tmp/weft-a.sock}\n"
				   "- {name: b, type: vhost-user, socket: /tmp/weft-b.sock}\n"
				   "- {name: nic, type: af-xdp, device: nosuch0}\n";
	const struct running_hooks hooks = {NULL};
	struct config_error cerr;
	struct config *config;
	struct error err;
	struct sw *sw;

	assert_int_equal(config_parse(text, sizeof(text) - 1, &config, &cerr), 0);
	assert_int_equal(switch_new(&config->sw, &sw, &err), 0);
	assert_int_equal(running_new(sw, config, &hooks, r), 0);
	config_free(config);
	fake_switch_link(sw, "a", true, "up");
	fake_switch_link(sw, "b", true, "up");
	return sw;
}

// Whether this is found of port a.
static bool has(const struct health *h, uint64_t now, const struct running *r, const char *code)
{
	json_t *list = health_all(h, now, r), *f;
	bool is = false;
	size_t i;

	json_array_foreach (list, i, f)
		is |= strcmp(json_string_value(json_object_get(f, "about")), "a") == 0 &&
		      strcmp(json_string_value(json_object_get(f, "code")), code) == 0;
	json_decref(list);
	return is;
}

// What was dropped is told for 10 seconds at least, and for 21 at most; a port that is made anew has
// no past.
static void the_past_fades(void **state)
{
	struct running *r;
	struct sw *sw = new_switch(&r);
	struct health *h = health_new(sw);
	uint64_t now = 1000 * S, until;
	struct error err;

	health_tick(h, now);
	fake_switch_stats(sw, "a")->drop[DROP_too_long] += 7;
	assert_false(has(h, now, r, "drops")); // in how much time?
	for (until = now + 10 * S; now < until; now += S) {
		health_tick(h, now + S);
		assert_true(has(h, now + S, r, "drops"));
	}
	for (until = now + 11 * S; now < until; now += S)
		health_tick(h, now + S);
	assert_false(has(h, now, r, "drops"));
	fake_switch_stats(sw, "a")->drop[DROP_too_long] += 7;
	assert_true(has(h, now, r, "drops"));

	struct switch_port was;
	assert_int_equal(switch_port_find(sw, "a", &was), 0);
	struct switch_port_config again = *was.config;
	assert_int_equal(switch_port_del(sw, "a", &err), 0);
	assert_int_equal(switch_port_add(sw, &again, &err), 0);
	fake_switch_stats(sw, "a")->drop[DROP_too_long] = 3;
	assert_false(has(h, now, r, "drops")); // not less than nothing
	health_tick(h, now + S);
	assert_false(has(h, now + 2 * S, r, "drops"));
	health_free(h);
	running_free(r);
	switch_free(sw);
}

// The fake switch's guest has a ring without buffers, as its numbers are all 0. What it took
// shortly before it stopped must not hide that it stopped.
static void stalls_at_once(void **state)
{
	struct running *r;
	struct sw *sw = new_switch(&r);
	struct health *h = health_new(sw);
	uint64_t now = 1000 * S;

	health_tick(h, now);
	for (unsigned i = 0; i < 5; i++) {
		fake_switch_stats(sw, "a")->tx_frames += 100;
		fake_switch_stats(sw, "a")->drop[DROP_ring_full] += 9;
		health_tick(h, now += S);
		assert_false(has(h, now, r, "guest-stalled"));
	}
	fake_switch_stats(sw, "a")->drop[DROP_ring_full] += 9;
	health_tick(h, now += S);
	health_tick(h, now += S);
	assert_true(has(h, now, r, "guest-stalled"));
	fake_switch_stats(sw, "a")->tx_frames += 1;
	assert_false(has(h, now, r, "guest-stalled"));
	health_free(h);
	running_free(r);
	switch_free(sw);
}

static void all_of_them(void **state)
{
	struct running *r;
	struct sw *sw = new_switch(&r);
	struct health *h = health_new(sw);
	json_t *list = health_all(h, S, r);

	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(list, 0), "code")), "port-failed");
	json_decref(list);
	health_free(h);
	running_free(r);
	switch_free(sw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states),
		cmocka_unit_test(drops),
		cmocka_unit_test(slow_or_stalled),
		cmocka_unit_test(rings),
		cmocka_unit_test(nics),
		cmocka_unit_test(the_past_fades),
		cmocka_unit_test(stalls_at_once),
		cmocka_unit_test(all_of_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
