// SPDX-License-Identifier: BSD-2-Clause
// The daemon's loop: timers, signals, readiness and watchdog.
#include "control/loop.h"

#include "control/events.h"
#include "control/fd_store.h"
#include "control/health.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/now.h"
#include "control/server.h"
#include "control/wakeup.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#else
#define sd_notifyf(unset, ...)           ((void)0)
#define sd_watchdog_enabled(unset, usec) 0
#endif

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct daemon *d = ctx;

	switch_tick(d->sw);
	running_tick(d->running);
	health_tick(d->health, now_ns());
	if (d->wakeup)
		wakeup_tick(d->wakeup);
	metrics_tick(d->metrics);
	fd_store_tick(d->store);
	events_drain(&d->events);
}

static void on_switch(evutil_socket_t fd, short what, void *ctx)
{
	const struct daemon *d = ctx;

	events_drain(&d->events);
}

static void on_watchdog(evutil_socket_t fd, short what, void *ctx)
{
	sd_notifyf(0, "WATCHDOG=1");
}

static void on_end(evutil_socket_t sig, short what, void *ctx)
{
	struct daemon *d = ctx;

	log_msg(LOG_NOTICE, "", "%s: ending", sig == SIGTERM ? "SIGTERM" : "SIGINT");
	sd_notifyf(0, "STOPPING=1");
	event_base_loopbreak(d->base);
}

static void on_hangup(evutil_socket_t sig, short what, void *ctx)
{
	struct daemon *d = ctx;
	struct running_report report = {.needs_restart = NULL};
	struct config_error err;

	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(now_ns() / 1000));
	daemon_reload(d, &report, &err);
	json_decref(report.needs_restart);
	sd_notifyf(0, "READY=1");
}

static void on_changed(void *ctx, const char *text)
{
	const struct daemon *d = ctx;

	events_config(&d->events, text);
}

static void on_publish(void *ctx, json_t *event)
{
	struct daemon *d = ctx;

	if (d->server)
		server_publish(d->server, event);
}

static void on_port_is_new(void *ctx, const char *name)
{
	struct daemon *d = ctx;

	if (d->server)
		server_end_captures(d->server, name);
}

static int on_listen(void *ctx, const char *address, struct error *err)
{
	struct daemon *d = ctx;

	return metrics_listen(d->metrics, address, err);
}

static int on_socket(void *ctx, const char *path, struct error *err)
{
	struct daemon *d = ctx;

	if (d->socket_is_fixed)
		return 1;
	return d->server ? server_move(d->server, path, err) : 0;
}

static int on_rights(void *ctx, const char *group, const char *admin_group, struct error *err)
{
	struct daemon *d = ctx;

	return server_rights(d->server, group, admin_group, err);
}

static int on_wakeup(void *ctx, int32_t us, struct error *err)
{
	struct daemon *d = ctx;

	return d->wakeup ? wakeup_set(d->wakeup, us, err) : 0;
}

static struct event *every(struct daemon *d, uint64_t us, event_callback_fn fn)
{
	const struct timeval period = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};
	struct event *ev = event_new(d->base, -1, EV_PERSIST, fn, d);

	if (ev)
		evtimer_add(ev, &period);
	return ev;
}

static struct event *watch(struct daemon *d, int fd, short what, event_callback_fn fn)
{
	struct event *ev = event_new(d->base, fd, what | EV_PERSIST, fn, d);

	if (ev)
		event_add(ev, NULL);
	return ev;
}

int loop_start(struct daemon *d, const struct config *config, struct error *err)
{
	const struct running_hooks hooks = {
		d, on_listen, on_socket, on_rights, on_wakeup, on_changed};
	uint64_t us = 0;
	int rc;

	d->start_ns = now_ns();
	d->events = (struct events){d->sw, d, on_publish, on_port_is_new};
	d->metrics = metrics_new(d);
	d->health = health_new(d->sw);
	if (!d->metrics || !d->health)
		return error_set(err, -ENOMEM, "", "out of memory");
	metrics_listen_sometime(d->metrics, config->metrics_listen);
	rc = running_new(d->sw, config, &hooks, &d->running);
	if (rc < 0)
		return error_set(err, rc, "", "out of memory");
	d->saved = running_json(d->running);
	d->file = json_incref(config->json);
	d->tick = every(d, 1000000, on_tick);
	if (sd_watchdog_enabled(0, &us) > 0)
		d->watchdog = every(d, us / 3, on_watchdog);
	d->watchdog_us = us;
	d->switch_events = watch(d, switch_event_fd(d->sw), EV_READ, on_switch);
	d->signals[0] = watch(d, SIGTERM, EV_SIGNAL, on_end);
	d->signals[1] = watch(d, SIGINT, EV_SIGNAL, on_end);
	d->signals[2] = watch(d, SIGHUP, EV_SIGNAL, on_hangup);
	events_drain(&d->events);
	return 0;
}

void loop_run(struct daemon *d)
{
	sd_notifyf(0, "READY=1");
	event_base_dispatch(d->base);
}

void loop_stop(struct daemon *d)
{
	struct event *events[] = {d->tick, d->watchdog, d->switch_events};

	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i])
			event_free(events[i]);
	if (d->sw)
		switch_end(d->sw);
	metrics_free(d->metrics);
	running_free(d->running);
	health_free(d->health);
	json_decref(d->saved);
	json_decref(d->file);
	d->running = NULL;
	d->metrics = NULL;
	d->health = NULL;
	d->saved = NULL;
	d->file = NULL;
	// Last: whoever asks a second time to end must not stop the cleaning up.
	for (unsigned i = 0; i < sizeof(d->signals) / sizeof(d->signals[0]); i++)
		if (d->signals[i])
			event_free(d->signals[i]);
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
}
