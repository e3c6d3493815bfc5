// SPDX-License-Identifier: BSD-2-Clause
// Says anything to the API as a client that may do everything: what comes back is lines of JSON, and
// the next client is answered. The switch behind it is the stand-in of the tests.
#include "control/loop.h"
#include "control/log.h"
#include "control/server.h"
#include "tests/lib/fake_switch.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CHECK(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct daemon d;
static char dir[] = "/tmp/weft-fuzz-XXXXXX", path[64], file[64];

static void clean(void)
{
	unlink(file);
	unlink(path);
	strcat(path, ".lock");
	unlink(path);
	rmdir(dir);
}

static void start(void)
{
	static const char text[] =
		"ports: [{name: vm1, type: vhost-user, socket: /tmp/weft-a.sock}]";
	struct config_error cerr;
	struct config *config;
	struct error err;

	signal(SIGPIPE, SIG_IGN);
	log_init(-1);
	CHECK(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/api.sock", dir);
	snprintf(file, sizeof(file), "%s/weft.yaml", dir);
	atexit(clean);
	d = (struct daemon){.config_path = file, .base = event_base_new()};
	CHECK(config_parse(text, strlen(text), &config, &cerr) == 0);
	CHECK(server_new(path, &d.server, &err) == 0);
	CHECK(switch_new(&config->sw, &d.sw, &err) == 0);
	CHECK(loop_start(&d, config, &err) == 0);
	CHECK(server_start(d.server, &d) == 0);
	config_free(config);
}

static int dial(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(addr.sun_path, path, sizeof(path));
	CHECK(connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

// Everything that comes must be whole lines, each of them JSON. Returns how many.
static unsigned hear(int fd)
{
	static char buf[1 << 22];
	size_t n = 0;
	unsigned lines = 0;

	for (int quiet = 0; quiet < 4;) {
		event_base_loop(d.base, EVLOOP_NONBLOCK);
		ssize_t got = read(fd, buf + n, sizeof(buf) - n);
		if (got > 0)
			n += got;
		quiet = got > 0 ? 0 : quiet + 1;
	}
	for (char *p = buf, *end; p < buf + n; p = end + 1, lines++) {
		end = memchr(p, '\n', buf + n - p);
		CHECK(end);
		json_t *json = json_loadb(p, end - p, 0, NULL);
		CHECK(json_is_object(json));
		json_decref(json);
	}
	return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char ping[] =
		"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"version.show\"}\n";

	if (!d.base)
		start();
	log_set_level(-1);
	int fd = dial();
	// An input may be longer than what the kernel takes at once: the rest is cut off.
	(void)!write(fd, data, size);
	hear(fd);
	close(fd);
	fd = dial();
	CHECK(write(fd, ping, strlen(ping)) == (ssize_t)strlen(ping));
	CHECK(hear(fd) == 1);
	close(fd);
	event_base_loop(d.base, EVLOOP_NONBLOCK);
	return 0;
}
