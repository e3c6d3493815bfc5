// SPDX-License-Identifier: BSD-2-Clause
// The metrics' text against the rules of OpenMetrics 1.0, as promtool checks them.
#include "control/metrics.h"

#include "control/health.h"
#include "control/now.h"
#include "tests/unit/daemon_bed.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <event2/buffer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct daemon d;

static int setup(void **state)
{
	static const char text[] =
		"workers: [{core: 0}]\n"
		"ports:\n"
		"- {name: vm.1_a-b, type: vhost-user, socket: /tmp/weft-vm1.sock, queues: 2}\n"
		"- {name: nic, type: af-xdp, device: nosuch0}\n";

	d = (struct daemon){0};
	daemon_open(&d, text);
	switch_tick(d.sw);
	return 0;
}

static int teardown(void **state)
{
	daemon_close(&d);
	return 0;
}

static char *scrape(void)
{
	struct evbuffer *buf = evbuffer_new();

	metrics_write(&d, buf);
	evbuffer_add(buf, "", 1);
	char *text = strdup((char *)evbuffer_pullup(buf, -1));
	evbuffer_free(buf);
	return text;
}

struct parser {
	char family[80], type[16];
	char seen[64][80]; // families that are done
	unsigned n_seen, n_samples;
	char series[2000][160];
	unsigned n_series;
};

static void check_name(const char *name, size_t len)
{
	assert_true(len > 0);
	assert_true(isalpha((unsigned char)name[0]) || name[0] == '_');
	for (size_t i = 0; i < len; i++)
		assert_true(isalnum((unsigned char)name[i]) || name[i] == '_' || name[i] == ':');
}

// {name="value",...}; returns what follows.
static const char *check_labels(const char *p)
{
	if (*p != '{')
		return p;
	for (p++; *p != '}';) {
		size_t len = strcspn(p, "=");
		check_name(p, len);
		p += len;
		assert_true(p[0] == '=' && p[1] == '"');
		for (p += 2; *p != '"'; p++) {
			assert_true(*p && *p != '\n');
			if (*p == '\\') {
				p++;
				assert_true(*p == '\\' || *p == '"' || *p == 'n');
			}
		}
		p++;
		if (*p == ',')
			p++;
		else
			assert_int_equal(*p, '}');
	}
	return p + 1;
}

static void check_sample(struct parser *ps, const char *line)
{
	size_t len = strcspn(line, "{ "), base = strlen(ps->family);
	char *end;

	check_name(line, len);
	// A sample belongs to the family above it, with the suffix of its type.
	assert_true(strncmp(line, ps->family, base) == 0);
	const char *suffix = strcmp(ps->type, "counter") == 0 ? "_total"
			     : strcmp(ps->type, "info") == 0  ? "_info"
							      : "";
	assert_int_equal(len, base + strlen(suffix));
	assert_true(strncmp(line + base, suffix, strlen(suffix)) == 0);
	const char *p = check_labels(line + len);
	// No series twice.
	assert_true(p - line < 160);
	for (unsigned i = 0; i < ps->n_series; i++)
		assert_false(
			strncmp(ps->series[i], line, p - line) == 0 && !ps->series[i][p - line]);
	snprintf(ps->series[ps->n_series++], 160, "%.*s", (int)(p - line), line);
	assert_int_equal(*p, ' ');
	double v = strtod(p + 1, &end);
	assert_int_equal(*end, 0);
	if (strcmp(ps->type, "counter") == 0)
		assert_true(v >= 0);
	ps->n_samples++;
}

static void check_type(struct parser *ps, const char *line)
{
	char unused[8];

	assert_int_equal(sscanf(line, "# TYPE %79s %15s%7s", ps->family, ps->type, unused), 2);
	assert_true(strcmp(ps->type, "counter") == 0 || strcmp(ps->type, "gauge") == 0 ||
		    strcmp(ps->type, "info") == 0);
	// A family is in one piece, and a counter's name does not end in what its samples add.
	for (unsigned i = 0; i < ps->n_seen; i++)
		assert_string_not_equal(ps->seen[i], ps->family);
	size_t len = strlen(ps->family);
	assert_false(len > 6 && strcmp(ps->family + len - 6, "_total") == 0);
	strcpy(ps->seen[ps->n_seen++], ps->family);
}

static void check_unit(struct parser *ps, const char *line)
{
	char name[80], unit[32];

	assert_int_equal(sscanf(line, "# UNIT %79s %31s", name, unit), 2);
	assert_string_equal(name, ps->family);
	// The unit ends the name.
	size_t n = strlen(name), u = strlen(unit);
	assert_true(n > u + 1 && name[n - u - 1] == '_' && strcmp(name + n - u, unit) == 0);
}

static void the_text_is_openmetrics(void **state)
{
	struct parser *ps = calloc(1, sizeof(*ps));
	char *text = scrape(), *save = NULL;
	bool eof = false;

	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	assert_null(strstr(text, "\n\n"));
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		assert_false(eof);
		if (strcmp(line, "# EOF") == 0)
			eof = true;
		else if (strncmp(line, "# TYPE ", 7) == 0)
			check_type(ps, line);
		else if (strncmp(line, "# UNIT ", 7) == 0)
			check_unit(ps, line);
		else if (strncmp(line, "# HELP ", 7) == 0)
			assert_true(strncmp(line + 7, ps->family, strlen(ps->family)) == 0);
		else
			check_sample(ps, line);
	}
	assert_true(eof);
	assert_true(ps->n_samples > 60);
	free(text);
	free(ps);
}

static void what_matters_is_there(void **state)
{
	static const char *const lines[] = {
		"weft_port_up{port=\"vm.1_a-b\",type=\"vhost-user\"} 0\n",
		"weft_port_up{port=\"nic\",type=\"af-xdp\"} 0\n",
		"weft_port_rx_frames_total{port=\"vm.1_a-b\"} 1000\n",
		"weft_port_rx_bytes_total{port=\"vm.1_a-b\"} 64000\n",
		"weft_port_drops_total{port=\"vm.1_a-b\",reason=\"ring_full\"} 0\n",
		"weft_queue_worker{port=\"vm.1_a-b\",queue=\"1\"} 0\n",
		"weft_worker_frames_total{worker=\"0\"} 1000\n",
		"weft_worker_cycles_per_frame{worker=\"0\"} 40.00\n",
		"weft_fdb_addresses 0\n",
		"weft_build_info{version=\"" WEFT_VERSION "\"} 1\n",
	};
	char *text = scrape();

	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (!strstr(text, lines[i]))
			print_error("missing: %s", lines[i]);
		assert_non_null(strstr(text, lines[i]));
	}
	free(text);
}

static void addresses_to_listen_on(void **state)
{
	static const char *const bad[] = {"127.0.0.1", "127.0.0.1:", ":9469", "127.0.0.1:0",
		"127.0.0.1:65536", "127.0.0.1:x", "127.0.0.1:-1", "[]:1", "host.invalid.:70000"};
	struct error err;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_true(metrics_listen(d.metrics, bad[i], &err) < 0);
		assert_string_equal(err.key, "metrics.listen");
	}
	// Not an address of this machine (RFC 5737).
	assert_true(metrics_listen(d.metrics, "192.0.2.1:9469", &err) < 0);
	assert_non_null(strstr(err.text, "192.0.2.1:9469"));
	assert_int_equal(metrics_listen(d.metrics, "", &err), 0);
}

// Finding of health about metrics, or NULL; `code` is to be freed.
static char *found(void)
{
	json_t *list = health_all(d.health, now_ns(), d.running, NULL, d.metrics), *f;
	char *code = NULL;
	size_t i;

	json_array_foreach (list, i, f)
		if (strcmp(json_string_value(json_object_get(f, "about")), "metrics") == 0)
			code = strdup(json_string_value(json_object_get(f, "code")));
	json_decref(list);
	return code;
}

// At boot the address may come later than weftd: guests do not wait for it.
static void an_address_that_comes_later(void **state)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(in);
	char address[64], *code;

	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(in.sin_port));
	metrics_listen_sometime(d.metrics, address);
	assert_non_null(strstr(metrics_lack(d.metrics), "Address already in use"));
	code = found();
	assert_string_equal(code, "metrics-refused");
	free(code);
	metrics_tick(d.metrics);
	assert_non_null(metrics_lack(d.metrics));
	close(fd);
	metrics_tick(d.metrics);
	assert_null(metrics_lack(d.metrics));
	assert_null(found());
	// What is told to be elsewhere, or nowhere, is not waited for any more.
	metrics_listen_sometime(d.metrics, "192.0.2.1:9469");
	assert_non_null(metrics_lack(d.metrics));
	metrics_listen_sometime(d.metrics, "");
	assert_null(metrics_lack(d.metrics));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_text_is_openmetrics, setup, teardown),
		cmocka_unit_test_setup_teardown(what_matters_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_to_listen_on, setup, teardown),
		cmocka_unit_test_setup_teardown(an_address_that_comes_later, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
