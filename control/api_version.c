// SPDX-License-Identifier: BSD-2-Clause
// API: what runs here, and what it understands.
#include "control/api.h"

#include "control/daemon.h"
#include "control/now.h"

#include <unistd.h>

#define API_VERSION 1

static int show(struct api_call *call)
{
	uint64_t up = now_ns() - call->daemon->start_ns;

	call->result = json_pack("{s:s, s:i, s:i, s:I}", "version", WEFT_VERSION, "api",
		API_VERSION, "pid", (int)getpid(), "uptime", (json_int_t)(up / 1000000000));
	return 0;
}

static json_t *params_json(const struct api_param *list)
{
	json_t *json = json_array();

	for (const struct api_param *p = list; p && p->name; p++)
		json_array_append_new(json, json_pack("{s:s, s:s, s:b, s:s}", "name", p->name,
						    "type", api_type_name(p->type), "required",
						    (int)p->required, "help", p->help));
	return json;
}

static int show_api(struct api_call *call)
{
	json_t *list = json_array();

	for (const struct api_method *const *noun = api_nouns; *noun; noun++)
		for (const struct api_method *m = *noun; m->name; m++)
			json_array_append_new(list,
				json_pack("{s:s, s:s, s:b, s:o, s:o}", "method", m->name, "help",
					m->help, "changes", (int)m->changes, "params",
					params_json(m->params), "result", params_json(m->result)));
	call->result =
		json_pack("{s:o, s:o}", "methods", list, "configuration", config_schema_json());
	return 0;
}

static const struct api_param fields[] = {{"version", API_TEXT, true, "version of weftd"},
	{"api", API_NUMBER, true, "version of the API; a change that breaks clients raises it"},
	{"pid", API_NUMBER, true, "process id of weftd"},
	{"uptime", API_NUMBER, true, "seconds since it started"}, {NULL}};
static const struct api_param api_fields[] = {
	{"methods", API_LIST, true, "method, help, changes, params, result"},
	{"configuration", API_GROUP, true, "the schema of the configuration: kind, help, keys"},
	{NULL}};

const struct api_method api_version_methods[] = {
	{.name = "version.show",
		.help = "Version of the daemon and of the API.",
		.result = fields,
		.example = "{}",
		.run = show},
	{.name = "api.show",
		.help = "This description: methods, and keys of the configuration.",
		.result = api_fields,
		.example = "{}",
		.run = show_api},
	{NULL},
};
