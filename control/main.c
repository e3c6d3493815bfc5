// SPDX-License-Identifier: BSD-2-Clause
// weftd: reads its arguments and brings the parts up in their order.
#include "control/config.h"
#include "control/daemon.h"
#include "control/eal.h"
#include "control/fd_store.h"
#include "control/host_check.h"
#include "control/log.h"
#include "control/loop.h"
#include "control/privileges.h"
#include "control/server.h"
#include "control/wakeup.h"

#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const char usage[] =
	"Usage: weftd [-c FILE] [-s SOCKET] [--check] [--foreground]\n"
	"\n"
	"The switch daemon: connects virtual machines, network cards and the host.\n"
	"\n"
	"  -c, --config FILE    configuration; default /etc/weft/weft.yaml\n"
	"  -s, --socket SOCKET  socket for weftctl; default: api.socket of the file,\n"
	"                       or /run/weft/weftd.sock\n"
	"      --check          check the configuration, open nothing, and end;\n"
	"                       says what this host lacks for it\n"
	"      --foreground     stay in the foreground (weftd always does)\n"
	"  -V, --version        print the version\n"
	"  -h, --help           print this\n"
	"\n"
	"Example: weftd -c /etc/weft/weft.yaml --check\n"
	"See weftd(8), weft.yaml(5), weftctl(1).\n";

struct options {
	const char *config, *socket;
	bool check;
};

// -1: go on; else the exit status.
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"socket", required_argument, NULL, 's'},
		{"check", no_argument, NULL, 'k'},
		{"foreground", no_argument, NULL, 'f'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{NULL},
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "c:s:Vh", longs, NULL)) >= 0) {
		switch (opt) {
		case 'c':
			o->config = optarg;
			break;
		case 's':
			o->socket = optarg;
			break;
		case 'k':
			o->check = true;
			break;
		case 'f':
			break;
		case 'V':
			puts("weftd " WEFT_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs("Try 'weftd --help'.\n", stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "weftd: unknown argument '%s'\nTry 'weftd --help'.\n",
			argv[optind]);
		return 2;
	}
	return -1;
}

// libevent's own words, which would go to stderr bare.
static void log_libevent(int severity, const char *text)
{
	log_msg(severity >= EVENT_LOG_ERR    ? LOG_ERR
		: severity == EVENT_LOG_WARN ? LOG_WARNING
					     : LOG_DEBUG,
		"libevent", "%s", text);
}

static void lacks(void *ctx, const char *text)
{
	fprintf(stderr, "weftd: %s\n", text);
}

static int complain(const char *text)
{
	fprintf(stderr, "weftd: %s\n", text);
	return 1;
}

struct new_switch {
	const struct config *config;
	struct sw **out;
	struct error *err;
};

static int new_switch(void *ctx)
{
	const struct new_switch *n = ctx;

	return switch_new(&n->config->sw, n->out, n->err);
}

// Everything from the switch on, inside the loop's life.
static int serve(struct daemon *d, const struct config *config)
{
	struct error err = {.key = ""};
	struct new_switch n = {config, &d->sw, &err};
	int rc;

	// Workers are born without capabilities.
	rc = privileges_without(new_switch, &n);
	if (rc < 0) {
		server_free(d->server);
		return complain(*err.text ? err.text : strerror(-rc));
	}
	switch_keep(d->sw, fd_store_keeper(d->store));
	rc = loop_start(d, config, &err);
	if (rc == 0)
		rc = server_start(d->server, d);
	if (rc == 0) {
		fd_store_sweep(d->store);
		log_msg(LOG_INFO, "", "weftd %s serves %s, %u ports, %u workers", WEFT_VERSION,
			server_path(d->server), running_n_ports(d->running),
			switch_n_workers(d->sw));
		loop_run(d);
	}
	// Clients first: their captures end in the switch.
	server_free(d->server);
	d->server = NULL;
	fd_store_end(d->store);
	loop_stop(d);
	switch_free(d->sw);
	return rc < 0 ? complain(*err.text ? err.text : strerror(-rc)) : 0;
}

static int run(const struct config *config, const char *path, const char *socket)
{
	struct daemon d = {.config_path = path, .socket_is_fixed = socket};
	struct error err = {.key = ""};
	int status = 1;

	// The socket first: a second daemon must not touch a single port of the first.
	if (server_new(socket ? socket : config->api_socket, &d.server, &err) < 0)
		return complain(err.text);
	d.store = fd_store_new();
	// Its file is root's.
	d.wakeup = wakeup_new(WAKEUP_FILE, config->wakeup_us);
	if (!d.wakeup)
		error_set(&err, -ENOMEM, "", "out of memory");
	if (!d.wakeup ||
		server_rights(d.server, config->api_group, config->api_admin_group, &err) < 0 ||
		privileges_drop(config, &err) < 0 || eal_start(&config->sw, &err) < 0) {
		complain(err.text);
		server_free(d.server);
		wakeup_free(d.wakeup);
		fd_store_free(d.store);
		return 1;
	}
	d.base = event_base_new();
	if (d.base) {
		status = serve(&d, config);
		event_base_free(d.base);
	} else {
		complain("out of memory");
		server_free(d.server);
	}
	eal_stop();
	wakeup_free(d.wakeup);
	fd_store_free(d.store);
	return status;
}

// From the root on, but with its symbolic links: where they point may change while weftd runs.
static void absolute(const char *file, char path[PATH_MAX])
{
	char here[PATH_MAX];

	if (*file == '/' || !getcwd(here, sizeof(here)) ||
		snprintf(path, PATH_MAX, "%s/%s", here, file) >= PATH_MAX)
		snprintf(path, PATH_MAX, "%s", file);
}

int main(int argc, char **argv)
{
	struct options o = {.config = "/etc/weft/weft.yaml"};
	struct config_error err;
	struct config *config;
	char path[PATH_MAX], text[700];
	int status = parse_options(argc, argv, &o);

	if (status >= 0)
		return status;
	log_init(LOG_INFO);
	event_set_log_callback(log_libevent);
	signal(SIGPIPE, SIG_IGN);
	if (config_load(o.config, &config, &err) < 0) {
		config_error_text(&err, o.config, text, sizeof(text));
		complain(text);
		return o.check ? 1 : EX_CONFIG;
	}
	log_set_level(config->log_level);
	if (o.check) {
		const unsigned n = host_check(config, lacks, NULL);
		printf("%s: good: %u ports%s\n", o.config, config->n_ports,
			n ? "; this host lacks something for it" : "");
	} else {
		absolute(o.config, path);
		status = run(config, path, o.socket);
	}
	config_free(config);
	return status < 0 ? 0 : status;
}
