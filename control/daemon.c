// SPDX-License-Identifier: BSD-2-Clause
// What the daemon does as a whole with its file: reading it again, and writing it.
#include "control/daemon.h"

#include "control/log.h"

#include <errno.h>
#include <stdlib.h>

// A file that says nothing is a right one, but more likely somebody is about to write it, or the disk was full.
static int refuse_nothing(const struct daemon *d, const struct config *config, struct error *err)
{
	if (json_object_size(config->json) || running_n_ports(d->running) == 0)
		return 0;
	return error_set(err, -EINVAL, "ports",
		"it is empty, or all of it is a comment; to remove all ports it has to say so: "
		"ports: []");
}

int daemon_reload(struct daemon *d, struct running_report *report, struct config_error *err)
{
	struct config *config;
	char text[700];
	size_t i;
	json_t *key;

	int rc = config_load(d->config_path, &config, err);
	if (rc == 0) {
		rc = refuse_nothing(d, config, &err->error);
		if (rc == 0)
			rc = running_apply(d->running, config, report, &err->error);
		if (rc == 0) {
			json_decref(d->saved);
			d->saved = running_json(d->running);
			json_decref(d->file);
			d->file = json_incref(config->json);
		}
		config_free(config);
	}
	if (rc < 0) {
		config_error_text(err, d->config_path, text, sizeof(text));
		log_msg(LOG_ERR, "", "nothing was reloaded: %s", text);
		return rc;
	}
	log_msg(LOG_NOTICE, "", "reloaded: %u ports added, %u removed, %u changed, %u unchanged",
		report->added, report->removed, report->changed, report->unchanged);
	json_array_foreach (report->needs_restart, i, key)
		log_msg(LOG_WARNING, "",
			"%s: what weftd was started with stays until it starts again",
			json_string_value(key));
	return 0;
}

bool daemon_file_changed(const struct daemon *d)
{
	struct config_error err;
	struct config *config;

	int rc = config_load(d->config_path, &config, &err);
	if (rc < 0)
		return rc == -EINVAL; // somebody is at it
	bool changed = json_object_size(config->json) && !json_equal(config->json, d->file);
	config_free(config);
	return changed;
}

int daemon_save(struct daemon *d, struct error *err)
{
	struct config *config;
	struct config_error lost;

	if (daemon_file_changed(d))
		return error_set(err, -ESTALE, "",
			"%s was changed since weftd read it: config reload takes that over; or "
			"move "
			"the file away and save again",
			d->config_path);
	json_t *json = running_json(d->running);
	char *yaml = config_yaml(json);
	int rc = yaml ? config_write(d->config_path, yaml, err) : -ENOMEM;
	free(yaml);
	if (rc < 0) {
		json_decref(json);
		return rc;
	}
	json_decref(d->saved);
	d->saved = json;
	json_decref(d->file);
	d->file = json_incref(json);
	if (config_load(d->config_path, &config, &lost) == 0) {
		json_decref(d->file);
		d->file = json_incref(config->json);
		config_free(config);
	}
	return 0;
}
