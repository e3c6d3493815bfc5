// SPDX-License-Identifier: BSD-2-Clause
// JSON-RPC 2.0, one object per line.
#include "control/rpc.h"

#include "control/api.h"
#include "control/client.h"

#include <string.h>

// A name of a file that is no UTF-8, or a word that was cut within a character, must not cost the rest.
static json_t *text_json(const char *text)
{
	char plain[sizeof(((struct error *)NULL)->text)];
	json_t *json = json_string(text);

	if (json)
		return json;
	snprintf(plain, sizeof(plain), "%s", text);
	for (char *p = plain; *p; p++)
		*p = (unsigned char)*p < 0x80 ? *p : '?';
	return json_string(plain);
}

static void reply_error(struct client *c, const json_t *id, const struct api_call *call)
{
	json_t *error =
		json_pack("{s:i, s:o}", "code", call->code, "message", text_json(call->error.text));
	json_t *data = json_object();

	if (*call->error.key)
		json_object_set_new(data, "key", text_json(call->error.key));
	if (call->file)
		json_object_set_new(data, "file", text_json(call->file));
	if (call->line) {
		json_object_set_new(data, "line", json_integer(call->line));
		json_object_set_new(data, "column", json_integer(call->column));
	}
	if (json_object_size(data))
		json_object_set(error, "data", data);
	json_decref(data);
	client_send(c, json_pack("{s:s, s:o, s:O}", "jsonrpc", "2.0", "error", error, "id",
			       id ? id : json_null()));
}

// `id` NULL: there was none that could be read.
static void refuse(struct client *c, const json_t *id, int code, const char *text)
{
	struct api_call call = {.code = code};

	snprintf(call.error.text, sizeof(call.error.text), "%s", text);
	reply_error(c, id, &call);
}

void rpc_refuse_line(struct client *c, size_t max)
{
	char text[80];

	snprintf(text, sizeof(text), "a request has at most %zu bytes", max);
	refuse(c, NULL, API_E_REQUEST, text);
}

void rpc_deny(struct client *c)
{
	refuse(c, NULL, API_E_DENIED,
		"permission denied: be root or a member of the group of api.group (usually weft)");
}

static void garbage(struct client *c, const json_t *id, int code, const char *text)
{
	refuse(c, id, code, text);
	if (++c->garbage >= CLIENT_GARBAGE)
		client_close(c);
}

static int run(const struct api_method *m, struct api_call *call)
{
	struct client *c = call->client;

	if (m->changes && !c->peer.may_change)
		return api_fail(call, API_E_DENIED, NULL,
			"%s changes the switch: be root or a member of the group of "
			"api.admin-group",
			m->name);
	if (api_check(m, call) < 0)
		return -1;
	return m->run(call);
}

static void dispatch(struct daemon *d, struct client *c, const char *method, const json_t *params,
	const json_t *id)
{
	struct api_call call = {.daemon = d, .client = c, .params = params};
	const struct api_method *m = api_find(method);
	const char *near;
	int rc;

	if (m) {
		rc = run(m, &call);
	} else {
		near = api_nearest(method);
		rc = api_fail(&call, API_E_METHOD, NULL, "unknown method '%.60s'%s%s%s", method,
			near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
	}
	if (!id) { // a notification: answered by nothing
		json_decref(call.result);
		return;
	}
	if (rc < 0)
		reply_error(c, id, &call);
	else
		client_send(c, json_pack("{s:s, s:o, s:O}", "jsonrpc", "2.0", "result",
				       call.result ? call.result : json_object(), "id", id));
}

void rpc_serve(struct daemon *d, struct client *c, const char *line, size_t len)
{
	json_error_t error;

	if (len == 0)
		return;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	if (!request) {
		char text[240];
		snprintf(text, sizeof(text), "not JSON: %.160s (column %d)", error.text,
			error.column);
		garbage(c, NULL, API_E_PARSE, text);
		return;
	}
	const json_t *method = json_object_get(request, "method");
	const char *version = json_string_value(json_object_get(request, "jsonrpc"));
	json_t *params = json_object_get(request, "params");
	const json_t *id = json_object_get(request, "id");
	// Who waits for the answer to this id gets it.
	const json_t *whose = json_is_string(id) || json_is_number(id) ? id : NULL;
	json_t *none = json_object();

	if (!json_is_object(request))
		garbage(c, NULL, API_E_REQUEST,
			"one object per line is expected; batches are not taken");
	else if (!version || strcmp(version, "2.0") != 0 || !json_is_string(method))
		garbage(c, whose, API_E_REQUEST, "expected are jsonrpc: \"2.0\" and a method");
	else if (id && !whose && !json_is_null(id))
		garbage(c, NULL, API_E_REQUEST, "id is a number or a text");
	else if (params && !json_is_object(params))
		garbage(c, whose, API_E_PARAMS, "params is an object: parameters have names");
	else
		dispatch(d, c, json_string_value(method), params ? params : none, id);
	json_decref(none);
	json_decref(request);
}
