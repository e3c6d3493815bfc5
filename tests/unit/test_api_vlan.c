// SPDX-License-Identifier: BSD-2-Clause
// What vlan.show says of access ports, trunks and native VLANs, and that it makes no object twice.
#include "control/api.h"

#include "tests/unit/daemon_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct daemon d;

static int setup(void **state)
{
	static const char text[] =
		"ports:\n"
		"- {name: a, type: vhost-user, socket: /tmp/weft-a, vlan: {trunk: [2-5], native: "
		"3}}\n"
		"- {name: b, type: vhost-user, socket: /tmp/weft-b, vlan: {access: 4}}\n";

	d = (struct daemon){0};
	daemon_open(&d, text);
	return 0;
}

static int teardown(void **state)
{
	daemon_close(&d);
	return 0;
}

static json_t *show(void)
{
	json_t *none = json_object();
	struct api_call call = {.daemon = &d, .params = none};

	assert_int_equal(api_find("vlan.show")->run(&call), 0);
	json_decref(none);
	return call.result;
}

static const json_t *port(const json_t *vlans, unsigned vlan, unsigned i)
{
	return json_array_get(json_object_get(json_array_get(vlans, vlan), "ports"), i);
}

static void each_port_has_its_mode(void **state)
{
	static const char want[] =
		"[{\"vlan\":2,\"addresses\":0,\"ports\":[{\"port\":\"a\",\"mode\":\"trunk\"}]},"
		"{\"vlan\":3,\"addresses\":0,\"ports\":[{\"port\":\"a\",\"mode\":\"native\"}]},"
		"{\"vlan\":4,\"addresses\":0,\"ports\":[{\"port\":\"a\",\"mode\":\"trunk\"},"
		"{\"port\":\"b\",\"mode\":\"access\"}]},"
		"{\"vlan\":5,\"addresses\":0,\"ports\":[{\"port\":\"a\",\"mode\":\"trunk\"}]}]";
	json_t *vlans = show();
	char *text = json_dumps(vlans, JSON_COMPACT);

	assert_string_equal(text, want);
	free(text);
	json_decref(vlans);
}

// A million of them, of 256 ports with all VLANs, held up everybody else for five seconds.
static void entries_that_are_alike_are_one(void **state)
{
	json_t *vlans = show();

	assert_ptr_equal(port(vlans, 2, 0), port(vlans, 3, 0));
	assert_ptr_not_equal(port(vlans, 1, 0), port(vlans, 2, 0));
	json_decref(vlans);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_port_has_its_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(entries_that_are_alike_are_one, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
