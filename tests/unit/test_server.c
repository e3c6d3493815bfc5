// SPDX-License-Identifier: BSD-2-Clause
// The API's server with the clients it may meet: polite, silent, slow, huge, malformed, too many.
#include "control/server.h"

#include "control/client.h"
#include "control/events.h"
#include "tests/unit/daemon_bed.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[32], path[64];
static struct daemon d;

static void turn(void)
{
	event_base_loop(d.base, EVLOOP_NONBLOCK);
}

static int setup(void **state)
{
	static const char text[] = "ports:\n"
				   "- {name: vm1, type: vhost-user, socket: /tmp/weft-vm1.sock}\n"
				   "- {name: nic, type: af-xdp, device: nosuch0}\n";
	struct error err;
	struct rlimit lim;

	signal(SIGPIPE, SIG_IGN); // as main does
	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
	strcpy(dir, "/tmp/weft-srv-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/api.sock", dir);
	d = (struct daemon){0};
	assert_int_equal(server_new(path, &d.server, &err), 0);
	assert_int_equal(server_rights(d.server, "", "", &err), 0);
	daemon_open(&d, text);
	assert_int_equal(server_start(d.server, &d), 0);
	return 0;
}

static int teardown(void **state)
{
	server_free(d.server);
	d.server = NULL;
	daemon_close(&d);
	return rmdir(dir); // socket and lock are gone
}

// The server does not run meanwhile.
static int dial_only(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(addr.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static int dial(void)
{
	int fd = dial_only();

	turn();
	return fd;
}

// Sends all of it, letting the server run when the socket is full. False: it was closed.
static bool say(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n > 0) {
			text += n;
			len -= n;
		}
		turn();
	}
	return true;
}

// The next line, or NULL: nothing comes any more (*closed tells why).
static char *hear(int fd, bool *closed)
{
	static char line[1 << 20];
	size_t n = 0;

	*closed = false;
	for (int quiet = 0; quiet < 50 && n < sizeof(line) - 1;) {
		ssize_t got = read(fd, line + n, 1);
		if (got == 0) {
			*closed = true;
			return NULL;
		}
		if (got < 0) {
			turn();
			quiet++;
			continue;
		}
		quiet = 0;
		if (line[n++] == '\n') {
			line[n] = 0;
			return line;
		}
	}
	return NULL;
}

static json_t *ask(int fd, const char *method, const char *params)
{
	char request[4096];
	bool closed;

	snprintf(request, sizeof(request),
		"{\"jsonrpc\": \"2.0\", \"id\": 7, \"method\": \"%s\", \"params\": %s}\n", method,
		params);
	assert_true(say(fd, request, strlen(request)));
	char *line = hear(fd, &closed);
	assert_non_null(line);
	json_t *json = json_loads(line, 0, NULL);
	assert_non_null(json);
	assert_int_equal(json_integer_value(json_object_get(json, "id")), 7);
	return json;
}

static int code_of(const json_t *answer)
{
	return (int)json_integer_value(json_object_get(json_object_get(answer, "error"), "code"));
}

static const char *message_of(const json_t *answer)
{
	return json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
}

static void answers(void **state)
{
	int fd = dial();
	json_t *a = ask(fd, "port.show", "{}");
	const json_t *list = json_object_get(a, "result");

	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(list, 0), "state")), "down");
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(list, 1), "state")), "failed");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "why")),
		"device: there is no interface 'nosuch0'; see ip link");
	json_decref(a);
	close(fd);
}

static void refuses_with_a_sentence_and_the_key(void **state)
{
	static const struct {
		const char *method, *params;
		int code;
		const char *key, *words;
	} cases[] = {
		{"port.shwo", "{}", -32601, NULL, "did you mean 'port.show'"},
		{"port.show", "{\"name\": 3}", -32602, "name", "port name"},
		{"port.show", "{\"nam\": \"x\"}", -32602, "nam", "did you mean 'name'"},
		{"port.show", "{\"name\": \"vm01\"}", 1, "name", "did you mean 'vm1'"},
		{"port.add", "{\"name\": \"x\"}", -32602, "type", "missing"},
		{"port.add", "{\"name\": \"x\", \"type\": \"tap\"}", -32602, "device", "missing"},
		{"port.add", "{\"name\": \"vm1\", \"type\": \"tap\", \"device\": \"t\"}", 2, "name",
			"already"},
		{"port.add", "{\"name\": \"x\", \"type\": \"tap\", \"device\": \"nosuch1\"}", 4,
			"device", "no interface"},
		{"port.add",
			"{\"name\": \"x\", \"type\": \"tap\", \"device\": \"t\", \"vlan\": "
			"{\"acess\": 1}}",
			-32602, "vlan.acess", "did you mean 'access'"},
		{"port.add",
			"{\"name\": \"x\", \"type\": \"vhost-user\", \"socket\": "
			"\"/tmp/weft-vm1.sock\"}",
			2, "socket", "vm1 has"},
		{"port.set", "{\"name\": \"vm1\", \"queues\": 99}", -32602, "queues", "1 to 16"},
		{"port.del", "{\"name\": \"vm2\"}", 1, "name", "did you mean 'vm1'"},
		{"fdb.show", "{\"vlan\": 4095}", -32602, "vlan", "VLAN"},
		{"fdb.add", "{\"mac\": \"ff:ff:ff:ff:ff:ff\", \"port\": \"vm1\"}", -32602, "mac",
			"no machine"},
		{"fdb.add", "{\"mac\": \"x\", \"port\": \"vm1\"}", -32602, "mac", "MAC"},
		{"fdb.del", "{\"mac\": \"52:54:00:00:00:09\"}", 1, "mac", "not known"},
		{"worker.set", "{\"port\": \"vm1\", \"queue\": 4, \"worker\": 0}", -32602, "queue",
			"last is 0"},
		{"worker.set", "{\"port\": \"vm1\", \"queue\": 0, \"worker\": 9}", -32602, "worker",
			"no worker 9"},
		{"worker.set", "{\"port\": \"nic\", \"queue\": 0, \"worker\": 0}", 4, "port",
			"not open"},
		{"worker.set", "{\"worker\": 0}", -32602, "port", "either a port"},
		{"worker.set", "{\"worker\": 9, \"core\": 0}", -32602, "worker", "no worker 9"},
		{"worker.add", "{\"core\": 1000}", -32602, "workers[1].core", "not there"},
		{"worker.add", "{\"core\": 0}", -32602, "workers[1].core", "has worker 0 already"},
		{"worker.del", "{\"worker\": 0}", 5, "worker", "the last one"},
		{"worker.del", "{\"worker\": 1}", -32602, "worker", "no worker 1"},
		{"config.set", "{\"fdb\": {\"max\": 16}}", -32602, "fdb.max", "static"},
		{"config.set", "{\"api\": {\"socket\": \"/no/such/dir/s\"}}", 1, "api.socket",
			"make its directory"},
		{"config.check", "{\"text\": \"ports:\\n- {name: a}\"}", -32602, "ports[0].type",
			"missing"},
		{"config.set", "{\"fdb\": {\"age\": 0}}", -32602, "fdb.age", "1 to"},
		{"config.set", "{\"metrics\": {\"listen\": \"nowhere\"}}", -32602, "metrics.listen",
			"ADDRESS:PORT"},
		{"config.set", "{\"workes\": []}", -32602, "workes", "did you mean 'workers'"},
		{"monitor.subscribe", "{\"events\": [\"link-upp\"]}", -32602, "events",
			"did you mean 'link-up'"},
		{"monitor.subscribe", "{\"events\": [7]}", -32602, "events", "unknown event"},
		{"capture.start", "{\"port\": \"vm1\", \"dir\": \"up\"}", -32602, "dir",
			"rx, tx, both"},
		{"capture.start", "{\"port\": \"vm11\"}", 1, "name", "did you mean 'vm1'"},
		{"config.reload", "{}", 1, NULL, "cannot read it"},
	};
	int fd = dial();

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *a = ask(fd, cases[i].method, cases[i].params);
		const char *key = json_string_value(json_object_get(
			json_object_get(json_object_get(a, "error"), "data"), "key"));
		if (!message_of(a) || code_of(a) != cases[i].code ||
			!strstr(message_of(a), cases[i].words))
			print_error("%s %s -> %s\n", cases[i].method, cases[i].params,
				json_dumps(a, JSON_COMPACT));
		assert_non_null(message_of(a));
		assert_int_equal(code_of(a), cases[i].code);
		assert_non_null(strstr(message_of(a), cases[i].words));
		if (cases[i].key)
			assert_string_equal(key, cases[i].key);
		else
			assert_null(key);
		json_decref(a);
	}
	assert_int_equal(running_n_ports(d.running), 2);
	close(fd);
}

// The switch took the new MTU before it refused the worker of a queue that is not there.
static void a_change_that_fails_half_way_is_taken_back(void **state)
{
	struct switch_port now;
	int fd = dial();

	json_decref(ask(
		fd, "port.add", "{\"name\": \"eth\", \"type\": \"af-xdp\", \"device\": \"t\"}"));
	json_t *a = ask(fd, "port.set", "{\"name\": \"eth\", \"mtu\": 9000, \"workers\": [0, 0]}");
	assert_int_equal(code_of(a), -32602);
	json_decref(a);
	assert_int_equal(switch_port_find(d.sw, "eth", &now), 0);
	assert_int_equal(now.config->port.mtu, 0);
	assert_false(running_port_find(d.running, "eth")->is_pending);
	close(fd);
}

static void a_name_cut_within_a_character_costs_no_sentence(void **state)
{
	int fd = dial();
	json_t *a = ask(fd, "port.show",
		"{\"name\": \"vm1-\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4"
		"\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4x\u00e4\u00e4\u00e4\"}");

	assert_int_equal(code_of(a), 1);
	assert_non_null(strstr(message_of(a), "unknown port 'vm1-"));
	json_decref(a);
	close(fd);
}

static void malformed_requests_are_answered_then_cut_off(void **state)
{
	static const char *const bad[] = {"garbage\n", "[]\n", "{}\n", "{\"jsonrpc\": \"2.0\"}\n",
		"{\"jsonrpc\": \"1.0\", \"method\": \"port.show\", \"id\": 1}\n",
		"{\"jsonrpc\": \"2.0\", \"method\": \"port.show\", \"id\": [1]}\n",
		"{\"jsonrpc\": \"2.0\", \"method\": \"port.show\", \"id\": 1, \"params\": [1]}\n",
		"\x80\xff\n"};
	int fd = dial();
	bool closed;

	assert_int_equal(sizeof(bad) / sizeof(bad[0]), CLIENT_GARBAGE);
	for (unsigned i = 0; i < CLIENT_GARBAGE; i++) {
		assert_true(say(fd, bad[i], strlen(bad[i])));
		char *line = hear(fd, &closed);
		assert_non_null(line);
		json_t *a = json_loads(line, 0, NULL);
		assert_true(code_of(a) <= -32600);
		// Clients match answers by it: without it they would wait for ever.
		assert_int_equal(json_integer_value(json_object_get(a, "id")),
			strstr(bad[i], "\"id\": 1") != NULL);
		json_decref(a);
	}
	assert_null(hear(fd, &closed));
	assert_true(closed);
	close(fd);
	turn();
	assert_int_equal(server_n_clients(d.server), 0);
}

static void a_notification_has_no_answer(void **state)
{
	static const char text[] = "\n{\"jsonrpc\": \"2.0\", \"method\": \"version.show\"}\n";
	int fd = dial();
	bool closed;

	say(fd, text, strlen(text));
	assert_null(hear(fd, &closed));
	assert_false(closed);
	json_decref(ask(fd, "version.show", "{}"));
	close(fd);
}

static void a_line_without_end_is_cut_off(void **state)
{
	char *junk = malloc(1 << 16);
	int fd = dial();
	size_t sent = 0;
	bool closed;

	memset(junk, 'x', 1 << 16);
	while (sent < 4 * CLIENT_LINE_MAX && say(fd, junk, 1 << 16)) {
		sent += 1 << 16;
		turn();
		// So long a request is taken.
		assert_true(sent != CLIENT_LINE_MAX || server_n_clients(d.server) == 1);
	}
	assert_true(sent < 4 * CLIENT_LINE_MAX);
	char *line = hear(fd, &closed);
	// What we sent after the end may have made the kernel drop the answer.
	if (line)
		assert_non_null(strstr(line, "at most"));
	for (int i = 0; i < 10 && server_n_clients(d.server); i++)
		turn();
	assert_int_equal(server_n_clients(d.server), 0);
	free(junk);
	close(fd);
}

static void half_a_request_and_goodbye(void **state)
{
	for (int i = 0; i < 100; i++) {
		int fd = dial();
		say(fd, "{\"jsonrpc\"", 10);
		close(fd);
		turn();
	}
	turn();
	assert_int_equal(server_n_clients(d.server), 0);
}

// A thousand and more clients that say nothing: the newest still gets its answer.
static void idle_clients_make_room(void **state)
{
	enum { N = SERVER_CLIENTS_MAX + 50 };
	int fds[N];

	for (int i = 0; i < N; i++)
		fds[i] = dial();
	turn();
	assert_int_equal(server_n_clients(d.server), SERVER_CLIENTS_MAX);
	int fd = dial();
	json_decref(ask(fd, "version.show", "{}"));
	close(fd);
	// The first ones were told to go, not the last.
	char c;
	assert_int_equal(read(fds[0], &c, 1), 0);
	assert_true(read(fds[N - 1], &c, 1) < 0);
	for (int i = 0; i < N; i++)
		close(fds[i]);
	for (int i = 0; i < 100 && server_n_clients(d.server); i++)
		turn();
	assert_int_equal(server_n_clients(d.server), 0);
}

// Nor does anybody go for one who may do nothing, or less.
static void strangers_push_nobody_out(void **state)
{
	enum { N = SERVER_CLIENTS_MAX };
	int fds[N];
	char c;

	if (geteuid() != 0)
		skip();
	for (int i = 0; i < N; i++)
		fds[i] = dial();
	assert_int_equal(server_n_clients(d.server), N);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(seteuid(65534), 0);
	int stranger = dial_only();
	assert_int_equal(seteuid(0), 0);
	turn();
	assert_int_equal(server_n_clients(d.server), N);
	assert_true(read(fds[0], &c, 1) < 0);
	assert_int_equal(read(stranger, &c, 1), 0);
	close(stranger);
	for (int i = 0; i < N; i++)
		close(fds[i]);
}

// Requests without reading answers: the server stops reading, and its memory stays bounded.
static void a_client_that_never_reads_is_bounded(void **state)
{
	static const char text[] = "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"api.show\"}\n";
	int fd = dial(), other = dial();
	size_t most = 0, at = 0;

	for (int i = 0; i < 20000; i++) {
		ssize_t n = send(fd, text + at, sizeof(text) - 1 - at, MSG_NOSIGNAL);
		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		else
			at = (at + n) % (sizeof(text) - 1);
		turn();
		if (server_unread(d.server) > most)
			most = server_unread(d.server);
	}
	assert_true(most > 0);
	assert_true(most < 2 * CLIENT_OUT_HIGH);
	json_decref(ask(other, "version.show", "{}"));
	close(other);
	close(fd);
	for (int i = 0; i < 10; i++)
		turn();
	assert_int_equal(server_n_clients(d.server), 0);
	assert_int_equal(server_unread(d.server), 0);
}

// Lets time pass until `n` clients are left; false if they never are.
static bool left(unsigned n)
{
	for (int i = 0; i < 2000 && server_n_clients(d.server) != n; i++) {
		struct timespec ts = {0, 5000000};
		nanosleep(&ts, NULL);
		turn();
	}
	return server_n_clients(d.server) == n;
}

static void silence_ends_unless_it_was_subscribed(void **state)
{
	server_set_patience(d.server, (struct timeval){0, 500000}, (struct timeval){30, 0});
	int silent = dial(), subscribed = dial(), half = dial();
	bool closed;

	json_decref(ask(subscribed, "monitor.subscribe", "{}"));
	say(half, "{\"jsonrpc\"", 10);
	assert_true(left(1));
	assert_null(hear(silent, &closed));
	assert_true(closed);
	json_decref(ask(subscribed, "version.show", "{}"));
	// Patience ends with the subscription.
	json_decref(ask(subscribed, "monitor.unsubscribe", "{}"));
	assert_true(left(0));
	close(silent);
	close(subscribed);
	close(half);
}

static void a_client_that_reads_nothing_is_disconnected(void **state)
{
	static const char text[] = "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"api.show\"}\n";
	server_set_patience(d.server, (struct timeval){300, 0}, (struct timeval){1, 500000});
	int fd = dial(), good = dial();

	for (int i = 0; i < 60; i++)
		assert_true(say(fd, text, sizeof(text) - 1));
	assert_true(server_unread(d.server) > 0);
	assert_true(left(1));
	assert_int_equal(server_unread(d.server), 0);
	json_decref(ask(good, "version.show", "{}"));
	close(fd);
	close(good);
}

// Hundreds of them fill the memory that all clients share: the worst go, others are served.
static void many_deaf_clients_share_a_limit(void **state)
{
	static const char text[] = "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"api.show\"}\n";
	enum { N = 400 };
	size_t most = 0;
	int fds[N];

	for (int i = 0; i < N; i++) {
		fds[i] = dial();
		for (int k = 0; k < 60; k++)
			if (!say(fds[i], text, sizeof(text) - 1))
				break;
		if (server_unread(d.server) > most)
			most = server_unread(d.server);
	}
	assert_true(most > CLIENTS_OUT_MAX / 2);
	assert_true(most < CLIENTS_OUT_MAX + 2 * CLIENT_OUT_HIGH);
	assert_true(server_n_clients(d.server) < N);
	int fd = dial();
	json_decref(ask(fd, "version.show", "{}"));
	close(fd);
	for (int i = 0; i < N; i++)
		close(fds[i]);
}

// All the answers are there once it does read.
static void a_slow_reader_gets_every_answer(void **state)
{
	static const char text[] = "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"api.show\"}\n";
	int fd = dial(), n = 0;
	bool closed;

	for (int i = 0; i < 60; i++)
		assert_true(send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL) == sizeof(text) - 1);
	while (hear(fd, &closed))
		n++;
	assert_int_equal(n, 60);
	close(fd);
}

// As nc -N does, and a script that has asked all it wants to know.
static void who_asks_and_shuts_down_gets_every_answer(void **state)
{
	static const char text[] = "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"api.show\"}\n";
	int fd = dial(), n = 0;
	bool closed;

	for (int i = 0; i < 60; i++)
		assert_true(send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL) == sizeof(text) - 1);
	// As printf without \n: the last line has no end.
	assert_true(send(fd, text, sizeof(text) - 2, MSG_NOSIGNAL) == sizeof(text) - 2);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	while (hear(fd, &closed))
		n++;
	assert_int_equal(n, 61);
	assert_true(closed);
	assert_int_equal(server_n_clients(d.server), 0);
	close(fd);
}

static void events_reach_those_who_want_them(void **state)
{
	int all = dial(), links = dial(), none = dial();
	char *line;
	bool closed;

	json_decref(ask(all, "monitor.subscribe", "{}"));
	json_decref(
		ask(links, "monitor.subscribe", "{\"events\": [\"link-up\"], \"port\": \"vm1\"}"));
	fake_switch_learn(d.sw, "vm1", (const uint8_t[]){0x52, 0x54, 0, 0, 0, 1}, 10);
	fake_switch_link(d.sw, "vm1", true, "guest connected: VERSION_1");
	line = hear(links, &closed);
	assert_non_null(line);
	assert_non_null(strstr(line, "\"event\":\"link-up\""));
	assert_non_null(strstr(line, "guest connected: VERSION_1"));
	assert_null(hear(links, &closed));
	json_t *lost = json_pack("{s:s, s:i}", "event", "lost", "count", 3);
	server_publish(d.server, lost);
	json_decref(lost);
	assert_non_null(hear(links, &closed)); // some of them may have been link-up
	line = hear(all, &closed);
	while (line && !strstr(line, "fdb-learnt"))
		line = hear(all, &closed);
	assert_non_null(line);
	assert_non_null(strstr(line, "52:54:00:00:00:01"));
	assert_null(hear(none, &closed));
	json_decref(ask(links, "monitor.unsubscribe", "{}"));
	fake_switch_link(d.sw, "vm1", true, "again");
	assert_null(hear(links, &closed));
	close(all);
	close(links);
	close(none);
}

static void a_subscriber_that_never_reads_loses_events(void **state)
{
	int fd = dial();
	bool closed, told = false;
	json_t *event = json_pack("{s:s, s:I, s:s}", "event", "log", "time_us", (json_int_t)4711,
		"text",
		"a long line so that the queue fills soon: 0123456789 0123456789 0123456789");
	char *line;

	json_decref(ask(fd, "monitor.subscribe", "{}"));
	for (int i = 0; i < 20000; i++)
		server_publish(d.server, event);
	turn();
	assert_true(server_unread(d.server) < CLIENT_EVENTS_MAX + 4096);
	// Nor is it told only when something else happens.
	while ((line = hear(fd, &closed)))
		told |= strstr(line, "\"event\":\"lost\",\"time_us\":1") != NULL;
	assert_true(told && !closed);
	server_publish(d.server, event);
	assert_non_null(strstr(hear(fd, &closed), "\"time_us\":4711,"));
	json_decref(event);
	close(fd);
}

static void changes_are_kept_and_can_be_undone(void **state)
{
	int fd = dial();
	json_t *a = ask(fd, "config.show", "{}"), *before;

	before = json_incref(json_object_get(json_object_get(a, "result"), "config"));
	assert_true(json_is_true(json_object_get(json_object_get(a, "result"), "saved")));
	json_decref(a);
	a = ask(fd, "port.add",
		"{\"name\": \"vm2\", \"type\": \"vhost-user\", \"socket\": \"/tmp/weft-vm2.sock\", "
		"\"vlan\": {\"access\": 10}, \"mtu\": null}");
	assert_non_null(json_object_get(a, "result"));
	json_decref(a);
	json_decref(ask(fd, "port.set",
		"{\"name\": \"vm2\", \"vlan\": {\"trunk\": [\"20\"]}, \"mtu\": 9000}"));
	const struct running_port *p = running_port_find(d.running, "vm2");
	assert_true(p->config.sw.vlan.is_trunk);
	assert_int_equal(p->config.sw.port.mtu, 9000);
	json_decref(ask(
		fd, "port.set", "{\"name\": \"vm2\", \"vlan\": {\"access\": 5}, \"mtu\": null}"));
	assert_false(p->config.sw.vlan.is_trunk);
	assert_int_equal(p->config.sw.vlan.access, 5);
	assert_int_equal(p->config.sw.port.mtu, 0);
	json_decref(ask(
		fd, "fdb.add", "{\"mac\": \"52:54:00:00:00:07\", \"port\": \"vm2\", \"vlan\": 5}"));
	a = ask(fd, "fdb.size", "{}");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(a, "result"), "addresses")), 1);
	assert_true(json_integer_value(json_object_get(json_object_get(a, "result"), "max")) > 1);
	json_decref(a);
	json_decref(ask(fd, "worker.set", "{\"port\": \"vm2\", \"queue\": 0, \"worker\": 0}"));
	a = ask(fd, "config.show", "{}");
	assert_false(json_is_true(json_object_get(json_object_get(a, "result"), "saved")));
	const char *yaml = json_string_value(json_object_get(json_object_get(a, "result"), "yaml"));
	assert_non_null(strstr(yaml, "workers: [0]"));
	assert_non_null(strstr(yaml, "mac: 52:54:00:00:00:07"));
	json_decref(a);
	// Its static address goes with it.
	json_decref(ask(fd, "port.del", "{\"name\": \"vm2\"}"));
	a = ask(fd, "config.show", "{}");
	assert_true(json_equal(before, json_object_get(json_object_get(a, "result"), "config")));
	json_decref(a);
	json_decref(before);
	close(fd);
}

static void applying_touches_only_what_differs(void **state)
{
	int fd = dial();
	unsigned before = fake_switch_changes(d.sw);
	json_t *a = ask(fd, "config.set",
		"{\"log\": {\"level\": \"error\"}, \"idle\": \"poll\", \"patience-us\": 7}");
	const json_t *r = json_object_get(a, "result");

	assert_int_equal(fake_switch_changes(d.sw), before);
	assert_int_equal(fake_switch_patience(d.sw), 7);
	assert_int_equal(json_integer_value(json_object_get(r, "unchanged")), 2);
	assert_int_equal(json_array_size(json_object_get(r, "needs_restart")), 0);
	json_decref(a);
	a = ask(fd, "config.set",
		"{\"idle\": null, \"patience-us\": null, \"ports\": [{\"name\": \"vm1\", \"type\": "
		"\"vhost-user\", "
		"\"socket\": "
		"\"/tmp/weft-vm1.sock\", \"mtu\": 2000}, {\"name\": \"t\", \"type\": \"tap\", "
		"\"device\": \"t\"}]}");
	r = json_object_get(a, "result");
	assert_int_equal(json_integer_value(json_object_get(r, "changed")), 1);
	assert_int_equal(json_integer_value(json_object_get(r, "added")), 1);
	assert_int_equal(json_integer_value(json_object_get(r, "removed")), 1);
	assert_int_equal(fake_switch_changes(d.sw), before + 2);
	assert_int_equal(fake_switch_patience(d.sw), PATIENCE_DEFAULT_US);
	json_decref(a);
	close(fd);
}

static void frames_of_a_capture_come_in_base64(void **state)
{
	int fd = dial(), other = dial();
	char *line = NULL;
	bool closed;

	json_decref(ask(fd, "capture.start", "{\"port\": \"vm1\", \"dir\": \"rx\"}"));
	json_t *a = ask(other, "capture.start", "{\"port\": \"vm1\"}");
	assert_int_equal(code_of(a), 5);
	json_decref(a);
	for (int i = 0; i < 100 && !line; i++) {
		struct timespec ts = {0, 2000000};
		nanosleep(&ts, NULL);
		line = hear(fd, &closed);
	}
	assert_non_null(line);
	assert_non_null(strstr(line, "capture.frames"));
	assert_non_null(strstr(line, "////////UlQAAAABCAYAAQgABgQAAVJUAAAAAQoAAAEAAAAAAAAKAAAC"));
	assert_null(strstr(line, "\"tx\""));
	// Who leaves ends the capture.
	close(fd);
	for (int i = 0; i < 5; i++)
		turn();
	a = ask(other, "capture.start", "{\"port\": \"vm1\"}");
	assert_null(json_object_get(a, "error"));
	json_decref(a);
	// What it has yet comes before the answer, which says what was lost in all.
	static const char stop[] =
		"{\"jsonrpc\": \"2.0\", \"id\": 8, \"method\": \"capture.stop\"}\n";
	unsigned n_before = 0;
	assert_true(say(other, stop, strlen(stop)));
	while ((line = hear(other, &closed)) && strstr(line, "capture.frames"))
		n_before++;
	assert_true(n_before > 0);
	assert_non_null(line);
	assert_non_null(strstr(line, "\"result\":{\"lost\":0}"));
	close(other);
}

static void a_second_server_is_refused(void **state)
{
	struct server *s;
	struct error err;

	assert_true(server_new(path, &s, &err) < 0);
	assert_non_null(strstr(err.text, "another weftd serves"));
	json_decref(ask(dial(), "version.show", "{}")); // the first goes on
}

static void unknown_groups_are_refused(void **state)
{
	struct error err;
	struct stat st;

	assert_true(server_rights(d.server, "no-such-group", "", &err) < 0);
	assert_string_equal(err.key, "api.group");
	assert_true(server_rights(d.server, "", "no-such-group", &err) < 0);
	assert_string_equal(err.key, "api.admin-group");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0007, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers, setup, teardown),
		cmocka_unit_test_setup_teardown(
			refuses_with_a_sentence_and_the_key, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_change_that_fails_half_way_is_taken_back, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_name_cut_within_a_character_costs_no_sentence, setup, teardown),
		cmocka_unit_test_setup_teardown(
			malformed_requests_are_answered_then_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(a_notification_has_no_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(a_line_without_end_is_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(half_a_request_and_goodbye, setup, teardown),
		cmocka_unit_test_setup_teardown(idle_clients_make_room, setup, teardown),
		cmocka_unit_test_setup_teardown(strangers_push_nobody_out, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_client_that_never_reads_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(
			silence_ends_unless_it_was_subscribed, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_client_that_reads_nothing_is_disconnected, setup, teardown),
		cmocka_unit_test_setup_teardown(many_deaf_clients_share_a_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(a_slow_reader_gets_every_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(
			who_asks_and_shuts_down_gets_every_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(events_reach_those_who_want_them, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_subscriber_that_never_reads_loses_events, setup, teardown),
		cmocka_unit_test_setup_teardown(
			changes_are_kept_and_can_be_undone, setup, teardown),
		cmocka_unit_test_setup_teardown(
			applying_touches_only_what_differs, setup, teardown),
		cmocka_unit_test_setup_teardown(
			frames_of_a_capture_come_in_base64, setup, teardown),
		cmocka_unit_test_setup_teardown(a_second_server_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_groups_are_refused, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
