// SPDX-License-Identifier: BSD-2-Clause
// YAML text as checked JSON. libcyaml loads structs but tells little about what is wrong; this walk
// of its schema beside libyaml's document tells the line, the key, and what was expected.
#include "control/config_tree.h"

#include "common/suggest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define PATH_MAX_LEN 160

struct config_tree {
	yaml_document_t doc;
	json_t *json;
};

// Where the walk is: the path that people read (with indexes) and the one in conf_keys.
struct place {
	char path[PATH_MAX_LEN];
	char key[PATH_MAX_LEN];
};

struct walk {
	yaml_document_t *doc;
	struct config_error *err;
	unsigned nodes; // visited so far: aliases could make a small text a huge tree
};

#define DEPTH_MAX 32u // far more than any schema of ours has
#define NODES_MAX 200000

static int walk_value(struct walk *w, yaml_node_t *node, const struct cyaml_schema_value *schema,
	const struct place *at, json_t **out);

__attribute__((format(printf, 4, 5))) static int wrong(
	struct walk *w, const yaml_node_t *node, const struct place *at, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w->err->line = node->start_mark.line + 1;
	w->err->column = node->start_mark.column + 1;
	return error_set(
		&w->err->error, -EINVAL, at->path, "%s%s%s", at->path, *at->path ? ": " : "", text);
}

static const char *kind_of(const yaml_node_t *node, char *buf, size_t size)
{
	if (node->type == YAML_MAPPING_NODE)
		return "a group of keys";
	if (node->type == YAML_SEQUENCE_NODE)
		return "a list";
	const char *value = (const char *)node->data.scalar.value;
	if (!*value && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return "nothing";
	snprintf(buf, size, "'%.60s'", value);
	return buf;
}

static int wrong_kind(
	struct walk *w, const yaml_node_t *node, const struct place *at, const char *expected)
{
	const struct conf_key *k = conf_key_find(at->key);
	char buf[80];

	return wrong(w, node, at, "%s is expected%s%s, not %s", expected,
		k && k->example ? ", such as " : "", k && k->example ? k->example : "",
		kind_of(node, buf, sizeof(buf)));
}

static void place_key(struct place *to, const struct place *from, const char *key)
{
	snprintf(to->path, sizeof(to->path), "%.80s%s%.64s", from->path, *from->path ? "." : "",
		key);
	snprintf(to->key, sizeof(to->key), "%.80s%s%.64s", from->key, *from->key ? "." : "", key);
}

static void place_index(struct place *to, const struct place *from, size_t i)
{
	snprintf(to->path, sizeof(to->path), "%.120s[%zu]", from->path, i);
	memcpy(to->key, from->key, sizeof(to->key));
}

static const struct cyaml_schema_field *field_find(
	const struct cyaml_schema_value *schema, const char *key)
{
	for (const struct cyaml_schema_field *f = schema->mapping.fields; f->key; f++)
		if (strcmp(f->key, key) == 0)
			return f;
	return NULL;
}

static int unknown_key(struct walk *w, const yaml_node_t *node,
	const struct cyaml_schema_value *schema, const struct place *at, const char *key)
{
	struct place full;
	struct suggest s;
	char known[300] = "";

	place_key(&full, at, key);
	suggest_init(&s, key);
	for (const struct cyaml_schema_field *f = schema->mapping.fields; f->key; f++) {
		size_t n = strlen(known);
		snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "", f->key);
		suggest_offer(&s, f->key);
	}
	if (s.best)
		return wrong(
			w, node, &full, "unknown key '%.64s', did you mean '%s'?", key, s.best);
	return wrong(w, node, &full, "unknown key '%.64s'; known are: %s", key, known);
}

static int walk_mapping(struct walk *w, yaml_node_t *node, const struct cyaml_schema_value *schema,
	const struct place *at, json_t **out)
{
	const struct cyaml_schema_field *f;
	struct place here;
	int rc = 0;

	if (node->type != YAML_MAPPING_NODE)
		return wrong_kind(w, node, at, "a group of keys");
	json_t *object = json_object();
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start;
		rc == 0 && p < node->data.mapping.pairs.top; p++) {
		yaml_node_t *k = yaml_document_get_node(w->doc, p->key);
		yaml_node_t *v = yaml_document_get_node(w->doc, p->value);
		json_t *value = NULL;
		if (k->type != YAML_SCALAR_NODE) {
			rc = wrong(w, k, at, "a key must be a word");
			break;
		}
		const char *key = (const char *)k->data.scalar.value;
		f = field_find(schema, key);
		place_key(&here, at, f ? f->key : "");
		if (!f)
			rc = unknown_key(w, k, schema, at, key);
		else if (json_object_get(object, key))
			rc = wrong(w, k, &here, "the key is there twice");
		else
			rc = walk_value(w, v, &f->value, &here, &value);
		if (rc == 0)
			json_object_set_new(object, key, value);
	}
	for (f = schema->mapping.fields; rc == 0 && f->key; f++) {
		if ((f->value.flags & CYAML_FLAG_OPTIONAL) || json_object_get(object, f->key))
			continue;
		place_key(&here, at, f->key);
		const struct conf_key *k = conf_key_find(here.key);
		rc = wrong(w, node, &here, "the key is missing: %s", k ? k->help : f->key);
	}
	if (rc < 0)
		json_decref(object);
	else
		*out = object;
	return rc;
}

static int walk_list(struct walk *w, yaml_node_t *node, const struct cyaml_schema_value *entry,
	uint32_t max, const struct place *at, json_t **out)
{
	struct place here;
	int rc = 0;

	if (node->type != YAML_SEQUENCE_NODE)
		return wrong_kind(w, node, at, "a list");
	size_t n = node->data.sequence.items.top - node->data.sequence.items.start;
	if (n > max)
		return wrong(w, node, at, "at most %u entries, not %zu", max, n);
	const struct conf_key *k = conf_key_find(at->key);
	if (n == 0 && k && k->min)
		return wrong(w, node, at, "the list is empty");
	json_t *list = json_array();
	for (size_t i = 0; rc == 0 && i < n; i++) {
		json_t *value = NULL;
		place_index(&here, at, i);
		rc = walk_value(w,
			yaml_document_get_node(w->doc, node->data.sequence.items.start[i]), entry,
			&here, &value);
		if (rc == 0)
			json_array_append_new(list, value);
	}
	if (rc < 0)
		json_decref(list);
	else
		*out = list;
	return rc;
}

// Only digits: neither signs, octal nor hexadecimal, about which readers of YAML disagree.
static int walk_number(struct walk *w, yaml_node_t *node, const struct cyaml_schema_value *schema,
	const struct place *at, json_t **out)
{
	const struct conf_key *k = conf_key_find(at->key);
	const char *text = (const char *)node->data.scalar.value;
	uint64_t max = k && k->max ? k->max : UINT32_MAX, min = k ? k->min : 0;
	char buf[80];

	unsigned long long v = strtoull(text, NULL, 10);
	if (!*text || strspn(text, "0123456789") != strlen(text) || strlen(text) > 15 || v < min ||
		v > max)
		return wrong(w, node, at, "a number from %llu to %llu is expected, not %s",
			(unsigned long long)min, (unsigned long long)max,
			kind_of(node, buf, sizeof(buf)));
	*out = json_integer((json_int_t)v);
	return 0;
}

static int walk_bool(struct walk *w, yaml_node_t *node, const struct place *at, json_t **out)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
	const char *text = (const char *)node->data.scalar.value;
	char buf[80];

	for (unsigned i = 0; i < 6; i++) {
		if (strcmp(text, words[i]) == 0) {
			*out = json_boolean(i & 1);
			return 0;
		}
	}
	return wrong(
		w, node, at, "true or false is expected, not %s", kind_of(node, buf, sizeof(buf)));
}

static int walk_choice(struct walk *w, yaml_node_t *node, const struct cyaml_schema_value *schema,
	const struct place *at, json_t **out)
{
	const char *text = (const char *)node->data.scalar.value;
	char known[300] = "", buf[80];
	struct suggest s;

	suggest_init(&s, text);
	for (uint32_t i = 0; i < schema->enumeration.count; i++) {
		const char *name = schema->enumeration.strings[i].str;
		size_t n = strlen(known);
		if (strcmp(text, name) == 0) {
			*out = json_string(name);
			return 0;
		}
		suggest_offer(&s, name);
		snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "", name);
	}
	if (s.best)
		return wrong(w, node, at, "one of %s is expected, not '%.60s'; did you mean '%s'?",
			known, text, s.best);
	return wrong(w, node, at, "one of %s is expected, not %s", known,
		kind_of(node, buf, sizeof(buf)));
}

static int walk_text(struct walk *w, yaml_node_t *node, const struct cyaml_schema_value *schema,
	const struct place *at, json_t **out)
{
	const char *text = (const char *)node->data.scalar.value;

	if (!*text && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return wrong_kind(w, node, at, "a value");
	if (strlen(text) != node->data.scalar.length ||
		node->data.scalar.length > schema->string.max)
		return wrong(w, node, at, "at most %u characters, and none of them zero",
			schema->string.max);
	*out = json_string(text);
	return *out ? 0 : wrong(w, node, at, "the text is not UTF-8");
}

static int walk_value(struct walk *w, yaml_node_t *node, const struct cyaml_schema_value *schema,
	const struct place *at, json_t **out)
{
	if (++w->nodes > NODES_MAX)
		return wrong(w, node, at, "the configuration is too large");
	switch (schema->type) {
	case CYAML_MAPPING:
		return walk_mapping(w, node, schema, at, out);
	case CYAML_SEQUENCE:
		return walk_list(w, node, schema->sequence.entry, schema->sequence.max, at, out);
	case CYAML_FLAGS: {
		// A list of names of the same table.
		struct cyaml_schema_value entry = *schema;
		entry.type = CYAML_ENUM;
		return walk_list(w, node, &entry, schema->enumeration.count, at, out);
	}
	default:
		break;
	}
	if (node->type != YAML_SCALAR_NODE)
		return wrong_kind(w, node, at, "a single value");
	switch (schema->type) {
	case CYAML_UINT:
		return walk_number(w, node, schema, at, out);
	case CYAML_BOOL:
		return walk_bool(w, node, at, out);
	case CYAML_ENUM:
		return walk_choice(w, node, schema, at, out);
	default:
		return walk_text(w, node, schema, at, out);
	}
}

// libyaml's time grows with the square of the depth of brackets: a megabyte of them, which whoever may
// read the socket can ask to be checked, would hold up everybody else for minutes. It reads a
// thousand characters ahead at most, so the first events tell. Other faults are told by the load.
static int check_depth(const char *text, size_t len, struct config_error *err)
{
	yaml_parser_t parser;
	yaml_event_t event;
	unsigned depth = 0;
	bool over = false;
	int rc = 0;

	if (!yaml_parser_initialize(&parser))
		return error_set(&err->error, -ENOMEM, "", "out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (!over && yaml_parser_parse(&parser, &event)) {
		over = event.type == YAML_STREAM_END_EVENT;
		if (event.type == YAML_SEQUENCE_START_EVENT ||
			event.type == YAML_MAPPING_START_EVENT)
			depth++;
		if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT)
			depth--;
		if (depth > DEPTH_MAX) {
			err->line = event.start_mark.line + 1;
			err->column = event.start_mark.column + 1;
			rc = error_set(&err->error, -EINVAL, "", "nested more than %u levels deep",
				DEPTH_MAX);
			over = true;
		}
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return rc;
}

static int not_yaml(const yaml_parser_t *parser, struct config_error *err)
{
	err->line = parser->problem_mark.line + 1;
	err->column = parser->problem_mark.column + 1;
	if (parser->problem && strstr(parser->problem, "cannot start any token"))
		return error_set(&err->error, -EINVAL, "",
			"not YAML: a tab or another character that cannot start a value; "
			"indent with spaces");
	return error_set(&err->error, -EINVAL, "", "not YAML: %s%s%s",
		parser->problem ? parser->problem : "unreadable", parser->context ? " " : "",
		parser->context ? parser->context : "");
}

// What follows the document must not be ignored silently.
static int check_end(yaml_parser_t *parser, struct config_error *err)
{
	yaml_document_t more;
	int rc = 0;

	if (!yaml_parser_load(parser, &more))
		return not_yaml(parser, err);
	if (yaml_document_get_root_node(&more)) {
		err->line = more.start_mark.line + 1;
		err->column = more.start_mark.column + 1;
		rc = error_set(&err->error, -EINVAL, "",
			"a second document begins here; all keys belong into one");
	}
	yaml_document_delete(&more);
	return rc;
}

static int parse_document(
	yaml_document_t *doc, const char *text, size_t len, struct config_error *err)
{
	yaml_parser_t parser;
	int rc = 0;

	if (!yaml_parser_initialize(&parser))
		return error_set(&err->error, -ENOMEM, "", "out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (!yaml_parser_load(&parser, doc)) {
		rc = not_yaml(&parser, err);
	} else if (yaml_document_get_root_node(doc)) {
		rc = check_end(&parser, err);
		if (rc < 0)
			yaml_document_delete(doc);
	}
	yaml_parser_delete(&parser);
	return rc;
}

int config_tree_new(const char *text, size_t len, const struct cyaml_schema_value *schema,
	const char *prefix, struct config_tree **out, struct config_error *err)
{
	struct config_tree *tree = calloc(1, sizeof(*tree));
	struct walk w = {.err = err};
	struct place at = {.path = ""};
	int rc;

	*err = (struct config_error){.line = 0};
	if (!tree)
		return error_set(&err->error, -ENOMEM, "", "out of memory");
	rc = check_depth(text, len, err);
	if (rc == 0)
		rc = parse_document(&tree->doc, text, len, err);
	if (rc < 0) {
		free(tree);
		return rc;
	}
	snprintf(at.key, sizeof(at.key), "%s", prefix);
	w.doc = &tree->doc;
	yaml_node_t *root = yaml_document_get_root_node(&tree->doc);
	if (!root)
		tree->json = json_object(); // an empty file: all defaults
	else
		rc = walk_value(&w, root, schema, &at, &tree->json);
	if (rc < 0) {
		config_tree_free(tree);
		return rc;
	}
	*out = tree;
	return 0;
}

void config_tree_free(struct config_tree *tree)
{
	if (!tree)
		return;
	yaml_document_delete(&tree->doc);
	json_decref(tree->json);
	free(tree);
}

json_t *config_tree_json(const struct config_tree *tree)
{
	return tree->json;
}

// The child `name` of a mapping; *key is the node of its key.
static yaml_node_t *child(
	yaml_document_t *doc, yaml_node_t *node, const char *name, size_t len, yaml_node_t **key)
{
	if (node->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
		p++) {
		yaml_node_t *k = yaml_document_get_node(doc, p->key);
		if (k->type == YAML_SCALAR_NODE && k->data.scalar.length == len &&
			memcmp(k->data.scalar.value, name, len) == 0) {
			*key = k;
			return yaml_document_get_node(doc, p->value);
		}
	}
	return NULL;
}

void config_tree_locate(struct config_tree *tree, struct config_error *err)
{
	yaml_node_t *node = yaml_document_get_root_node(&tree->doc), *mark = node;

	for (const char *p = err->error.key; node && *p;) {
		yaml_node_t *next = NULL, *key = NULL;
		if (*p == '[') {
			char *end;
			unsigned long i = strtoul(p + 1, &end, 10);
			if (node->type == YAML_SEQUENCE_NODE &&
				i < (size_t)(node->data.sequence.items.top -
					     node->data.sequence.items.start))
				key = next = yaml_document_get_node(
					&tree->doc, node->data.sequence.items.start[i]);
			p = *end ? end + 1 : end;
		} else {
			size_t len = strcspn(p, ".[");
			next = child(&tree->doc, node, p, len, &key);
			p += len;
		}
		if (*p == '.')
			p++;
		if (!next)
			break;
		mark = key;
		node = next;
	}
	if (mark) {
		err->line = mark->start_mark.line + 1;
		err->column = mark->start_mark.column + 1;
	}
}
