// SPDX-License-Identifier: BSD-2-Clause
// The running configuration: workers that come, go and move, as changes of the list in the file.
#include "control/running_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

// The workers that run, as the file lists them.
static json_t *workers_json(const struct running *r)
{
	json_t *list = json_array();
	struct switch_worker w;

	for (uint32_t i = 0; switch_worker_get(r->sw, i, &w) == 0; i++)
		json_array_append_new(list, json_pack("{s:i}", "core", (int)w.core));
	return list;
}

// The configuration with this list of workers, which is taken over.
static int apply(struct running *r, json_t *json, struct error *err)
{
	struct running_report report = {.needs_restart = NULL};
	struct config_error cerr;
	struct config *config = NULL;

	int rc = config_from_json(json, &config, &cerr);
	json_decref(json);
	if (rc < 0) {
		*err = cerr.error;
		return rc;
	}
	rc = running_make(r, config, &report, err);
	json_decref(report.needs_restart);
	config_free(config);
	return rc;
}

static json_t *with_workers(const struct running *r, json_t *workers)
{
	json_t *json = running_json(r);

	json_object_set_new(json, "workers", workers);
	return json;
}

static int check_worker(const struct running *r, uint32_t worker, struct error *err)
{
	const uint32_t n = switch_n_workers(r->sw);

	if (worker < n)
		return 0;
	return error_set(err, -EINVAL, "worker", "worker: there is no worker %u; the last is %u",
		worker, n - 1);
}

static void tell(struct running *r, const char *fmt, uint32_t a, uint32_t b)
{
	char text[96];

	snprintf(text, sizeof(text), fmt, a, b);
	running_changed(r, "%s", text);
}

int running_worker_add(struct running *r, uint32_t core, struct error *err)
{
	const uint32_t n = switch_n_workers(r->sw);
	json_t *list = workers_json(r);

	json_array_append_new(list, json_pack("{s:I}", "core", (json_int_t)core));
	int rc = apply(r, with_workers(r, list), err);
	if (rc == 0)
		tell(r, "worker %u was added on core %u", n, core);
	return rc;
}

// Who takes over from a worker that goes, by the numbers without it: the one with fewest queues.
static uint32_t successor(const struct running *r, uint32_t gone, uint32_t *load)
{
	uint32_t best = gone == 0;

	for (uint32_t i = 0; i < switch_n_workers(r->sw); i++)
		if (i != gone && load[i] < load[best])
			best = i;
	load[best]++;
	return best - (best > gone);
}

// A port's list of workers once `gone` has left.
static void renumber(const struct running *r, json_t *list, uint32_t gone, uint32_t *load)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const uint32_t w = (uint32_t)json_integer_value(json_array_get(list, i));
		const uint32_t to = w == gone ? successor(r, gone, load) : w - (w > gone);
		json_array_set_new(list, i, json_integer(to));
	}
}

int running_worker_del(struct running *r, uint32_t worker, struct error *err)
{
	uint32_t load[WORKERS_MAX] = {0};
	struct switch_worker w;
	size_t i;
	json_t *port;

	int rc = check_worker(r, worker, err);
	if (rc < 0)
		return rc;
	if (switch_n_workers(r->sw) == 1)
		return error_set(err, -EBUSY, "worker",
			"worker: the last one cannot be removed; 'worker set %u core N' moves it",
			worker);
	for (uint32_t n = 0; switch_worker_get(r->sw, n, &w) == 0; n++)
		load[n] = w.n_rxq;
	json_t *list = workers_json(r);
	json_array_remove(list, worker);
	json_t *json = with_workers(r, list),
	       *ports = json_deep_copy(json_object_get(json, "ports"));
	json_array_foreach (ports, i, port)
		renumber(r, json_object_get(port, "workers"), worker, load);
	json_object_set_new(json, "ports", ports);
	rc = apply(r, json, err);
	if (rc == 0)
		tell(r, "worker %u was removed; %u are left", worker, switch_n_workers(r->sw));
	return rc;
}

int running_worker_move(struct running *r, uint32_t worker, uint32_t core, struct error *err)
{
	int rc = check_worker(r, worker, err);

	if (rc < 0)
		return rc;
	json_t *list = workers_json(r);
	json_array_set_new(list, worker, json_pack("{s:I}", "core", (json_int_t)core));
	rc = apply(r, with_workers(r, list), err);
	if (rc == 0)
		tell(r, "worker %u moved to core %u", worker, core);
	return rc;
}
