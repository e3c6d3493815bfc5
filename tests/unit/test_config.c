// SPDX-License-Identifier: BSD-2-Clause
// Configurations: what they become, and that an error names its line, its key and the remedy.
#include "control/config.h"

#include "dataplane/port/vhost_features.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct config *good(const char *text)
{
	struct config_error err;
	struct config *c = NULL;

	int rc = config_parse(text, strlen(text), &c, &err);
	if (rc < 0)
		print_error("%u:%u: %s\n", err.line, err.column, err.error.text);
	assert_int_equal(rc, 0);
	return c;
}

static void every_key_arrives(void **state)
{
	struct config *c = good(
		"workers: [{core: 0}]\n"
		"idle: poll\n"
		"idle-us: 70\n"
		"wakeup-us: 20\n"
		"patience-us: 0\n"
		"fdb: {age: 60, max: 1000, static: [{mac: 52:54:00:00:00:01, vlan: 10, port: a}]}\n"
		"api: {socket: /run/x.sock, group: root, admin-group: root}\n"
		"metrics: {listen: 127.0.0.1:9469}\n"
		"log: {level: debug}\n"
		"ports:\n"
		"  - name: a\n"
		"    type: vhost-user\n"
		"    socket: /run/a.sock\n"
		"    mode: server\n"
		"    queues: 4\n"
		"    mtu: 9000\n"
		"    vlan: {trunk: [10, 20-22], native: 1}\n"
		"    policy: {macs: [52:54:00:00:00:01], ips: [192.0.2.1, 2001:db8::/64],\n"
		"      isolated: yes, rate: 2.5G, rate-pps: 100k, storm: 1000}\n"
		"    workers: [0]\n"
		"    features: {off: [mrg_rxbuf, csum]}\n"
		"    socket-owner: root:root\n"
		"    socket-mode: 0600\n"
		"  - {name: b, type: af-xdp, device: eth9, share: host, xdp-mode: copy, busy-poll: "
		"64, rx-ring: 8192}\n"
		"  - {name: c, type: tap, device: tap9, vlan: {trunk: [all]}}\n");
	const struct switch_port_config *a = &c->ports[0].sw, *b = &c->ports[1].sw;

	assert_int_equal(c->sw.n_workers, 1);
	assert_true(c->sw.idle_poll);
	assert_int_equal(c->sw.idle_us, 70);
	assert_int_equal(c->wakeup_us, 20);
	assert_int_equal(c->sw.patience_us, 0);
	assert_int_equal(c->sw.age_s, 60);
	assert_int_equal(c->sw.fdb_max, 1000);
	assert_int_equal(c->n_fixed, 1);
	assert_string_equal(c->api_socket, "/run/x.sock");
	assert_string_equal(c->metrics_listen, "127.0.0.1:9469");
	assert_int_equal(c->log_level, 7);
	assert_int_equal(c->n_ports, 3);
	assert_string_equal(a->port.socket, "/run/a.sock");
	assert_false(a->port.client);
	assert_int_equal(a->port.queues, 4);
	assert_int_equal(a->port.mtu, 9000);
	assert_int_equal(a->port.features_off, 1 << 15 | 1 << 0);
	assert_int_equal(a->port.socket_mode, 0600);
	assert_string_equal(a->port.socket_owner, "root:root");
	assert_true(a->vlan.is_trunk);
	assert_int_equal(a->vlan.native, 1);
	assert_int_equal(a->vlan.trunk[0], 1 << 10 | 7 << 20);
	assert_int_equal(a->policy.n_macs, 1);
	assert_int_equal(a->policy.n_ips, 2);
	assert_int_equal(a->policy.ips[0].prefix, 32);
	assert_int_equal(a->policy.ips[1].prefix, 64);
	assert_int_equal(a->policy.ips[1].family, 6);
	assert_true(a->policy.isolated);
	assert_int_equal(a->policy.rate_bps, 2500000000);
	assert_int_equal(a->policy.rate_pps, 100000);
	assert_int_equal(a->policy.storm_pps, 1000);
	assert_true(b->port.share_host);
	assert_int_equal(b->port.xdp_mode, XDP_MODE_COPY);
	assert_int_equal(b->port.busy_poll, 64);
	assert_int_equal(b->port.rx_ring, 8192);
	assert_int_equal(b->vlan.access, 1);
	assert_int_equal(c->ports[2].sw.vlan.trunk[63], UINT64_MAX >> 1);
	assert_int_equal(c->ports[2].sw.vlan.trunk[0], UINT64_MAX - 1);
	config_free(c);
}

static void an_empty_file_is_all_defaults(void **state)
{
	struct config *c = good("");

	assert_int_equal(c->n_ports, 0);
	assert_int_equal(c->sw.n_workers, 0);
	assert_int_equal(c->sw.patience_us, PATIENCE_DEFAULT_US);
	assert_string_equal(c->api_socket, CONFIG_SOCKET_DEFAULT);
	assert_int_equal(c->log_level, 6);
	config_free(c);
	config_free(good("# nothing but a comment\n"));
	config_free(good("---\nports: []\n...\n# nor after the end\n"));
}

#define PORT(keys)  "ports:\n  - {name: a, " keys "}\n"
#define VHOST(keys) PORT("type: vhost-user, socket: /a, " keys)

// What is wrong, where, the key, and words of the sentence.
static const struct {
	const char *text;
	unsigned line, column;
	const char *key, *words;
} bad[] = {
	{"workrs: []", 1, 1, "workrs", "did you mean 'workers'"},
	{"idle: poll\n---\nidle: sleep\n", 2, 1, "", "a second document"},
	{"---\nidle: poll\n...\n# no more\n---\n", 5, 1, "", "a second document"},
	{"idle: poll\n...\n@", 3, 1, "", "not YAML"},
	{"xyzzy: 1", 1, 1, "xyzzy", "known are: workers, idle"},
	{"idle: slep", 1, 7, "idle", "did you mean 'sleep'"},
	{"idle: [a]", 1, 7, "idle", "single value is expected, such as sleep, not a list"},
	{"idle:", 1, 6, "idle", "not nothing"},
	{"workers: 3", 1, 10, "workers", "a list is expected"},
	{"workers:\n  - {}", 2, 5, "workers[0].core", "missing"},
	{"workers:\n  - {core: two}", 2, 12, "workers[0].core", "number from 0 to 1023"},
	{"workers:\n  - {core: -1}", 2, 12, "workers[0].core", "not '-1'"},
	{"workers:\n  - {core: 0x1}", 2, 12, "workers[0].core", "not '0x1'"},
	{"workers:\n  - core: 0\n  - core: 0", 3, 5, "workers[1].core", "has worker 0 already"},
	{"workers: [{core: 1023}]", 1, 12, "workers[0].core", "not there"},
	{"fdb: {age: 0}", 1, 12, "fdb.age", "1 to 1000000"},
	{"fdb: 300", 1, 6, "fdb", "a group of keys is expected"},
	{"fdb: {static: [{mac: 53:00:00:00:00:01, port: a}]}\n" VHOST("mtu: 1500"), 1, 17,
		"fdb.static[0].mac", "one machine"},
	{"fdb:\n  static:\n  - {mac: 52:00:00:00:00:01, port: a}\n  - {vlan: 1, mac: "
	 "52-00-00-00-00-01, port: a}\n" VHOST("mtu: 1500"),
		4, 15, "fdb.static[1].mac", "fdb.static[0] is this address in VLAN 1 already"},
	{"metrics: {listen: nowhere}", 1, 11, "metrics.listen", "ADDRESS:PORT"},
	{"metrics: {listen: '127.0.0.1:0'}", 1, 11, "metrics.listen", "not '127.0.0.1:0'"},
	{VHOST("queues: 2, workers: [0, 0, 0]"), 2, 56, "ports[0].workers", "(queues: 2), not 3"},
	{"fdb: {static: [{mac: 52:00:00:00:00:01, port: z}]}", 1, 41, "fdb.static[0].port",
		"no port 'z'"},
	{"api: {socket: weft.sock}", 1, 7, "api.socket", "absolute path"},
	{"api: {group: no-such-group}", 1, 7, "api.group", "groupadd"},
	{"ports: [{name: a}]", 1, 9, "ports[0].type", "missing"},
	{PORT("type: vhost"), 2, 15, "ports[0].type", "did you mean 'vhost-user'"},
	{"ports: [{name: a b, type: tap, device: t}]", 1, 10, "ports[0].name", "letters"},
	{"ports: [{name: '', type: tap, device: t}]", 1, 10, "ports[0].name", "letters"},
	{"ports: [{name: -s, type: tap, device: t}]", 1, 10, "ports[0].name", "letters"},
	{PORT("type: vhost-user"), 2, 5, "ports[0].socket", "needs the path"},
	{PORT("type: vhost-user, socket: a.sock"), 2, 33, "ports[0].socket", "absolute"},
	{VHOST("queues: 17"), 2, 53, "ports[0].queues", "1 to 16"},
	{VHOST("device: eth0"), 2, 45, "ports[0].device", "af-xdp or tap"},
	{VHOST("socket-mode: 0888"), 2, 45, "ports[0].socket-mode", "octal"},
	{VHOST("mode: client, socket-mode: 0660"), 2, 59, "ports[0].socket-mode", "mode: server"},
	{VHOST("socket-owner: no-such-user"), 2, 45, "ports[0].socket-owner", "no user"},
	{VHOST("features: {off: [mrg_rxbuff]}"), 2, 62, "ports[0].features.off[0]",
		"did you mean 'mrg_rxbuf'"},
	{VHOST("vlan: 10"), 2, 51, "ports[0].vlan", "a group of keys"},
	{VHOST("vlan: {access: 4095}"), 2, 60, "ports[0].vlan.access", "1 to 4094"},
	{VHOST("vlan: {access: 1, trunk: [2]}"), 2, 52, "ports[0].vlan.access", "either"},
	{VHOST("vlan: {native: 1}"), 2, 52, "ports[0].vlan.native", "trunk"},
	{VHOST("vlan: {trunk: []}"), 2, 59, "ports[0].vlan.trunk", "empty"},
	// It would allow everything, where nothing was named that may pass.
	{VHOST("policy: {macs: []}"), 2, 60, "ports[0].policy.macs", "empty"},
	{VHOST("policy: {ips: []}"), 2, 59, "ports[0].policy.ips", "empty"},
	{VHOST("vlan: {trunk: 10}"), 2, 59, "ports[0].vlan.trunk", "such as [10, 20-30]"},
	{VHOST("vlan: {trunk: [30-20]}"), 2, 52, "ports[0].vlan.trunk", "'30-20'"},
	{VHOST("policy: {macs: [x]}"), 2, 54, "ports[0].policy.macs", "52:54:00:00:00:01"},
	{VHOST("policy: {ips: [192.0.2.1/33]}"), 2, 54, "ports[0].policy.ips", "192.0.2.0/24"},
	{VHOST("policy: {rate: fast}"), 2, 54, "ports[0].policy.rate", "100M"},
	{"api: {socket: /a}\nports:\n- {name: a, type: vhost-user, socket: /a}", 1, 7, "api.socket",
		"port a has /a"},
	{VHOST("policy: {rate: 0}"), 2, 54, "ports[0].policy.rate",
		"without the key there is no limit"},
	{VHOST("policy: {storm: 0.5}"), 2, 54, "ports[0].policy.storm", "at least 1"},
	{"ports:\n- {name: a, type: tap, device: a, queues: 2}", 2, 35, "ports[0].queues",
		"has one, not 2"},
	{VHOST("policy: {isolated: maybe}"), 2, 64, "ports[0].policy.isolated", "true or false"},
	{VHOST("workers: [1]"), 2, 45, "ports[0].workers", "no worker 1"},
	{VHOST("mtu: 1500, mtu: 9000"), 2, 56, "ports[0].mtu", "twice"},
	{PORT("type: tap"), 2, 5, "ports[0].device", "missing"},
	{PORT("type: tap, device: a/b"), 2, 26, "ports[0].device", "15 characters"},
	{PORT("type: tap, device: t, share: host"), 2, 37, "ports[0].share", "af-xdp"},
	{PORT("type: tap, device: t, rx-ring: 4096"), 2, 37, "ports[0].rx-ring", "af-xdp"},
	{PORT("type: af-xdp, device: e, rx-ring: 512"), 2, 49, "ports[0].rx-ring", "1024 to 32768"},
	{PORT("type: af-xdp, device: e, rx-ring: 5000"), 2, 40, "ports[0].rx-ring", "power of two"},
	{"ports:\n - {name: a, type: tap, device: t}\n - {name: a, type: tap, device: u}", 3, 5,
		"ports[1].name", "ports[0] has the name a"},
	{"ports:\n - {name: a, type: tap, device: t}\n - {name: b, type: tap, device: t}", 3, 25,
		"ports[1].device", "ports[0] has the device t"},
	{"ports:\n\t- x", 2, 1, "", "indent with spaces"},
	{"a: b: c", 1, 5, "", "not YAML"},
	{"- a", 1, 1, "", "a group of keys"},
	{"[a]: b", 1, 1, "", "a key must be a word"},
};

static void errors_name_line_key_and_remedy(void **state)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct config_error err;
		struct config *c = NULL;
		int rc = config_parse(bad[i].text, strlen(bad[i].text), &c, &err);
		if (rc >= 0 || err.line != bad[i].line || err.column != bad[i].column ||
			strcmp(err.error.key, bad[i].key) != 0 ||
			!strstr(err.error.text, bad[i].words))
			print_error("case %u:\n%s\n-> %d %u:%u [%s] %s\n", i, bad[i].text, rc,
				err.line, err.column, err.error.key, err.error.text);
		else
			continue;
		config_free(rc < 0 ? NULL : c);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

// A port of n characters in the value of one key: taken up to a length, refused from the next on.
static void length_is_limited(const char *before, char fill, unsigned most, const char *key)
{
	char value[600], text[800];
	struct config_error err;
	struct config *c = NULL;

	memset(value, fill, sizeof(value));
	value[most] = 0;
	snprintf(text, sizeof(text), "%s%s}]", before, value);
	config_free(good(text));
	value[most] = fill;
	value[most + 1] = 0;
	snprintf(text, sizeof(text), "%s%s}]", before, value);
	assert_true(config_parse(text, strlen(text), &c, &err) < 0);
	assert_string_equal(err.error.key, key);
	// Much longer ones, too.
	value[most + 1] = fill;
	value[500] = 0;
	snprintf(text, sizeof(text), "%s%s}]", before, value);
	assert_true(config_parse(text, strlen(text), &c, &err) < 0);
	assert_string_equal(err.error.key, key);
}

static void texts_have_limits(void **state)
{
	static const char *const devices[] = {".", "..", "''", "a/b", "'a b'", "\"a\\0b\""};
	enum {
		device = sizeof(((struct port_config *)0)->device),
		socket = sizeof(((struct port_config *)0)->socket)
	};

	length_is_limited(
		"ports: [{type: tap, device: t, name: ", 'n', PORT_NAME_MAX - 1, "ports[0].name");
	length_is_limited(
		"ports: [{name: p, type: tap, device: ", 'd', device - 1, "ports[0].device");
	// With the / in front.
	length_is_limited("ports: [{name: p, type: vhost-user, socket: /", 's', socket - 2,
		"ports[0].socket");
	for (unsigned i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		char text[200];
		struct config_error err;
		struct config *c = NULL;

		snprintf(text, sizeof(text), PORT("type: tap, device: %s"), devices[i]);
		assert_true(config_parse(text, strlen(text), &c, &err) < 0);
		assert_string_equal(err.error.key, "ports[0].device");
	}
}

// As many as an array has places, and not one more: told with the line, not by libcyaml afterwards.
static void lists_have_limits(void **state)
{
	static const struct {
		const char *before, *entry, *after, *key;
		unsigned most;
	} lists[] = {
		{"workers: [", "{core: 0}", "]", "workers", WORKERS_MAX},
		{"fdb: {static: [", "{mac: 2-0-0-0-0-1, port: a}", "]}", "fdb.static", 4096},
		{"ports: [", "{name: a, type: tap, device: a}", "]", "ports", PORT_MAX},
		{"ports: [{name: a, type: af-xdp, device: a, workers: [", "0", "]}]",
			"ports[0].workers", PORT_QUEUES_MAX},
		{"ports: [{name: a, type: tap, device: a, vlan: {trunk: [", "1", "]}}]",
			"ports[0].vlan.trunk", VLAN_N},
		{"ports: [{name: a, type: tap, device: a, policy: {macs: [", "2-0-0-0-0-1", "]}}]",
			"ports[0].policy.macs", POLICY_ADDRS_MAX},
		{"ports: [{name: a, type: tap, device: a, policy: {ips: [", "10.0.0.1", "]}}]",
			"ports[0].policy.ips", POLICY_ADDRS_MAX},
	};

	for (unsigned l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
		for (unsigned n = lists[l].most; n <= lists[l].most + 1; n++) {
			struct config_error err;
			struct config *c = NULL;
			char *text = NULL, words[64];
			size_t size;
			FILE *f = open_memstream(&text, &size);
			fputs(lists[l].before, f);
			for (unsigned i = 0; i < n; i++)
				fprintf(f, "%s%s", i ? ", " : "", lists[l].entry);
			fputs(lists[l].after, f);
			fclose(f);
			snprintf(words, sizeof(words), "at most %u entries, not %u", lists[l].most,
				n);
			// The same again and again may be wrong for other reasons.
			const bool is_good = config_parse(text, size, &c, &err) == 0;
			if (is_good)
				config_free(c);
			else
				assert_int_equal(err.line, 1);
			if (n > lists[l].most) {
				assert_non_null(strstr(err.error.text, words));
				assert_string_equal(err.error.key, lists[l].key);
			} else {
				assert_null(strstr(is_good ? "" : err.error.text, "at most"));
			}
			free(text);
		}
	}
}

#define DEEP (1 << 20)

// Text as it might come from an enemy: anything but a crash will do.
static void broken_text_is_refused(void **state)
{
	static const char *const texts[] = {"\xff", "ports: *a", "a: &a [*a]", "{{{{{{",
		"\"\\uD800\"", "ports: &p [{name: a, type: tap, device: t}]\nfdb: *p", "? ",
		"%YAML 9.9\n---\n", "!!binary x"};
	struct config_error err;
	struct config *c;
	char *deep = malloc(DEEP);
	unsigned wrong = 0;

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (config_parse(texts[i], strlen(texts[i]), &c, &err) == 0) {
			print_error("taken: %s\n", texts[i]);
			config_free(c);
			wrong++;
		}
	assert_int_equal(wrong, 0);
	// Each level of brackets costs libyaml as much as all levels above it: this would take it minutes.
	memset(deep, '[', DEEP);
	assert_true(config_parse(deep, DEEP, &c, &err) < 0);
	assert_non_null(strstr(err.error.text, "nested"));
	for (int i = 0; i + 3 <= DEEP; i += 3)
		memcpy(deep + i, "a: ", 3);
	assert_true(config_parse(deep, DEEP, &c, &err) < 0);
	free(deep);
	assert_true(config_parse("name: \0x", 8, &c, &err) < 0);
}

// One list used 200 times by aliases must not become 200 lists of 4096.
static void aliases_do_not_multiply(void **state)
{
	char *text = malloc(210000);
	size_t n = sprintf(text, "ports:\n- {name: p, type: tap, device: d, vlan: {trunk: &t [");
	struct config_error err;
	struct config *c;

	for (int i = 0; i < 4000; i++)
		n += sprintf(text + n, "%d,", i + 1);
	n += sprintf(text + n, "]}}\n");
	for (int i = 0; i < 200; i++)
		n += sprintf(text + n, "- {name: p%d, type: tap, device: d%d, vlan: {trunk: *t}}\n",
			i, i);
	assert_true(config_parse(text, n, &c, &err) < 0);
	assert_non_null(strstr(err.error.text, "too large"));
	free(text);
}

// What is saved is what was loaded.
static void yaml_survives_a_round_trip(void **state)
{
	struct config *a = good(
		"workers: [{core: 0}]\n"
		"log: {level: info}\n"
		"fdb: {static: [{mac: 52:54:00:00:00:01, port: a}]}\n" VHOST(
			"vlan: {trunk: [1, 20-30], native: 5}, policy: {macs: [52:54:00:00:00:01], "
			"isolated: true, rate: 1G}, socket-mode: '0600', features: {off: [mq]}"));
	char *text = config_yaml(a->json);
	struct config *b = good(text);

	assert_true(json_equal(a->json, b->json));
	assert_memory_equal(&a->ports[0].sw, &b->ports[0].sw, sizeof(a->ports[0].sw));
	free(text);
	config_free(a);
	config_free(b);
	// Words that YAML would read as something else.
	a = good(PORT("type: tap, device: 'true'"));
	text = config_yaml(a->json);
	b = good(text);
	assert_true(json_equal(a->json, b->json));
	free(text);
	config_free(a);
	config_free(b);
}

// All that is offered can be taken away by the name that is shown; the transport's own bit cannot.
static void every_feature_can_be_masked(void **state)
{
	for (const int *bit = vhost_feature_bits; *bit >= 0; bit++) {
		char text[200], name[32];
		struct config_error err;
		struct config *c;

		snprintf(name, sizeof(name), "%s", vhost_feature_name((unsigned)*bit));
		for (char *p = name; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		snprintf(text, sizeof(text), VHOST("features: {off: [%s]}"), name);
		if (*bit == VHOST_USER_F_PROTOCOL_FEATURES_BIT) {
			assert_true(config_parse(text, strlen(text), &c, &err) < 0);
			continue;
		}
		c = good(text);
		assert_int_equal(c->ports[0].sw.port.features_off, FEATURE(*bit));
		config_free(c);
	}
}

static void a_port_takes_words_or_numbers(void **state)
{
	struct config_port p = {.n_workers = 0};
	struct error err;
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:{s:[s, i]}, s:{s:s}}", "name", "a", "type",
		"vhost-user", "socket", "/a", "queues", "2", "vlan", "trunk", "10", 20, "policy",
		"isolated", "true");

	assert_int_equal(config_port_from_json(json, 1, &p, &err), 0);
	assert_int_equal(p.sw.port.queues, 2);
	assert_int_equal(p.sw.vlan.trunk[0], 1 << 10 | 1 << 20);
	assert_true(p.sw.policy.isolated);
	config_port_fini(&p);
	json_object_set_new(json, "nmae", json_string("x"));
	assert_true(config_port_from_json(json, 1, &p, &err) < 0);
	assert_string_equal(err.key, "nmae");
	assert_non_null(strstr(err.text, "did you mean 'name'"));
	json_decref(json);
}

static void files_are_replaced_whole(void **state)
{
	char dir[] = "/tmp/weft-config-XXXXXX", path[64], link[64], text[100] = "";
	struct error err;
	struct stat st;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/weft.yaml", dir);
	snprintf(link, sizeof(link), "%s/link.yaml", dir);
	assert_int_equal(config_write(path, "a: 1\n", &err), 0);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(symlink("weft.yaml", link), 0);
	// Through a link the target is replaced, and keeps its permissions.
	assert_int_equal(config_write(link, "b: 2\n", &err), 0);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	FILE *f = fopen(path, "r");
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_string_equal(text, "b: 2\n");
	assert_true(config_write("/proc/weft.yaml", "a", &err) < 0);
	assert_non_null(strstr(err.text, "/proc/weft.yaml"));
	unlink(link);
	unlink(path);
	assert_int_equal(rmdir(dir), 0); // no temporary file was left
}

static void unreadable_files_say_why(void **state)
{
	struct config_error err;
	struct config *c;
	char text[400];

	assert_true(config_load("/no/such/file", &c, &err) < 0);
	config_error_text(&err, "/no/such/file", text, sizeof(text));
	assert_string_equal(text, "/no/such/file: cannot read it: No such file or directory");
	assert_true(config_load("/dev/zero", &c, &err) < 0);
	assert_true(config_load("/", &c, &err) < 0);
	// Not a pipe, which would have it wait.
	char dir[] = "/tmp/weft-test-XXXXXX", path[64];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pipe", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_true(config_load(path, &c, &err) < 0);
	assert_non_null(strstr(err.error.text, "a file of at most"));
	unlink(path);
	FILE *f = fopen(path, "w");
	assert_int_equal(ftruncate(fileno(f), CONFIG_TEXT_MAX + 1), 0);
	fclose(f);
	assert_true(config_load(path, &c, &err) < 0);
	assert_non_null(strstr(err.error.text, "a file of at most 1048576 bytes"));
	unlink(path);
	rmdir(dir);
}

// Every key of the schema has help, and the other way round.
static void check_help(const json_t *keys, const char *path, unsigned *n)
{
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)keys, name, v) {
		char full[128];
		snprintf(full, sizeof(full), "%s%s%s", path, *path ? "." : "", name);
		if (!conf_key_find(full))
			print_error("no help for %s\n", full);
		assert_non_null(conf_key_find(full));
		(*n)++;
		if (json_object_get(v, "keys"))
			check_help(json_object_get(v, "keys"), full, n);
	}
}

static void every_key_has_help(void **state)
{
	json_t *schema = config_schema_json();
	unsigned n = 0;

	check_help(json_object_get(schema, "keys"), "", &n);
	assert_int_equal(n, conf_n_keys);
	json_decref(schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_arrives),
		cmocka_unit_test(an_empty_file_is_all_defaults),
		cmocka_unit_test(errors_name_line_key_and_remedy),
		cmocka_unit_test(texts_have_limits),
		cmocka_unit_test(lists_have_limits),
		cmocka_unit_test(broken_text_is_refused),
		cmocka_unit_test(aliases_do_not_multiply),
		cmocka_unit_test(yaml_survives_a_round_trip),
		cmocka_unit_test(every_feature_can_be_masked),
		cmocka_unit_test(a_port_takes_words_or_numbers),
		cmocka_unit_test(files_are_replaced_whole),
		cmocka_unit_test(unreadable_files_say_why),
		cmocka_unit_test(every_key_has_help),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
