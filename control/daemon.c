// SPDX-License-Identifier: BSD-2-Clause
// What the daemon does as a whole: reading its file again.
#include "control/daemon.h"

#include "control/log.h"

int daemon_reload(struct daemon *d, struct running_report *report, struct config_error *err)
{
	struct config *config;
	char text[700];
	size_t i;
	json_t *key;

	int rc = config_load(d->config_path, &config, err);
	if (rc == 0) {
		rc = running_apply(d->running, config, report, &err->error);
		if (rc == 0) {
			json_decref(d->saved);
			d->saved = running_json(d->running);
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
