// SPDX-License-Identifier: BSD-2-Clause
// The command line's parts that need no daemon: numbers, frames in words, base64, rates of top.
#include "cli/base64.h"
#include "cli/command.h"
#include "cli/dissect.h"
#include "cli/output.h"
#include "cli/top_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void numbers_are_short(void **state)
{
	static const struct {
		double v;
		const char *text;
	} cases[] = {{0, "0"}, {999, "999"}, {999.94, "1000"}, {1000, "1.00k"}, {9994, "9.99k"},
		{12345, "12.3k"}, {99949, "99.9k"}, {999949, "1000k"}, {1e6, "1.00M"},
		{1.5e9, "1.50G"}, {2e15, "2.00P"}};
	char buf[SHORT_NUMBER];

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(short_number(cases[i].v, buf), cases[i].text);
	for (double v = 0.1; v < 1e17; v *= 1.0137)
		assert_true(strlen(short_number(v, buf)) <= 5);
}

static void base64_is_decoded_or_refused(void **state)
{
	static const char *const bad[] = {
		"A", "AB", "ABC", "A===", "AB=C", "====", "QUJ?", "QUJD\n", "=AAA"};
	uint8_t out[16];

	assert_int_equal(base64_decode("", out, sizeof(out)), 0);
	assert_int_equal(base64_decode("Zm9vYmFy", out, sizeof(out)), 6);
	assert_memory_equal(out, "foobar", 6);
	assert_int_equal(base64_decode("Zm9vYg==", out, sizeof(out)), 4);
	assert_int_equal(base64_decode("Zm9vYmE=", out, sizeof(out)), 5);
	assert_int_equal(base64_decode("Zm9vYmFy", out, 5), -1); // no room
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(base64_decode(bad[i], out, sizeof(out)), -1);
}

static const uint8_t tcp[] = {0x52, 0x54, 0, 0, 0, 2, 0x52, 0x54, 0, 0, 0, 1, 0x81, 0, 0, 10, 8, 0,
	0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0xc0, 0, 0, 80, 0, 0, 0,
	0, 0, 0, 0, 0, 0x50, 0x12, 0, 0, 0, 0, 0, 0};

static void durations_have_two_units(void **state)
{
	static const struct {
		uint64_t s;
		const char *text;
	} cases[] = {{0, "0 s"}, {59, "59 s"}, {60, "1 min 0 s"}, {3599, "59 min 59 s"},
		{7500, "2 h 5 min"}, {86399, "23 h 59 min"}, {86400, "1 d 0 h"},
		{1047600, "12 d 3 h"}};
	char text[40];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		duration_text(cases[i].s, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
	}
}

static void frames_are_described(void **state)
{
	char text[300];

	dissect(tcp, sizeof(tcp), text, sizeof(text));
	assert_string_equal(text, "52:54:00:00:00:01 > 52:54:00:00:00:02 vlan 10 IP TCP "
				  "10.0.0.1.49152 > 10.0.0.2.80 [SA]");
}

// Cut off anywhere, with any byte changed, into any buffer: no byte is read beyond the frame.
static void broken_frames_do_no_harm(void **state)
{
	char text[300];

	for (size_t len = 0; len <= sizeof(tcp); len++)
		for (size_t i = 0; i <= len; i++)
			for (unsigned v = 0; v < 256; v += 17) {
				uint8_t *copy = malloc(len ? len : 1);
				memcpy(copy, tcp, len);
				if (i < len)
					copy[i] = (uint8_t)v;
				dissect(copy, len, text, sizeof(text));
				dissect(copy, len, text, 1 + len % 40);
				free(copy);
			}
}

static void update(struct top *t, int frames, int drops, int busy, int seconds)
{
	json_t *ports = json_pack("[{s:s, s:s, s:i, s:i, s:i, s:i, s:{s:i, s:i}}, {s:s, s:s, s:i}]",
		"name", "vm2", "state", "up", "rx_frames", frames, "rx_bytes", frames * 100,
		"cpu_ns", frames * 250000, "dropped", drops + 100, "drops", "rate", 100, "vlan",
		drops, "name", "vm10", "state", "down", "rx_frames", 0);
	json_t *workers = json_pack("[{s:i, s:n, s:s, s:i, s:i, s:i, s:[{s:s, s:i}, {s:s, s:i}]}]",
		"worker", 0, "core", "state", "polling", "frames", frames, "busy_cycles", busy,
		"cycles_hz", 1000, "queues", "port", "vm2", "queue", 0, "port", "vm10", "queue", 0);

	top_update(t, ports, workers, (uint64_t)seconds * 1000000000);
	json_decref(ports);
	json_decref(workers);
}

static void top_shows_rates_between_looks(void **state)
{
	struct top *t = calloc(1, sizeof(*t));
	unsigned order[TOP_PORTS];
	char line[3 * TOP_HISTORY + 1];

	update(t, 1000, 0, 0, 1);
	assert_false(t->has_rates);
	assert_true(t->ports[0].rx_pps == 0);
	update(t, 5000, 8, 1000, 3);
	assert_true(t->has_rates);
	assert_true(t->ports[0].rx_pps == 2000);
	assert_true(t->ports[0].rx_bps == 1600000);
	assert_true(t->ports[0].drop_ps == 4);
	assert_string_equal(t->ports[0].reason, "vlan"); // not what was dropped before
	assert_true(t->workers[0].busy_share == 0.5);
	assert_true(t->workers[0].cycles == 0.25);
	assert_true(t->ports[0].cpu == 0.5);
	assert_true(t->ports[1].cpu == 0);
	// Counters that start again are no rate.
	update(t, 10, 0, 0, 4);
	assert_true(t->ports[0].rx_pps == 0);
	assert_true(t->ports[0].drop_ps == 0);
	update(t, 1010, 0, 0, 5);

	assert_int_equal(top_sort_ports(t, SORT_NAME, false, "", order), 2);
	assert_string_equal(t->ports[order[0]].name, "vm2"); // before vm10, as people count
	assert_int_equal(top_sort_ports(t, SORT_RX, false, "", order), 2);
	assert_string_equal(t->ports[order[0]].name, "vm2");
	assert_int_equal(top_sort_ports(t, SORT_RX, true, "", order), 2);
	assert_string_equal(t->ports[order[0]].name, "vm10");
	assert_int_equal(top_sort_ports(t, SORT_RX, false, "M10", order), 1);
	assert_int_equal(top_sort_ports(t, SORT_RX, false, "xx", order), 0);
	top_sparkline(&t->ports[0], 3, false, line);
	assert_string_equal(line, "@ =");
	top_sparkline(&t->ports[0], 1000, true, line);
	top_fini(t);
	free(t);
}

static void ports_come_and_go_in_top(void **state)
{
	struct top *t = calloc(1, sizeof(*t));
	json_t *ports = json_array(), *none = json_array();

	for (int i = 0; i < TOP_PORTS + 10; i++) {
		char name[16];
		snprintf(name, sizeof(name), "p%d", i);
		json_array_append_new(ports, json_pack("{s:s, s:s}", "name", name, "state", "up"));
	}
	top_update(t, ports, none, 1);
	assert_int_equal(t->n_ports, TOP_PORTS);
	top_update(t, none, none, 2);
	assert_int_equal(t->n_ports, 0);
	json_decref(ports);
	json_decref(none);
	top_fini(t);
	free(t);
}

static void names_that_are_cut_stay_different(void **state)
{
	char buf[32];

	top_name("vm1", 12, buf);
	assert_string_equal(buf, "vm1");
	top_name("webserver-01", 12, buf);
	assert_string_equal(buf, "webserver-01");
	top_name("webserver-production-01", 12, buf);
	assert_string_equal(buf, "webser~on-01");
	top_name("webserver-production-02", 13, buf);
	assert_string_equal(buf, "webser~ion-02");
}

static void differences_have_the_names_of_the_api(void **state)
{
	json_t *p[2], *w[2], *want, *got;

	p[0] = json_pack("[{s:s, s:s, s:i, s:i}]", "name", "a", "state", "up", "rx_frames", 10,
		"rx_bytes", 5);
	p[1] = json_pack("[{s:s, s:s, s:i, s:i}, {s:s, s:s, s:i}]", "name", "a", "state", "down",
		"rx_frames", 30, "rx_bytes", 1, "name", "b", "state", "up", "rx_frames", 7);
	w[0] = json_pack("[{s:i, s:n, s:i}]", "worker", 0, "core", "frames", 1);
	w[1] = json_pack("[{s:i, s:n, s:i}]", "worker", 0, "core", "frames", 3);
	got = top_difference(
		(const json_t *const[]){p[0], p[1]}, (const json_t *const[]){w[0], w[1]}, 2);
	// Counters that start again gained nothing; a port that is new, all it has.
	want = json_pack("{s:f, s:[{s:s, s:s, s:i, s:i}, {s:s, s:s, s:i}], s:[{s:i, s:n, s:i}]}",
		"seconds", 2.0, "ports", "name", "a", "state", "down", "rx_frames", 20, "rx_bytes",
		0, "name", "b", "state", "up", "rx_frames", 7, "workers", "worker", 0, "core",
		"frames", 2);
	assert_true(json_equal(got, want));
	json_decref(got);
	json_decref(want);
	for (unsigned i = 0; i < 2; i++) {
		json_decref(p[i]);
		json_decref(w[i]);
	}
}

static void vlans_in_words(void **state)
{
	json_t *config =
		json_pack("{s:{s:[s, s], s:i}}", "vlan", "trunk", "10", "20-30", "native", 1);
	char *text = vlan_text(config);

	assert_string_equal(text, "trunk 10,20-30 native 1");
	free(text);
	json_object_clear(config);
	text = vlan_text(config);
	assert_string_equal(text, "access 1");
	free(text);
	json_decref(config);
}

// Each command can be found, explains itself, and its example starts with its own words.
static void every_command_explains_itself(void **state)
{
	unsigned n = 0;

	for (const struct command *const *t = command_tables; *t; t++)
		for (const struct command *c = *t; c->noun; c++) {
			char synopsis[400];
			if (!c->help)
				continue;
			n++;
			assert_ptr_equal(command_find(c->noun, c->verb), c);
			command_synopsis(c, synopsis, sizeof(synopsis));
			assert_true(strncmp(synopsis, c->noun, strlen(c->noun)) == 0);
			assert_non_null(c->example);
			assert_true(strncmp(c->example, c->noun, strlen(c->noun)) == 0);
			assert_true(c->run || c->method);
			assert_true(strlen(c->help) < 60);
		}
	assert_true(n >= 20);
	assert_string_equal(command_find("port", "list")->verb, "show");
	assert_string_equal(command_find("port", NULL)->verb, "show");
	assert_null(command_find("port", "shwo"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_short),
		cmocka_unit_test(base64_is_decoded_or_refused),
		cmocka_unit_test(durations_have_two_units),
		cmocka_unit_test(frames_are_described),
		cmocka_unit_test(broken_frames_do_no_harm),
		cmocka_unit_test(top_shows_rates_between_looks),
		cmocka_unit_test(ports_come_and_go_in_top),
		cmocka_unit_test(names_that_are_cut_stay_different),
		cmocka_unit_test(differences_have_the_names_of_the_api),
		cmocka_unit_test(vlans_in_words),
		cmocka_unit_test(every_command_explains_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
