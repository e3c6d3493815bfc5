// SPDX-License-Identifier: BSD-2-Clause
// The running configuration: settings that are not of one port, applied as a whole or not at all.
#include "control/log.h"
#include "control/privileges.h"
#include "control/running_internal.h"

#include <stdio.h>
#include <string.h>

// Value of a dotted path of at most two parts.
static const json_t *at(const json_t *json, const char *path)
{
	const char *dot = strchr(path, '.');
	char first[32];

	if (!dot)
		return json_object_get(json, path);
	snprintf(first, sizeof(first), "%.*s", (int)(dot - path), path);
	return json_object_get(json_object_get(json, first), dot + 1);
}

static bool differs(const json_t *a, const json_t *b, const char *path)
{
	const json_t *x = at(a, path), *y = at(b, path);

	return x != y && !(x && y && json_equal(x, y));
}

static int apply_listen(struct running *r, const struct config *c, struct error *err)
{
	const struct running_hooks *h = &r->hooks;

	return h->listen ? h->listen(h->ctx, c->metrics_listen, err) : 0;
}

static int apply_socket(struct running *r, const struct config *c, struct error *err)
{
	const struct running_hooks *h = &r->hooks;

	return h->socket ? h->socket(h->ctx, c->api_socket, err) : 0;
}

static int apply_rights(struct running *r, const struct config *c, struct error *err)
{
	const struct running_hooks *h = &r->hooks;

	return h->rights ? h->rights(h->ctx, c->api_group, c->api_admin_group, err) : 0;
}

static int apply_wakeup(struct running *r, const struct config *c, struct error *err)
{
	const struct running_hooks *h = &r->hooks;

	return h->wakeup ? h->wakeup(h->ctx, c->wakeup_us, err) : 0;
}

// Each thread has rights of its own, so they are given up before there are threads, once.
static int apply_privileges(struct running *r, const struct config *c, struct error *err)
{
	return 1;
}

static int apply_log(struct running *r, const struct config *c, struct error *err)
{
	log_set_level(c->log_level);
	return 0;
}

static int apply_age(struct running *r, const struct config *c, struct error *err)
{
	return switch_set_age(r->sw, c->sw.age_s ? c->sw.age_s : 300);
}

static int apply_idle(struct running *r, const struct config *c, struct error *err)
{
	return switch_set_idle(r->sw, c->sw.idle_poll, c->sw.idle_us, err);
}

static int apply_patience(struct running *r, const struct config *c, struct error *err)
{
	return switch_set_patience(r->sw, c->sw.patience_us, err);
}

static int apply_fdb_max(struct running *r, const struct config *c, struct error *err)
{
	return switch_set_fdb_max(r->sw, c->sw.fdb_max, err);
}

struct set_workers {
	struct sw *sw;
	const struct switch_config *config;
	struct error *err;
};

static int set_workers(void *ctx)
{
	const struct set_workers *s = ctx;

	return switch_set_workers(s->sw, s->config->cores, s->config->n_workers, s->err);
}

static int apply_workers(struct running *r, const struct config *c, struct error *err)
{
	struct set_workers s = {r->sw, &c->sw, err};

	// Workers are born without capabilities.
	*err = (struct error){.key = ""};
	int rc = privileges_without(set_workers, &s);
	return rc < 0 && !*err->text ? error_set(err, rc, "workers", "workers: %s", strerror(-rc))
				     : rc;
}

// What is most likely to be refused comes first.
static const struct step {
	const char *keys[2];
	// 0; 1: not while this process runs; or -errno with *err filled and nothing changed.
	int (*apply)(struct running *r, const struct config *c, struct error *err);
} steps[] = {
	{{"metrics.listen"}, apply_listen},
	{{"api.socket"}, apply_socket},
	{{"wakeup-us"}, apply_wakeup},
	{{"fdb.max"}, apply_fdb_max},
	{{"workers"}, apply_workers},
	{{"idle", "idle-us"}, apply_idle},
	{{"patience-us"}, apply_patience},
	// Clients are disconnected by it: what may be refused comes before.
	{{"api.group", "api.admin-group"}, apply_rights},
	{{"fdb.age"}, apply_age},
	{{"log.level"}, apply_log},
	{{"privileges"}, apply_privileges},
};
#define N_STEPS (sizeof(steps) / sizeof(steps[0]))

static bool step_is_due(const struct step *step, const json_t *old, const json_t *new)
{
	return differs(old, new, step->keys[0]) ||
	       (step->keys[1] && differs(old, new, step->keys[1]));
}

// Applies what was before to the first n steps, the last first.
static void take_back(struct running *r, const struct config *config, unsigned n)
{
	struct config_error err;
	struct config *old;

	if (config_from_json(r->base, &old, &err) < 0) {
		log_msg(LOG_ERR, "", "the settings before cannot be restored: %s", err.error.text);
		return;
	}
	while (n--)
		if (step_is_due(&steps[n], r->base, config->json) &&
			steps[n].apply(r, old, &err.error) < 0)
			log_msg(LOG_ERR, "", "%s cannot be restored: %s", steps[n].keys[0],
				err.error.text);
	config_free(old);
}

int running_settings_apply(struct running *r, const struct config *config,
	struct running_report *report, struct error *err)
{
	for (unsigned i = 0; i < N_STEPS; i++) {
		if (!step_is_due(&steps[i], r->base, config->json))
			continue;
		int rc = steps[i].apply(r, config, err);
		if (rc > 0)
			json_array_append_new(report->needs_restart, json_string(steps[i].keys[0]));
		if (rc < 0) {
			take_back(r, config, i);
			return rc;
		}
	}
	return 0;
}
