// SPDX-License-Identifier: BSD-2-Clause
// The configuration as YAML text, and its schema as JSON; and files that are whole or not there.
#include "control/config.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

struct text {
	char *data;
	size_t len;
};

static int append(void *ctx, unsigned char *data, size_t size)
{
	struct text *t = ctx;
	char *more = realloc(t->data, t->len + size + 1);

	if (!more)
		return 0;
	memcpy(more + t->len, data, size);
	t->data = more;
	t->len += size;
	t->data[t->len] = 0;
	return 1;
}

// Plain words stay plain; what YAML would read as something else, or as syntax, is quoted.
static int emit_scalar(yaml_emitter_t *em, const char *value, bool is_text)
{
	yaml_event_t ev;
	bool plain =
		!is_text ||
		(*value &&
			strspn(value,
				"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-"
				":") == strlen(value) &&
			value[strlen(value) - 1] != ':' && *value != '-' && *value != '.');

	yaml_scalar_event_initialize(&ev, NULL, NULL, (const yaml_char_t *)value,
		(int)strlen(value), 1, 1,
		plain ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
	return yaml_emitter_emit(em, &ev);
}

static bool is_flat(const json_t *json)
{
	size_t i;
	json_t *v;

	json_array_foreach ((json_t *)json, i, v)
		if (json_is_object(v) || json_is_array(v))
			return false;
	return true;
}

static int emit(yaml_emitter_t *em, const json_t *json)
{
	yaml_event_t ev;
	const char *key;
	char number[32];
	json_t *v;
	size_t i;
	int ok;

	switch (json_typeof(json)) {
	case JSON_OBJECT:
		yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE);
		ok = yaml_emitter_emit(em, &ev);
		json_object_foreach ((json_t *)json, key, v)
			ok = ok && emit_scalar(em, key, true) && emit(em, v);
		yaml_mapping_end_event_initialize(&ev);
		return ok && yaml_emitter_emit(em, &ev);
	case JSON_ARRAY:
		yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1,
			is_flat(json) ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE);
		ok = yaml_emitter_emit(em, &ev);
		json_array_foreach ((json_t *)json, i, v)
			ok = ok && emit(em, v);
		yaml_sequence_end_event_initialize(&ev);
		return ok && yaml_emitter_emit(em, &ev);
	case JSON_STRING:
		return emit_scalar(em, json_string_value(json), true);
	case JSON_INTEGER:
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(json));
		return emit_scalar(em, number, false);
	default:
		return emit_scalar(em, json_is_true(json) ? "true" : "false", false);
	}
}

char *config_yaml(const json_t *json)
{
	struct text text = {NULL, 0};
	yaml_emitter_t em;
	yaml_event_t ev;
	int ok;

	if (!yaml_emitter_initialize(&em))
		return NULL;
	yaml_emitter_set_output(&em, append, &text);
	yaml_emitter_set_unicode(&em, 1);
	yaml_emitter_set_width(&em, 100);
	yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING);
	ok = yaml_emitter_emit(&em, &ev);
	yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, 1);
	ok = ok && yaml_emitter_emit(&em, &ev) && emit(&em, json);
	yaml_document_end_event_initialize(&ev, 1);
	ok = ok && yaml_emitter_emit(&em, &ev);
	yaml_stream_end_event_initialize(&ev);
	ok = ok && yaml_emitter_emit(&em, &ev);
	yaml_emitter_delete(&em);
	if (!ok) {
		free(text.data);
		return NULL;
	}
	return text.data;
}

static int write_all(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len) {
		ssize_t n = write(fd, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

// The rename itself must survive a power cut too.
static void sync_directory(const char *path)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

int config_write(const char *path, const char *text, struct error *err)
{
	char real[PATH_MAX], temporary[PATH_MAX + 16];
	struct stat st;
	int rc, fd;

	// A symbolic link keeps pointing: its target is replaced.
	if (!realpath(path, real))
		snprintf(real, sizeof(real), "%s", path);
	snprintf(temporary, sizeof(temporary), "%s.XXXXXX", real);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return error_set(err, -errno, "",
			"cannot write beside %s: %s; weftctl config show > FILE keeps a copy", real,
			strerror(errno));
	rc = write_all(fd, text);
	if (rc == 0) {
		bool there = stat(real, &st) == 0;
		if (fchmod(fd, there ? st.st_mode & 0777 : 0644) < 0)
			rc = -errno;
		// Another owner stays the owner if we may; else the file is ours now.
		if (there && fchown(fd, st.st_uid, st.st_gid) < 0)
			errno = 0;
	}
	if (rc == 0 && rename(temporary, real) < 0)
		rc = -errno;
	close(fd);
	if (rc < 0) {
		unlink(temporary);
		return error_set(err, rc, "",
			"cannot write %s: %s; it is as it was; weftctl config show > FILE keeps a "
			"copy",
			real, strerror(-rc));
	}
	sync_directory(real);
	return 0;
}

static json_t *schema_value(const struct cyaml_schema_value *schema, const char *path)
{
	static const char *const kinds[] = {[CYAML_UINT] = "number",
		[CYAML_BOOL] = "flag",
		[CYAML_ENUM] = "choice",
		[CYAML_FLAGS] = "list",
		[CYAML_STRING] = "text",
		[CYAML_MAPPING] = "group",
		[CYAML_SEQUENCE] = "list"};
	const struct conf_key *k = conf_key_find(path);
	json_t *json = json_object();

	json_object_set_new(json, "kind", json_string(kinds[schema->type]));
	if (k) {
		json_object_set_new(json, "help", json_string(k->help));
		if (k->example)
			json_object_set_new(json, "example", json_string(k->example));
		if (k->types)
			json_object_set_new(json, "types", json_string(k->types));
	}
	if (schema->type == CYAML_ENUM || schema->type == CYAML_FLAGS) {
		json_t *values = json_array();
		for (uint32_t i = 0; i < schema->enumeration.count; i++)
			json_array_append_new(
				values, json_string(schema->enumeration.strings[i].str));
		json_object_set_new(json, "values", values);
	}
	const struct cyaml_schema_value *group = schema;
	if (schema->type == CYAML_SEQUENCE)
		group = schema->sequence.entry;
	if (group->type == CYAML_MAPPING) {
		json_t *keys = json_object();
		for (const struct cyaml_schema_field *f = group->mapping.fields; f->key; f++) {
			char below[160];
			snprintf(below, sizeof(below), "%.90s%s%.60s", path, *path ? "." : "",
				f->key);
			json_object_set_new(keys, f->key, schema_value(&f->value, below));
		}
		json_object_set_new(json, "keys", keys);
	}
	return json;
}

json_t *config_schema_json(void)
{
	return schema_value(&conf_schema, "");
}
