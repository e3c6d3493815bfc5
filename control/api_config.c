// SPDX-License-Identifier: BSD-2-Clause
// API: the configuration as a whole.
#include "control/api.h"

#include "control/daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// `file` is what was read; NULL: no file.
static int fail_config(
	struct api_call *call, const struct config_error *err, const char *file, int rc)
{
	call->error = err->error;
	call->file = file;
	call->line = err->line;
	call->column = err->column;
	return api_fail_rc(call, rc);
}

static int show(struct api_call *call)
{
	const struct daemon *d = call->daemon;
	json_t *json = running_json(d->running);
	char *yaml = config_yaml(json);
	bool saved = json_equal(json, d->saved) && !daemon_file_changed(d);

	call->result = json_pack("{s:s, s:b, s:o, s:s}", "file", d->config_path, "saved",
		(int)saved, "config", json, "yaml", yaml ? yaml : "");
	free(yaml);
	return 0;
}

// The configuration that the request has as its text, or the daemon's file.
static int load(struct api_call *call, struct config **config)
{
	const char *text = api_text(call, "text");
	struct config_error err;
	int rc;

	rc = text ? config_parse(text, strlen(text), config, &err)
		  : config_load(call->daemon->config_path, config, &err);
	return rc < 0 ? fail_config(call, &err, text ? NULL : call->daemon->config_path, rc) : 0;
}

static int diff(struct api_call *call)
{
	struct config *config;

	if (load(call, &config) < 0)
		return -1;
	call->result = running_diff(call->daemon->running, config);
	config_free(config);
	return 0;
}

static int check(struct api_call *call)
{
	struct config *config;

	if (load(call, &config) < 0)
		return -1;
	call->result = json_pack("{s:I, s:I}", "ports", (json_int_t)config->n_ports, "workers",
		(json_int_t)config->sw.n_workers);
	config_free(config);
	return 0;
}

static int save(struct api_call *call)
{
	struct daemon *d = call->daemon;
	int rc = daemon_save(d, &call->error);

	if (rc < 0)
		return api_fail_rc(call, rc);
	call->result = json_pack("{s:s}", "file", d->config_path);
	return 0;
}

static json_t *report_json(struct running_report *r)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "added", (json_int_t)r->added, "removed",
		(json_int_t)r->removed, "changed", (json_int_t)r->changed, "unchanged",
		(json_int_t)r->unchanged, "failed", (json_int_t)r->failed, "needs_restart",
		r->needs_restart);
}

static int reload(struct api_call *call)
{
	struct running_report report;
	struct config_error err;
	int rc = daemon_reload(call->daemon, &report, &err);

	if (rc < 0)
		return fail_config(call, &err, call->daemon->config_path, rc);
	call->result = report_json(&report);
	return 0;
}

static int set(struct api_call *call)
{
	struct running *r = call->daemon->running;
	struct running_report report;
	struct config_error err;
	struct config *config = NULL;

	json_t *json = running_json(r);
	running_merge(json, call->params);
	int rc = config_from_json(json, &config, &err);
	json_decref(json);
	if (rc < 0)
		return fail_config(call, &err, NULL, rc);
	rc = running_apply(r, config, &report, &call->error);
	config_free(config);
	if (rc < 0)
		return api_fail_rc(call, rc);
	call->result = report_json(&report);
	return 0;
}

static const struct api_param show_fields[] = {
	{"file", API_TEXT, true, "the file that weftd was started with"},
	{"saved", API_FLAG, true,
		"false: what runs, or the file, has changed since it was read or written last"},
	{"config", API_GROUP, true, "the running configuration"},
	{"yaml", API_TEXT, true, "the same as YAML text"}, {NULL}};
static const struct api_param check_params[] = {
	{"text", API_TEXT, false, "YAML text to check; default: the daemon's file"}, {NULL}};
static const struct api_param check_fields[] = {
	{"ports", API_NUMBER, true, "how many ports it has"},
	{"workers", API_NUMBER, true, "how many workers it names"}, {NULL}};
static const struct api_param diff_params[] = {
	{"text", API_TEXT, false, "YAML text to compare; default: the daemon's file"}, {NULL}};
static const struct api_param diff_fields[] = {
	{"change", API_TEXT, true, "added, removed or changed"},
	{"port", API_PORT, false, "the port; without it, settings that are not of one port"},
	{"keys", API_LIST, false, "the keys that differ, where something is changed"}, {NULL}};
static const struct api_param save_fields[] = {
	{"file", API_TEXT, true, "the file that was replaced"}, {NULL}};
static const struct api_param report_fields[] = {{"added", API_NUMBER, true, "ports that are new"},
	{"removed", API_NUMBER, true, "ports that are gone"},
	{"changed", API_NUMBER, true, "ports that were changed"},
	{"unchanged", API_NUMBER, true, "ports that were left alone"},
	{"failed", API_NUMBER, true, "ports that could not be opened; they are tried again"},
	{"needs_restart", API_LIST, true,
		"keys that count when weftd starts again: privileges; with -s, api.socket"},
	{NULL}};

const struct api_method api_config_methods[] = {
	{.name = "config.show",
		.help = "The running configuration, as the file would say it.",
		.result = show_fields,
		.example = "{}",
		.run = show},
	{.name = "config.check",
		.help = "Checks a configuration and changes nothing.",
		.params = check_params,
		.result = check_fields,
		.errors = "-32602 with key, line and column of the first error, and the file "
			  "unless it "
			  "is the text",
		.example = "{\"text\": \"ports: []\"}",
		.run = check},
	{.name = "config.diff",
		.help = "What config.reload would change; changes nothing.",
		.params = diff_params,
		.list = true,
		.result = diff_fields,
		.errors = "-32602 with key, line and column of the first error",
		.example = "{}",
		.run = diff},
	{.name = "config.set",
		.help = "Merges keys into the running configuration and applies the difference; "
			"null "
			"gives a key its default.",
		.changes = true,
		.config_keys = true,
		.result = report_fields,
		.errors = "4 a setting cannot be applied: nothing changes",
		.example = "{\"fdb\": {\"age\": 600}, \"log\": {\"level\": \"debug\"}}",
		.run = set},
	{.name = "config.save",
		.help = "Writes the running configuration to the daemon's file, whole or not at "
			"all.",
		.changes = true,
		.result = save_fields,
		.errors = "4 the file cannot be written, or somebody has changed it since weftd "
			  "read it",
		.example = "{}",
		.run = save},
	{.name = "config.reload",
		.help = "Reads the daemon's file again and applies the difference only; a file "
			"with "
			"an error changes nothing, nor does one that says nothing.",
		.changes = true,
		.result = report_fields,
		.errors = "-32602 with file, key, line and column of the first error",
		.example = "{}",
		.run = reload},
	{NULL},
};
