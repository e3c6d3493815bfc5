// SPDX-License-Identifier: BSD-2-Clause
// Findings: each from the smallest picture of a port that causes it, and none from one that is well.
#include "control/health.h"

#include "control/wakeup.h"
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

// Whether this is found of that.
static bool has_about(const struct health *h, uint64_t now, const struct running *r,
	const char *about, const char *code)
{
	json_t *list = health_all(h, now, r, NULL, NULL), *f;
	bool is = false;
	size_t i;

	json_array_foreach (list, i, f)
		is |= strcmp(json_string_value(json_object_get(f, "about")), about) == 0 &&
		      strcmp(json_string_value(json_object_get(f, "code")), code) == 0;
	json_decref(list);
	return is;
}

static bool has(const struct health *h, uint64_t now, const struct running *r, const char *code)
{
	return has_about(h, now, r, "a", code);
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

// Shares of each second that a worker is busy, idle and on its core; the rest it sleeps, or waits.
static void workers(void **state)
{
	static const struct {
		double busy, idle, cpu;
		bool is_busy, is_starved;
	} cases[] = {
		{0, 0, 0, false, false}, {0.5, 0.5, 1, false, false}, {0.89, 0.11, 1, false, false},
		{0.91, 0.09, 1, true, false}, {0.5, 0.4, 0.81, false, false},
		{0.5, 0.4, 0.79, false, true}, {0.95, 0.05, 0.5, true, true},
		{0.2, 0, 0.05, false,
			true}, // it sleeps else, and gets the core late when it wakes up
	};
	struct running *r;
	struct sw *sw = new_switch(&r);
	uint64_t now = 1000 * S;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct health *h = health_new(sw);
		struct switch_worker *w = fake_switch_spent(sw, 0);
		health_tick(h, now);
		for (unsigned s = 0; s < 25; s++) {
			w->passes += 1000;
			w->busy_cycles += (uint64_t)(cases[i].busy * 1e9);
			w->idle_cycles += (uint64_t)(cases[i].idle * 1e9);
			w->cpu_ns += (uint64_t)(cases[i].cpu * 1e9);
			health_tick(h, now += S);
			assert_int_equal(
				has_about(h, now, r, "worker 0", "worker-busy"), cases[i].is_busy);
			assert_int_equal(has_about(h, now, r, "worker 0", "worker-starved"),
				cases[i].is_starved);
		}
		health_free(h);
	}
	running_free(r);
	switch_free(sw);
}

// What it did long ago does not count, nor what another one did that had its number before.
static void a_workers_past_fades(void **state)
{
	struct running *r;
	struct sw *sw = new_switch(&r);
	struct health *h = health_new(sw);
	struct switch_worker *w = fake_switch_spent(sw, 0);
	uint64_t now = 1000 * S;

	health_tick(h, now);
	for (unsigned s = 0; s < 30; s++) {
		w->passes += 1000;
		w->busy_cycles += S;
		w->cpu_ns += S;
		health_tick(h, now += S);
	}
	assert_true(has_about(h, now, r, "worker 0", "worker-busy"));
	for (unsigned s = 0; s < 21; s++)
		health_tick(h, now += S);
	assert_false(has_about(h, now, r, "worker 0", "worker-busy"));
	*w = (struct switch_worker){.passes = 5, .busy_cycles = 100 * S, .cpu_ns = 100 * S};
	assert_false(has_about(h, now, r, "worker 0", "worker-busy"));
	health_tick(h, now += S);
	assert_false(has_about(h, now, r, "worker 0", "worker-busy"));
	health_free(h);
	running_free(r);
	switch_free(sw);
}

static void a_table_of_addresses_that_fills_up(void **state)
{
	struct running *r;
	struct sw *sw = new_switch(&r);
	struct health *h = health_new(sw);
	uint32_t n, max;

	switch_fdb_size(sw, &n, &max);
	for (n = 1; n < max - max / 5; n++)
		fake_switch_learn(sw, "a", (const uint8_t[]){2, 0, 0, n >> 16, n >> 8, n}, 1);
	assert_false(has_about(h, S, r, "fdb", "fdb-full"));
	fake_switch_learn(sw, "a", (const uint8_t[]){2, 0, 0, 0xff, 0, 0}, 1);
	assert_true(has_about(h, S, r, "fdb", "fdb-full"));
	health_free(h);
	running_free(r);
	switch_free(sw);
}

// The configuration has it, the table has not.
static void a_static_address_in_a_vlan_that_its_port_lost(void **state)
{
	static const uint8_t mac[] = {0x52, 0x54, 0, 0, 0, 1};
	struct running *r;
	struct sw *sw = new_switch(&r);
	struct health *h = health_new(sw);
	json_t *seven = json_pack("{s:{s:i}}", "vlan", "access", 7);
	json_t *trunk = json_pack("{s:{s:[s]}}", "vlan", "trunk", "1-6");
	struct error err;

	assert_int_equal(running_fdb_add(r, mac, 1, "a", &err), 0);
	assert_false(has(h, S, r, "static-unused"));
	assert_int_equal(running_port_set(r, "a", seven, &err), 0);
	assert_true(has(h, S, r, "static-unused"));
	assert_int_equal(running_port_set(r, "a", trunk, &err), 0);
	assert_false(has(h, S, r, "static-unused"));
	json_decref(seven);
	json_decref(trunk);
	health_free(h);
	running_free(r);
	switch_free(sw);
}

// What the file asks for and the kernel does not grant; not what nobody asks for.
static void a_wakeup_that_is_refused(void **state)
{
	struct running *r;
	struct sw *sw = new_switch(&r);
	struct health *h = health_new(sw);
	struct wakeup *w = wakeup_new("/nosuch/cpu_dma_latency", 20);
	struct error err;

	json_t *list = health_all(h, S, r, w, NULL), *f = json_array_get(list, 1);
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(json_object_get(f, "about")), "wakeup-us");
	assert_string_equal(json_string_value(json_object_get(f, "code")), "wakeup-refused");
	assert_string_equal(json_string_value(json_object_get(f, "level")), "note");
	assert_non_null(strstr(json_string_value(json_object_get(f, "text")),
		"/nosuch/cpu_dma_latency: No such file or directory"));
	assert_non_null(
		strstr(json_string_value(json_object_get(f, "remedy")), "must be given it"));
	json_decref(list);
	assert_int_equal(wakeup_set(w, WAKEUP_ANY, &err), 0);
	list = health_all(h, S, r, w, NULL);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	wakeup_free(w);
	health_free(h);
	running_free(r);
	switch_free(sw);
}

static void all_of_them(void **state)
{
	struct running *r;
	struct sw *sw = new_switch(&r);
	struct health *h = health_new(sw);
	json_t *list = health_all(h, S, r, NULL, NULL);

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
		cmocka_unit_test(workers),
		cmocka_unit_test(a_workers_past_fades),
		cmocka_unit_test(a_table_of_addresses_that_fills_up),
		cmocka_unit_test(a_static_address_in_a_vlan_that_its_port_lost),
		cmocka_unit_test(a_wakeup_that_is_refused),
		cmocka_unit_test(all_of_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
