// SPDX-License-Identifier: BSD-2-Clause
// Words of a command line as parameters of the API. Which keys a port has is asked of weftd: its
// schema is the only one.
#include "cli/words.h"

#include "common/suggest.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 4

// Groups of keys that are open: "vlan trunk 10 native 1 mtu 9000" leaves vlan at mtu.
struct nest {
	const json_t *keys[DEPTH_MAX];
	json_t *objects[DEPTH_MAX];
	const char *names[DEPTH_MAX];
	unsigned depth;
};

static const char *kind_of(const json_t *key)
{
	const char *kind = json_string_value(json_object_get(key, "kind"));

	return kind ? kind : "text";
}

int words_schema(struct cli *cli, const char *under, json_t **owner, const json_t **keys)
{
	int status = cli_call(cli, "api.show", NULL, owner);

	if (status != CLI_OK)
		return status;
	*keys = json_object_get(json_object_get(*owner, "configuration"), "keys");
	if (*under)
		*keys = json_object_get(json_object_get(*keys, under), "keys");
	return CLI_OK;
}

static int unknown_key(struct cli *cli, const struct nest *n, const char *word)
{
	struct suggest s;
	char known[400] = "";
	const char *key;
	json_t *v;

	suggest_init(&s, word);
	for (unsigned i = 0; i < n->depth; i++)
		json_object_foreach ((json_t *)n->keys[i], key, v) {
			size_t len = strlen(known);
			suggest_offer(&s, key);
			snprintf(known + len, sizeof(known) - len, "%s%s", len ? ", " : "", key);
		}
	if (s.best)
		return cli_wrong(cli, "unknown key '%s', did you mean '%s'?", word, s.best);
	return cli_wrong(cli, "unknown key '%s'; known are: %s", word, known);
}

// NULL: it is not UTF-8.
static json_t *list_of(const char *word)
{
	json_t *list = json_array(), *text = json_string(word);
	char *copy = text ? strdup(word) : NULL, *save = NULL;

	if (!copy) {
		json_decref(list);
		json_decref(text);
		return NULL;
	}
	for (char *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save))
		json_array_append_new(list, json_string(p));
	free(copy);
	json_decref(text);
	return list;
}

static json_t *value_of(const char *kind, const char *word)
{
	if (strcmp(word, "default") == 0)
		return json_null();
	if (strcmp(kind, "list") != 0)
		return json_string(word);
	// Lists of groups have no form of words: JSON then.
	if (*word == '[')
		return json_loads(word, 0, NULL);
	return list_of(word);
}

// Finds the key in the innermost group that has it, and leaves those inside of it.
static const json_t *find_key(struct nest *n, const char *word)
{
	for (unsigned d = n->depth; d > 0; d--) {
		const json_t *key = json_object_get(n->keys[d - 1], word);
		if (key) {
			n->depth = d;
			return key;
		}
	}
	return NULL;
}

static void enter(struct nest *n, const char *name, const json_t *key)
{
	json_t *to = n->objects[n->depth - 1];
	json_t *group = json_object_get(to, name);

	if (!group) {
		group = json_object();
		json_object_set_new(to, name, group);
	}
	n->keys[n->depth] = json_object_get(key, "keys");
	n->objects[n->depth] = group;
	n->names[n->depth++] = name;
}

static int no_value(struct cli *cli, const json_t *key, const char *name)
{
	const char *example = json_string_value(json_object_get(key, "example"));
	char words[80] = "";
	size_t n = 0;

	if (!example)
		return cli_wrong(cli, "'%s' needs a value", name);
	// The file's [10, 20-30] is 10,20-30 here; lists of groups are JSON.
	const bool is_list = *example == '[' && !strchr(example, '{');
	for (const char *p = example; *p && n + 1 < sizeof(words); p++)
		if (!is_list || !strchr("[] ", *p))
			words[n++] = *p;
	return cli_wrong(cli, "'%s' needs a value, such as '%s'", name,
		strchr(example, '{') ? "[{\"core\": 2}]" : words);
}

static int parse_keys(struct cli *cli, const json_t *keys, int argc, char **argv, json_t *out)
{
	struct nest n = {.keys = {keys}, .objects = {out}, .depth = 1};

	for (int i = 0; i < argc; i++) {
		const json_t *key = find_key(&n, argv[i]);
		if (!key)
			return unknown_key(cli, &n, argv[i]);
		const char *kind = kind_of(key), *name = argv[i];
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;
		if (strcmp(kind, "group") == 0 && (!next || strcmp(next, "default") != 0)) {
			if (n.depth == DEPTH_MAX || !next)
				return cli_wrong(cli, "'%s' needs keys after it", name);
			enter(&n, name, key);
			continue;
		}
		if (!next)
			return no_value(cli, key, name);
		if (json_object_get(n.objects[n.depth - 1], name))
			return n.depth == 1 && strcmp(name, "name") == 0
				       ? cli_wrong(cli, "a port keeps its name: port del, and port "
							"add with the other one")
				       : cli_wrong(cli, "'%s' is there twice", name);
		json_t *value = value_of(kind, next);
		if (!value && *next != '[')
			return cli_wrong(cli, "'%s': the text is not UTF-8", name);
		if (!value)
			return cli_wrong(cli, "'%s': '%s' is not JSON, such as '[{\"core\": 2}]'",
				name, next);
		json_object_set_new(n.objects[n.depth - 1], name, value);
		i++;
	}
	return CLI_OK;
}

static const struct arg *arg_find(const struct arg *args, const char *name)
{
	for (const struct arg *a = args; a && a->name; a++)
		if (!a->positional && strcmp(a->name, name) == 0)
			return a;
	return NULL;
}

static const struct arg *arg_positional(const struct arg *args, int i)
{
	for (const struct arg *a = args; a && a->name; a++)
		if (a->positional && i-- == 0)
			return a;
	return NULL;
}

static int set_arg(struct cli *cli, const struct arg *a, const char *word, json_t *out)
{
	char *end;

	if (json_object_get(out, a->name))
		return cli_wrong(cli, "'%s' is there twice", a->name);
	if (a->kind != ARG_NUMBER && a->kind != ARG_VLAN) {
		json_t *text = json_string(word);
		if (!text)
			return cli_wrong(cli, "%s: the text is not UTF-8", a->name);
		json_object_set_new(out, a->name, text);
		return CLI_OK;
	}
	unsigned long long n = strtoull(word, &end, 10);
	if (*end || end == word || *word == '-' || n > UINT32_MAX)
		return cli_wrong(cli, "%s: a number is expected, not '%s'", a->name, word);
	json_object_set_new(out, a->name, json_integer((json_int_t)n));
	return CLI_OK;
}

static int unknown_arg(struct cli *cli, const struct command *c, const char *word)
{
	struct suggest s;
	char synopsis[400];

	suggest_init(&s, word);
	for (const struct arg *a = c->args; a && a->name; a++)
		if (!a->positional)
			suggest_offer(&s, a->name);
	if (s.best)
		return cli_wrong(cli, "unknown word '%s', did you mean '%s'?", word, s.best);
	command_synopsis(c, synopsis, sizeof(synopsis));
	return cli_wrong(cli, "unknown word '%s'; usage: weftctl %s", word, synopsis);
}

static int parse_args(
	struct cli *cli, const struct command *c, int argc, char **argv, int *used, json_t *out)
{
	int i = 0, n = 0, status = CLI_OK;

	while (status == CLI_OK && i < argc) {
		const struct arg *a = arg_positional(c->args, n);
		if (a) {
			n++;
			status = set_arg(cli, a, argv[i++], out);
			continue;
		}
		if (c->keys)
			break; // the rest are keys of the configuration
		a = arg_find(c->args, argv[i]);
		if (!a)
			return unknown_arg(cli, c, argv[i]);
		if (i + 1 == argc)
			return cli_wrong(cli, "'%s' needs a value", a->name);
		status = set_arg(cli, a, argv[i + 1], out);
		i += 2;
	}
	for (const struct arg *a = c->args; status == CLI_OK && a && a->name; a++) {
		char synopsis[400];
		if (!a->required || json_object_get(out, a->name))
			continue;
		command_synopsis(c, synopsis, sizeof(synopsis));
		return cli_wrong(cli, "the %s is missing; usage: weftctl %s", a->name, synopsis);
	}
	*used = i;
	return status;
}

int words_parse(struct cli *cli, const struct command *c, int argc, char **argv, json_t **out)
{
	json_t *params = json_object(), *owner = NULL;
	const json_t *keys;
	int used = 0;

	int status = parse_args(cli, c, argc, argv, &used, params);
	if (status == CLI_OK && c->keys && used == argc)
		status = cli_wrong(
			cli, "keys are missing; see weftctl help %s %s", c->noun, c->verb);
	if (status == CLI_OK && c->keys) {
		status = words_schema(cli, c->keys, &owner, &keys);
		if (status == CLI_OK)
			status = parse_keys(cli, keys, argc - used, argv + used, params);
		json_decref(owner);
	}
	if (status == CLI_OK)
		*out = params;
	else
		json_decref(params);
	return status;
}

// Candidates for a value: what the schema lists, or a word that shows the form.
static void offer_values(const json_t *key, json_t *list)
{
	const json_t *values = json_object_get(key, "values");
	const char *kind = kind_of(key);
	size_t i;
	json_t *v;

	json_array_foreach ((json_t *)values, i, v)
		json_array_append(list, v);
	if (strcmp(kind, "flag") == 0) {
		json_array_append_new(list, json_string("true"));
		json_array_append_new(list, json_string("false"));
	}
}

// Words of a text with blanks between them: is this one of them?
static bool has_word(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = words; (p = strstr(p, word)); p += n)
		if ((p == words || p[-1] == ' ') && (p[n] == ' ' || p[n] == 0))
			return true;
	return false;
}

static const char *types_of(const json_t *key)
{
	return json_string_value(json_object_get(key, "types"));
}

// The types of ports are those that keys are for.
static void offer_types(const json_t *keys, json_t *list)
{
	char said[400] = "", copy[200], *save;
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)keys, name, v) {
		if (!types_of(v))
			continue;
		snprintf(copy, sizeof(copy), "%s", types_of(v));
		for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
			size_t n = strlen(said);
			if (has_word(said, w))
				continue;
			snprintf(said + n, sizeof(said) - n, " %s", w);
			json_array_append_new(list, json_string(w));
		}
	}
}

void words_next(const json_t *keys, const char *type, int argc, char **argv, json_t *list)
{
	json_t *scratch = json_object();
	struct nest n = {.keys = {keys}, .objects = {scratch}, .depth = 1};
	unsigned from = 0; // after the word of a group only its own keys make sense
	const char *name;
	json_t *v;

	for (int i = 0; i < argc; i++) {
		const json_t *key = find_key(&n, argv[i]);
		if (!key)
			goto out;
		from = 0;
		if (strcmp(kind_of(key), "group") == 0 && n.depth < DEPTH_MAX) {
			enter(&n, argv[i], key);
			from = n.depth - 1;
			continue;
		}
		if (i + 1 == argc) {
			if (strcmp(argv[i], "type") == 0)
				offer_types(keys, list);
			else
				offer_values(key, list);
			goto out;
		}
		json_object_set_new(n.objects[n.depth - 1], argv[i], json_true());
		if (strcmp(argv[i++], "type") == 0)
			type = argv[i];
	}
	for (unsigned d = from; d < n.depth; d++)
		json_object_foreach ((json_t *)n.keys[d], name, v)
			if (!json_object_get(n.objects[d], name) &&
				(!type || !types_of(v) || has_word(types_of(v), type)))
				json_array_append_new(list, json_string(name));
out:
	json_decref(scratch);
}
