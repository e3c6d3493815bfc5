// SPDX-License-Identifier: BSD-2-Clause
// What a port says about itself, as JSON.
#include "control/describe.h"

#include <stdbool.h>

#define DEPTH_MAX 8

// Objects and lists that are open, outermost first; they are borrowed from the outermost.
struct nest {
	json_t *open[DEPTH_MAX];
	unsigned depth, too_deep;
};

static json_t *put(struct nest *n, const char *key, json_t *value)
{
	json_t *to = n->open[n->depth - 1];

	if (!value)
		value = json_string("(not UTF-8)");
	if (n->too_deep)
		json_decref(value);
	else if (json_is_array(to))
		json_array_append_new(to, value);
	else
		json_object_set_new(to, key ? key : "", value);
	return value;
}

static void str(void *ctx, const char *key, const char *value)
{
	put(ctx, key, json_string(value ? value : ""));
}

static void num(void *ctx, const char *key, uint64_t value)
{
	put(ctx, key, json_integer((json_int_t)value));
}

static void flag(void *ctx, const char *key, bool value)
{
	put(ctx, key, json_boolean(value));
}

static void enter(struct nest *n, const char *key, json_t *value)
{
	if (n->too_deep || n->depth == DEPTH_MAX) {
		n->too_deep++;
		json_decref(value);
		return;
	}
	n->open[n->depth] = put(n, key, value);
	n->depth++;
}

static void open_object(void *ctx, const char *key)
{
	enter(ctx, key, json_object());
}

static void open_list(void *ctx, const char *key)
{
	enter(ctx, key, json_array());
}

static void close_last(void *ctx)
{
	struct nest *n = ctx;

	if (n->too_deep)
		n->too_deep--;
	else if (n->depth > 1)
		n->depth--;
}

json_t *describe_port(struct sw *sw, const char *name)
{
	struct nest n = {.open = {json_object()}, .depth = 1};
	const struct describer to = {&n, str, num, flag, open_object, open_list, close_last};

	if (switch_port_describe(sw, name, &to) < 0) {
		json_decref(n.open[0]);
		return NULL;
	}
	return n.open[0];
}
