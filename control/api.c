// SPDX-License-Identifier: BSD-2-Clause
// Finding methods and checking their parameters against the description.
#include "control/api.h"

#include "common/suggest.h"
#include "control/config_schema.h"
#include "control/config_value.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct api_method *const api_nouns[] = {
	api_version_methods,
	api_port_methods,
	api_fdb_methods,
	api_vlan_methods,
	api_stats_methods,
	api_worker_methods,
	api_health_methods,
	api_config_methods,
	api_monitor_methods,
	api_capture_methods,
	NULL,
};

const struct api_method *api_find(const char *name)
{
	for (const struct api_method *const *noun = api_nouns; *noun; noun++)
		for (const struct api_method *m = *noun; m->name; m++)
			if (strcmp(m->name, name) == 0)
				return m;
	return NULL;
}

const char *api_nearest(const char *name)
{
	struct suggest s;

	suggest_init(&s, name);
	for (const struct api_method *const *noun = api_nouns; *noun; noun++)
		for (const struct api_method *m = *noun; m->name; m++)
			suggest_offer(&s, m->name);
	return s.best;
}

const char *api_type_name(enum api_type type)
{
	static const char *const names[] = {[API_TEXT] = "text",
		[API_NUMBER] = "number",
		[API_FLAG] = "true or false",
		[API_LIST] = "list",
		[API_GROUP] = "object",
		[API_PORT] = "port name",
		[API_MAC] = "MAC address",
		[API_VLAN] = "VLAN 1..4094"};

	return names[type];
}

int api_fail(struct api_call *call, int code, const char *key, const char *fmt, ...)
{
	va_list ap;

	call->code = code;
	snprintf(call->error.key, sizeof(call->error.key), "%s", key ? key : "");
	va_start(ap, fmt);
	vsnprintf(call->error.text, sizeof(call->error.text), fmt, ap);
	va_end(ap);
	return -1;
}

int api_fail_rc(struct api_call *call, int rc)
{
	switch (-rc) {
	case ENOENT:
		call->code = API_E_NOT_FOUND;
		break;
	case EEXIST:
		call->code = API_E_EXISTS;
		break;
	case EINVAL:
		call->code = API_E_PARAMS;
		break;
	case EBUSY:
		call->code = API_E_BUSY;
		break;
	default:
		call->code = API_E_REFUSED;
	}
	if (!*call->error.text)
		snprintf(call->error.text, sizeof(call->error.text), "%s", strerror(-rc));
	return -1;
}

static int wrong_type(struct api_call *call, const struct api_param *p, const json_t *v)
{
	const bool is_long = json_is_object(v) || json_is_array(v);
	char *said = is_long ? NULL : json_dumps(v, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

	api_fail(call, API_E_PARAMS, p->name, "%s: %s%s is expected%s%s%.60s", p->name,
		p->type == API_GROUP  ? "an "
		: p->type == API_FLAG ? ""
				      : "a ",
		api_type_name(p->type), p->type == API_MAC ? ", such as 52:54:00:00:00:01" : "",
		said ? ", not " : "", said ? said : "");
	free(said);
	return -1;
}

static int check_type(struct api_call *call, const struct api_param *p, const json_t *v)
{
	json_int_t n = json_integer_value(v);
	uint8_t mac[6];
	bool good = false;

	switch (p->type) {
	case API_TEXT:
	case API_PORT:
		good = json_is_string(v);
		break;
	case API_NUMBER:
		good = json_is_integer(v) && n >= 0 && n <= UINT32_MAX;
		break;
	case API_VLAN:
		good = json_is_integer(v) && n >= 1 && n <= VLAN_N - 2;
		break;
	case API_MAC:
		good = json_is_string(v) && value_mac(json_string_value(v), mac) == 0;
		break;
	case API_FLAG:
		good = json_is_boolean(v);
		break;
	case API_LIST:
		good = json_is_array(v);
		break;
	case API_GROUP:
		good = json_is_object(v);
		break;
	}
	if (good)
		return 0;
	return wrong_type(call, p, v);
}

static const struct api_param *param_find(const struct api_param *list, const char *name)
{
	for (const struct api_param *p = list; p && p->name; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

static bool is_schema_key(const struct api_method *m, const char *key)
{
	const struct cyaml_schema_value *schema = &conf_schema;

	if (!m->port_keys && !m->config_keys)
		return false;
	if (m->port_keys)
		schema = &conf_port_schema;
	for (const struct cyaml_schema_field *f = schema->mapping.fields; f->key; f++)
		if (strcmp(f->key, key) == 0)
			return true;
	return false;
}

static int unknown_param(const struct api_method *m, struct api_call *call, const char *key)
{
	struct suggest s;

	suggest_init(&s, key);
	for (const struct api_param *p = m->params; p && p->name; p++)
		suggest_offer(&s, p->name);
	if (m->port_keys)
		for (const struct cyaml_schema_field *f = conf_port_schema.mapping.fields; f->key;
			f++)
			suggest_offer(&s, f->key);
	if (m->config_keys)
		for (const struct cyaml_schema_field *f = conf_schema.mapping.fields; f->key; f++)
			suggest_offer(&s, f->key);
	return api_fail(call, API_E_PARAMS, key, "%s: unknown key '%.64s'%s%s%s", m->name, key,
		s.best ? ", did you mean '" : "", s.best ? s.best : "", s.best ? "'?" : "");
}

int api_check(const struct api_method *m, struct api_call *call)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)call->params, key, v) {
		const struct api_param *p = param_find(m->params, key);
		if (!p && !is_schema_key(m, key))
			return unknown_param(m, call, key);
		if (p && check_type(call, p, v) < 0)
			return -1;
	}
	for (const struct api_param *p = m->params; p && p->name; p++)
		if (p->required && !json_object_get(call->params, p->name))
			return api_fail(call, API_E_PARAMS, p->name,
				"%s: the key '%s' is missing: %s", m->name, p->name, p->help);
	return 0;
}

const char *api_text(const struct api_call *call, const char *name)
{
	return json_string_value(json_object_get(call->params, name));
}

uint32_t api_number(const struct api_call *call, const char *name)
{
	return (uint32_t)json_integer_value(json_object_get(call->params, name));
}

bool api_mac(const struct api_call *call, const char *name, uint8_t mac[6])
{
	const char *text = api_text(call, name);

	return text && value_mac(text, mac) == 0;
}
